"""Kill a training run again and again, go on each time, and compare what it leaves with a run that nobody disturbed.

The run is one of --script with the arguments after --, in a process that is killed by SIGKILL: at a random moment, or,
every other time, while a checkpoint is being written. Runs that end before all kills are spent are compared and begun
again. Every life begins as a copy of this process, which has imported the program and done nothing else.

Examples:
    python scripts/chaos.py --kills 50 --run-dir runs/chaos -- --algo dqn --suite ring --total-timesteps 2048
    python scripts/chaos.py --script train_gan -- --data digits --resolution 16 --updates 400
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import random
import shutil
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.cli import fail_in_one_line
from agents.resuming import CONFIG
from agents.run_folder import RunFolder, provenance
from gan_backbones.tensor_file import digest_tensors, read_tensors

Script = Literal["train_agent", "train_gan", "train_ral", "latent_report"]
SMALL = ("--suite", "ring", "--num-envs", "16", "--total-timesteps", "1600", "--env", "decisions=10")
"""Arguments of train_agent.py's run that is killed where none are given."""
_WRITES_SKIPPED = 3  # at most, before a kill while one is written
_GLANCE = 0.0005  # seconds between two looks for a checkpoint that is being written


@dataclass(frozen=True)
class Options:
    """Options of chaos.py; those of the run stand after --."""

    script: Script = "train_agent"
    """Whose run."""
    kills: int = 50
    """How many times to kill."""
    run_dir: Path = Path("runs/chaos")
    """Folder to write, new or empty: the runs and chaos.json."""
    seed: int = 0
    """Decides the moments."""
    checkpoint_every: float = 0.0
    """Seconds between two checkpoints of the run; 0 for as many as possible."""


def main() -> None:
    arguments = sys.argv[1:]
    own, given = arguments, list[str]()
    if "--" in arguments:
        place = arguments.index("--")
        own, given = arguments[:place], arguments[place + 1 :]
    options = tyro.cli(Options, description=__doc__, args=own)
    if options.kills < 1:
        raise ValueError(f"--kills must be at least 1, not {options.kills}")
    if not given and options.script == "train_agent":
        given = list(SMALL)
    record = chaos(options, given)
    if record["differences"]:
        sys.exit(1)


def chaos(options: Options, arguments: Sequence[str]) -> dict[str, Any]:
    """Kill and compare; returns what chaos.json says."""
    console = Console(soft_wrap=True, highlight=False)
    folder = RunFolder(options.run_dir)
    folder.create()
    lives = Lives(options.script, folder.path, arguments, options.checkpoint_every)
    console.print(f"the undisturbed run: {options.script}.py {' '.join(arguments)} ...")
    begun = time.monotonic()
    lives.finish(lives.begin("undisturbed"))
    duration = time.monotonic() - begun
    expected = artefacts(folder.path / "undisturbed")

    rng = random.Random(options.seed)
    kills: list[dict[str, Any]] = []
    finished: list[str] = []
    differences: list[str] = []
    while len(kills) < options.kills or f"run-{len(finished)}" in {kill["run"] for kill in kills}:
        run = f"run-{len(finished)}"
        life = lives.begin(run)
        if len(kills) < options.kills:
            writing = len(kills) % 2 == 1
            moment = rng.randrange(_WRITES_SKIPPED) if writing else rng.uniform(0, duration)
            kill = lives.kill_while_writing(life, run, moment) if writing else lives.kill_after(life, run, moment)
            if kill is not None:
                kills.append(kill)
                console.print(f"kill {len(kills)} of {options.kills}: {kill}")
                continue
        lives.finish(life)
        found = differing(expected, artefacts(folder.path / run))
        differences += [f"{run}: {name}" for name in found]
        console.print(f"{run} is finished; {f'it differs: {found[0]}' if found else 'all is equal'}")
        finished.append(run)
    record: dict[str, Any] = provenance("cpu") | {
        "script": options.script,
        "arguments": list(arguments),
        "kills": kills,
        "half_written": sum(kill["half_written"] for kill in kills),
        "runs": len(finished),
        "compared": len(expected),
        "differences": differences,
        "undisturbed_seconds": round(duration, 1),
        "seconds": round(time.monotonic() - begun, 1),
    }
    folder.write_json("chaos.json", record)
    console.print(
        f"{len(kills)} kills, {record['half_written']} of them in the middle of writing a checkpoint; {len(finished)} "
        f"runs of {len(expected)} artefacts each, {len(differences)} of which differ; see {folder.path / 'chaos.json'}"
    )
    return record


