"""What a balancer does in GAN loops that know nothing of this project, from bad starting rates and from good ones.

For each loop of examples/foreign_loops: the best constant pair of rates, searched on seeds of its own; then, from four
bad pairs and from that one, the loop left alone and the loop balanced, over further seeds.

Examples:
    python scripts/foreign_loops.py --json foreign.json
    python scripts/foreign_loops.py --json foreign.json --policy another.safetensors
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from agents.balancer import Balancer
from agents.cli import fail_in_one_line
from agents.run_folder import provenance
from gan_backbones.files import read_json, write_atomically
from gan_backbones.tensor_file import digest_tensors
from gan_backbones.threads import available_cores

FOLDER = Path(__file__).parents[1] / "examples" / "foreign_loops"
LOOPS = ("moons_wgan_gp", "digits_lsgan", "patches_hinge")
BAD_STARTS = ((1e-5, 1e-2), (1e-2, 1e-5), (3e-2, 3e-2), (1e-5, 1e-5))
ALLOWED, ENOUGH = 1.25, 3
"""Rescued: a median of at most this many times that of the tuned rates; from at least so many of the bad starts."""
_TUNING_SEED = 1000


Setting = tuple[str, float, float, str | None]
"""Loop, rates of generator and discriminator, policy."""


class Run(NamedTuple):
    """One training of one loop."""

    loop: str
    lr_g: float
    lr_d: float
    seed: int
    policy: str | None
    updates: int | None
    fingerprint: str
    """Of the loop's file and the policy's content: a run of a changed one is another run."""


@dataclass(frozen=True)
class Options:
    """Options of foreign_loops.py."""

    policy: str | None = "recommended"
    """A shipped policy's name, or a file; None trains at constant rates alone."""
    loops: tuple[str, ...] = LOOPS
    """Loops, by the names of their files."""
    seeds: int = 5
    """Trainings from each start."""
    tuning_seeds: int = 2
    """Trainings with each pair of the grid from which the tuned rates come."""
    grid: tuple[float, ...] = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    """Rates of that grid, for both networks."""
    updates: int | None = None
    """GAN updates; by default each loop's own number."""
    json: Path | None = None
    """File for the record, written after every training; the trainings that it holds already are not made again."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    unknown = sorted(set(options.loops) - set(LOOPS))
    if unknown or not options.loops or not options.grid:
        raise ValueError(f"--loops are some of {', '.join(LOOPS)}, and --grid holds at least one rate")
    if min(options.seeds, options.tuning_seeds, *(() if options.updates is None else (options.updates,))) < 1:
        raise ValueError("--seeds, --tuning-seeds and --updates must be at least 1")
    study = Study(options)
    pairs = list(itertools.product(options.grid, options.grid))
    tried = study.settle(
        [
            study.run(loop, *pair, _TUNING_SEED + seed, None)
            for loop in options.loops
            for pair in pairs
            for seed in range(options.tuning_seeds)
        ],
        "tuning",
    )
    tuned = {loop: best_pair(tried, loop) for loop in options.loops}
    settled = study.settle(
        [
            study.run(loop, *start, seed, policy)
            for loop in options.loops
            for start in (*BAD_STARTS, tuned[loop])
            for policy in dict.fromkeys((None, options.policy))
            for seed in range(options.seeds)
        ],
        "balancing",
    )
    if options.policy is not None:
        study.rows = [row for loop in options.loops for row in compare(loop, tuned[loop], settled, options.policy)]
        report(study.rows, options)
    study.keep()


class Study:
    """Trainings, each made once, and their record."""

    def __init__(self, options: Options) -> None:
        """Raises ``ValueError`` for a policy or a record that cannot be read."""
        self.options = options
        self.rows: list[dict[str, Any]] = []
        policy = None if options.policy is None else Balancer.load(options.policy).policy
        content = "" if policy is None else digest_tensors(policy.network.state_dict(), repr(policy.spec))
        files = {loop: (FOLDER / f"{loop}.py").read_bytes() for loop in options.loops}
        self._fingerprints = {
            (loop, name): hashlib.sha256(file + extra.encode()).hexdigest()[:16]
            for loop, file in files.items()
            for name, extra in ((None, ""), (options.policy, content))
        }
        self._finals = {} if options.json is None or not options.json.exists() else read_finals(options.json)
        self._provenance = provenance("cpu")

    def run(self, loop: str, lr_g: float, lr_d: float, seed: int, policy: str | None) -> Run:
        return Run(loop, lr_g, lr_d, seed, policy, self.options.updates, self._fingerprints[loop, policy])

    def settle(self, runs: list[Run], label: str) -> dict[Setting, list[float]]:
        """Make the trainings that are missing; the final distances of each setting, by seed."""
        for run, value in train_all([run for run in runs if run not in self._finals], label):
            self._finals[run] = value
            self.keep()
        return by_setting({run: self._finals[run] for run in runs})

    def keep(self) -> None:
        """Write the record, if one is wanted."""
        if self.options.json is None:
            return
        record = {
            "rows": self.rows,
            "runs": [[*run, value] for run, value in sorted(self._finals.items(), key=repr)],
            "options": asdict(self.options) | {"json": str(self.options.json)},
        }
        write_atomically(self.options.json, (json.dumps(record | self._provenance, indent=1) + "\n").encode())


def read_finals(path: Path) -> dict[Run, float]:
    """Final distances of a record's trainings.

    Raises ``ValueError`` where the file is no record of this script.
    """
    try:
        return {Run(*run): float(value) for *run, value in read_json(path)["runs"]}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"--json {path}: there is a file, and it is no record of this script: {error}") from None


def train_all(runs: list[Run], label: str) -> Iterator[tuple[Run, float]]:
    """Each with its final distance, as they end, side by side on all cores."""
    with ProcessPoolExecutor(available_cores(), get_context("spawn"), torch.set_num_threads, (1,)) as executor:
        pending = {executor.submit(train, run): run for run in runs}
        try:
            ended = as_completed(pending)
            for future in tqdm(ended, label, len(runs), unit="run", disable=None, dynamic_ncols=True):
                yield pending[future], future.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def train(run: Run) -> float:
    """The final distance of one run; infinity where it is not finite."""
    module = _load(run.loop)
    length = {} if run.updates is None else {"updates": run.updates}
    value = float(module.train(run.lr_g, run.lr_d, run.seed, policy=run.policy, **length))
    return value if math.isfinite(value) else math.inf


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its classes look for their module
    spec.loader.exec_module(module)
    return module


def by_setting(finals: Mapping[Run, float]) -> dict[Setting, list[float]]:
    """Distances over the seeds of each loop, pair of rates and policy."""
    grouped: dict[Setting, list[float]] = {}
    for run, value in finals.items():
        grouped.setdefault((run.loop, run.lr_g, run.lr_d, run.policy), []).append(value)
    return grouped


def best_pair(tried: Mapping[Setting, list[float]], loop: str) -> tuple[float, float]:
    """The rates with the lowest median."""
    medians = {(lr_g, lr_d): np.median(values) for (name, lr_g, lr_d, _), values in tried.items() if name == loop}
    return min(medians, key=lambda pair: medians[pair])


def compare(
    loop: str, tuned: tuple[float, float], settled: Mapping[Setting, list[float]], policy: str
) -> list[dict[str, Any]]:
    """One row per start: medians over the seeds, and the balanced one over that of the tuned rates."""
    alone = settled[(loop, *tuned, None)]
    reference = float(np.median(alone))
    rows = []
    for start in (*BAD_STARTS, tuned):
        balanced = settled[(loop, *start, policy)]
        rows.append(
            {
                "loop": loop,
                "start": list(start),
                "tuned": start == tuned,
                "left_alone": float(np.median(settled[(loop, *start, None)])),
                "balanced": float(np.median(balanced)),
                "ratio": float(np.median(balanced)) / reference,
                "worst_ratio": max(balanced) / reference,
                "tuned_range": [min(alone) / reference, max(alone) / reference],
            }
        )
    return rows


def report(rows: list[dict[str, Any]], options: Options) -> None:
    """Print the table, and what it says of each loop."""
    console = Console()
    table = Table(title=f"final distances, medians of {options.seeds} seeds; lower is better")
    for column in ("loop", "start G, D", "left alone", "balanced", "over tuned", "worst seed"):
        table.add_column(column, justify="left" if column in ("loop", "start G, D") else "right")
    for row in rows:
        start = "{:.3g}, {:.3g}".format(*row["start"]) + (" (tuned)" if row["tuned"] else "")
        numbers = [f"{row[name]:.3g}" for name in ("left_alone", "balanced", "ratio", "worst_ratio")]
        table.add_row(row["loop"], start, *numbers)
    console.print(table)
    for loop in options.loops:
        own = [row for row in rows if row["loop"] == loop]
        rescued = sum(row["ratio"] <= ALLOWED for row in own if not row["tuned"])
        (good,) = (row for row in own if row["tuned"])
        harmless = good["ratio"] <= good["tuned_range"][1]
        console.print(
            f"{loop}: {rescued} of {len(BAD_STARTS)} bad starts within {ALLOWED:g} times the tuned rates "
            f"({'reached' if rescued >= ENOUGH else 'NOT REACHED'}, {ENOUGH} wanted); from the tuned rates "
            f"{good['ratio']:.2f} times ({'within' if harmless else 'OUTSIDE'} their spread over seeds)",
            highlight=False,
        )


if __name__ == "__main__":
    fail_in_one_line(main)
