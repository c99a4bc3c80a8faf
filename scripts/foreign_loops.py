"""What a balancer does in GAN loops that know nothing of this project, from bad starting rates and from good ones.

For each loop of examples/foreign_loops: the best constant pair of rates, searched on seeds of its own; then, from four
bad pairs and from that one, the loop left alone and the loop balanced, over further seeds.

Example: python scripts/foreign_loops.py --policy policy.safetensors --json foreign.json
Example: python scripts/foreign_loops.py --policy another.safetensors --constant foreign.json
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
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
from gan_backbones.files import write_atomically
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
    constant: Path | None = None
    """Record of an earlier study, whose trainings at constant rates are not made again."""
    json: Path | None = None
    """File for the record."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    unknown = sorted(set(options.loops) - set(LOOPS))
    if unknown or not options.loops or not options.grid:
        raise ValueError(f"--loops are some of {', '.join(LOOPS)}, and --grid holds at least one rate")
    if min(options.seeds, options.tuning_seeds, *(() if options.updates is None else (options.updates,))) < 1:
        raise ValueError("--seeds, --tuning-seeds and --updates must be at least 1")
    if options.policy is not None:
        Balancer.load(options.policy)  # a wrong name is told before anything is trained
    known = {} if options.constant is None else read_constant(options.constant)

    pairs = list(itertools.product(options.grid, options.grid))
    tuning = [
        Run(loop, *pair, _TUNING_SEED + seed, None, options.updates)
        for loop in options.loops
        for pair in pairs
        for seed in range(options.tuning_seeds)
    ]
    found = train_missing(tuning, known, "tuning")
    tried = by_setting(found)
    tuned = {loop: best_pair(tried, loop) for loop in options.loops}
    runs = [
        Run(loop, *start, seed, policy, options.updates)
        for loop in options.loops
        for start in (*BAD_STARTS, tuned[loop])
        for policy in dict.fromkeys((None, options.policy))
        for seed in range(options.seeds)
    ]
    finals = train_missing(runs, known, "balancing")
    rows = []
    if options.policy is not None:
        settled = by_setting(finals)
        rows = [row for loop in options.loops for row in compare(loop, tuned[loop], settled, options.policy)]
        report(rows, options)
    if options.json is not None:
        record = {
            "rows": rows,
            "tuning": [[*run, value] for run, value in found.items()],
            "runs": [[*run, value] for run, value in finals.items()],
        }
        write_atomically(options.json, (json.dumps(record | provenance("cpu"), indent=1) + "\n").encode())


def read_constant(path: Path) -> dict[Run, float]:
    """Final distances of an earlier study's trainings without a policy.

    Raises ``ValueError`` where the file is no record of one.
    """
    try:
        record = json.loads(path.read_text())
        found = {Run(*run): float(value) for *run, value in record["tuning"] + record["runs"]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"--constant {path}: no record of this script: {error}") from None
    return {run: value for run, value in found.items() if run.policy is None}


def train_missing(runs: list[Run], known: Mapping[Run, float], label: str) -> dict[Run, float]:
    """The final distance of each, made only where it is not known."""
    made = train_all([run for run in runs if run not in known], label)
    return {run: known[run] if run in known else made[run] for run in runs}


def train_all(runs: list[Run], label: str) -> dict[Run, float]:
    """The final distance of each; infinity where it is not finite."""
    with ProcessPoolExecutor(available_cores(), get_context("spawn"), torch.set_num_threads, (1,)) as executor:
        results = tqdm(executor.map(train, runs), label, len(runs), unit="run", disable=None, dynamic_ncols=True)
        return dict(zip(runs, results, strict=True))


def train(run: Run) -> float:
    """The final distance of one run."""
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