class Lives:
    """Processes that run a script: in a new folder of ``folder``, or going on in one."""

    def __init__(self, script: Script, folder: Path, arguments: Sequence[str], every: float) -> None:
        self._script, self._folder, self._arguments = script, folder, list(arguments)
        self._common = ["--no-progress", "--checkpoint-every", str(every)]
        self._program = _load(script)

    def begin(self, run: str) -> ForkProcess:
        """A new life of the run of this name."""
        path = self._folder / run
        if (path / CONFIG).is_file():
            arguments = ["--resume", str(path)]
        else:
            shutil.rmtree(path, ignore_errors=True)
            arguments = [*self._arguments, "--run-dir", str(path)]
        life = multiprocessing.get_context("fork").Process(target=self._live, args=([*arguments, *self._common],))
        life.start()
        return life

    def finish(self, life: ForkProcess) -> None:
        """Wait. Raises ``ValueError`` where the program fails."""
        life.join()
        if life.exitcode != 0:
            said = (self._folder / "output.txt").read_text().strip().splitlines()
            raise ValueError(f"the run failed with status {life.exitcode}: {said[-1] if said else ''}")

    def kill_after(self, life: ForkProcess, run: str, seconds: float) -> dict[str, Any] | None:
        """Kill after so many seconds; none if the life is over before."""
        life.join(timeout=seconds)
        return self._kill(life, run, {"after_seconds": round(seconds, 3)})

    def kill_while_writing(self, life: ForkProcess, run: str, skipped: int) -> dict[str, Any] | None:
        """Kill while a checkpoint is being written, after so many others; none if the life is over before."""
        folder = self._folder / run / "checkpoints"
        last: set[str] = set(_temporary(folder))  # one that an earlier kill left
        while life.is_alive():
            fresh = set(_temporary(folder)) - last
            if fresh and skipped == 0:
                return self._kill(life, run, {"after_seconds": None})
            skipped -= bool(fresh)
            last |= fresh
            time.sleep(_GLANCE)
        return None

    def _kill(self, life: ForkProcess, run: str, when: dict[str, Any]) -> dict[str, Any] | None:
        if not life.is_alive():
            return None
        life.kill()
        life.join()
        half = bool(_temporary(self._folder / run / "checkpoints"))
        return {"run": run, "half_written": half} | when

    def _live(self, arguments: list[str]) -> None:
        with (self._folder / "output.txt").open("a") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = [f"{self._script}.py", *arguments]
        fail_in_one_line(self._program.main)


def artefacts(run: Path) -> dict[str, Any]:
    """All that a finished run leaves, by name, without the times that it took and pictures that are drawn by time."""
    read = {path: json.loads(path.read_text()) for path in run.glob("*.json") if path.name != CONFIG}
    found: dict[str, Any] = {path.name: _untimed(content) for path, content in read.items()}
    found |= {path.name: path.read_bytes() for path in run.glob("figures/*")}
    for path in run.glob("*.safetensors"):
        tensors, about = read_tensors(path)
        found[path.name] = digest_tensors(tensors), about
    for path in run.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pth"):
                    with archive.open(name) as file:
                        content = torch.load(file, map_location="cpu", weights_only=True)
                    found[f"{path.name}/{name}"] = _digest(content)
    if (run / "stats.jsonl").exists():
        found["stats.jsonl"] = [_untimed(json.loads(line)) for line in (run / "stats.jsonl").read_text().splitlines()]
        found |= _events(run)
    return found


def _events(run: Path) -> dict[str, Any]:
    """TensorBoard's points by tag."""
    found: dict[str, Any] = {}
    everything = {"scalars": 0, "histograms": 0, "images": 0}
    events = EventAccumulator(str(run), size_guidance=everything, purge_orphaned_data=False).Reload()
    for tag in events.Tags()["scalars"]:
        points = events.Scalars(tag)
        timed = tag.startswith("time/")
        found[f"tensorboard/{tag}"] = [(point.step, None if timed else point.value) for point in points]
    for tag in events.Tags()["histograms"]:
        found[f"tensorboard/{tag}"] = [(point.step, point.histogram_value) for point in events.Histograms(tag)]
    for tag in events.Tags()["images"]:
        if not tag.startswith("episode/"):
            found[f"tensorboard/{tag}"] = [(point.step, point.encoded_image_string) for point in events.Images(tag)]
    return found


def _untimed(content: Any) -> Any:
    """Nested content without what time, the moments of stops and the command decide."""
    if isinstance(content, list):
        return [_untimed(item) for item in content]
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if key not in ("command", "checkpoints")}
        kept = {key: value for key, value in kept.items() if "seconds" not in key and not key.startswith("time/")}
        return {key: _untimed(value) for key, value in kept.items()}
    return content


def differing(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Names of the artefacts that are not equal, or are there once only."""
    names = sorted(expected.keys() | found.keys())
    return [name for name in names if repr(expected.get(name)) != repr(found.get(name))]


def _digest(content: Any) -> Any:
    """Nested content with a digest in place of each tensor."""
    if isinstance(content, torch.Tensor):
        return digest_tensors({"": content})
    if isinstance(content, dict):
        return {key: _digest(value) for key, value in content.items()}
    return [_digest(value) for value in content] if isinstance(content, list | tuple) else content


def _temporary(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".tmp")]
    except FileNotFoundError:
        return []


def _load(name: str) -> ModuleType:
    """Another script as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    fail_in_one_line(main)
