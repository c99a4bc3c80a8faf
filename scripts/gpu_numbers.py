"""Every number of this project that needs a GPU, one command after another, each within ten minutes.

Records and pictures go to docs/results/gpu; a part that fails or takes too long is told and the next one begins. What
is there already is measured again, so name the parts that are still missing.

Example: python scripts/gpu_numbers.py --parts population tests
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console

from agents.cli import fail_in_one_line

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "docs" / "results" / "gpu"


@dataclass(frozen=True)
class Options:
    """Options of gpu_numbers.py."""

    parts: tuple[str, ...] = ()
    """What to measure, by default everything; --list names all."""
    device: str = "cuda"
    """The GPU: cuda or cuda:INDEX."""
    output: Path = OUTPUT
    """Folder of the records."""
    limit: int = 600
    """Seconds after which a command is stopped."""
    list: bool = False
    """Print every command, and stop."""


def commands(device: str, output: Path) -> dict[str, list[list[str]]]:
    """Arguments of Python for each part, by name."""

    def bench(name: str, record: str, *options: str) -> list[str]:
        return ["scripts/bench.py", name, "--device", device, "--json", str(output / f"{record}.json"), *options]

    def agent(algorithm: str, pixels: int, environments: int, *options: str) -> list[str]:
        name = f"faces-{pixels}-{algorithm}-{environments}"
        common = ["--suite", "faces", "--resolution", str(pixels), "--num-envs", str(environments)]
        run = ["--device", device, "--run-dir", str(output / name), "--no-progress"]
        return ["scripts/train_agent.py", "--algo", algorithm, *common, *run, *options]

    def gan(backbone: str, updates: int, seed: int) -> list[str]:
        run = ["--run-dir", str(output / f"gan-64-{backbone}-{seed}"), "--no-progress", "--device", device]
        data = ["--data", "faces", "--resolution", "64", "--updates", str(updates), "--controller", "cosine"]
        return ["scripts/train_gan.py", "--backbone", backbone, "--seed", str(seed), *data, *run]

    small = ("--sizes", "1", "16", "64")
    wide = ("--num-envs", "256", "--resolution", "32", "--width", "64")
    return {
        "tests": [["-m", "pytest", "-m", "gpu", "-q"]],
        "population": [
            bench("population", "population", "--plot", str(output / "population.png")),
            bench("population", "population-mspg", "--backbone", "mspg", "--resolutions", "64", *small),
        ],
        "profile": [
            bench("profile", "profile-64", "--num-envs", "64", "--resolution", "32", "--width", "64"),
            bench("profile", "profile-256", *wide),
            bench("profile", "profile-256-tf32", *wide, "--precision", "tf32"),
            bench("profile", "profile-256-bfloat16", *wide, "--precision", "bfloat16"),
        ],
        "attention": [bench("attention", "attention", "--batch-size", "16")],
        "agents": [
            agent(algorithm, pixels, environments)
            for algorithm in ("dqn", "ppo")
            for pixels in (32, 64)
            for environments in (64, 256)
        ],
        "mspg": [gan(backbone, updates, seed) for backbone, updates in _EQUAL_TIME for seed in range(3)],
        "ral": [
            [
                *("scripts/train_ral.py", "--data", "faces", "--resolution", "64", "--device", device),
                *("--run-dir", str(output / "ral-64"), "--no-progress"),
            ]
        ],
    }


_EQUAL_TIME = (("dcgan", 20_000), ("mspg", 10_000))
"""Updates of each; their records hold the seconds that training took, by which curves are compared."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    known = commands(options.device, options.output)
    unknown = sorted(set(options.parts) - set(known))
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r}; known: {', '.join(known)}")
    if options.list:
        for part, several in known.items():
            print(f"{part}:", *(" ".join(["  python", *command]) for command in several), sep="\n")
        return
    if not torch.cuda.is_available():
        raise ValueError("there is no GPU here; --list prints what would be measured")
    options.output.mkdir(parents=True, exist_ok=True)
    console, failed = Console(), 0
    for part in options.parts or known:
        for command in known[part]:
            failed += not run(command, options.limit, console)
    if failed:
        raise ValueError(f"{failed} commands did not end well; see above")


def run(command: list[str], limit: int, console: Console) -> bool:
    """Run Python with these arguments in the checkout's root; whether it ended well and in time."""
    console.print(f"python {' '.join(command)}", style="bold", highlight=False)
    started = time.monotonic()
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        status = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, timeout=limit
        ).returncode
    except subprocess.TimeoutExpired:
        status = None
    how = f"stopped after {limit} s" if status is None else f"exit status {status}"
    console.print(f"{how}, {time.monotonic() - started:.0f} s", highlight=False)
    return status == 0


if __name__ == "__main__":
    fail_in_one_line(main)
