"""Find the best constant pair of learning rates of a suite and record it.

A grid of pairs, each tried on a few training instances; the best eighth is tried again on many others, and the
lowest interquartile mean wins. Validation and test instances are never touched.

Example: python scripts/best_static.py --suite ring
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from agents.best_static import RECORD, load_records
from agents.cli import fail_in_one_line
from agents.evaluation import Evaluator, finals, with_rates
from agents.predictors import NoopPredictor
from agents.run_folder import provenance
from agents.statistics import interquartile_mean
from gan_backbones.files import write_atomically
from gan_env import EnvConfig, GanInstance, get_suite


@dataclass(frozen=True)
class Options:
    """Options of best_static.py."""

    suite: str = "faces"
    """Suite to search."""
    points: int = 9
    """Grid points per rate, log-uniform over the suite's range of starting rates."""
    screening: int = 4
    """Training instances on which every pair is tried."""
    final: int = 32
    """Training instances on which the best eighth is tried again."""
    device: str = "cpu"
    """Where the GANs train."""
    num_envs: int = 32
    """GANs trained at once."""
    seed: int = 0
    """Seed of the training instances."""
    record: Path = Path(str(files("agents") / RECORD))
    """File to update."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    suite = get_suite(options.suite)
    if min(options.points, options.screening, options.final, options.num_envs) < 1:
        raise ValueError("--points, --screening, --final and --num-envs must be at least 1")
    evaluator = Evaluator(EnvConfig(suite=suite.name, knobs=("lr_g", "lr_d"), device=options.device), options.num_envs)
    rng = np.random.default_rng(options.seed)
    instances = [suite.sample(rng) for _ in range(options.screening + options.final)]
    if len(suite.tasks) > 1:
        raise ValueError(f"suite {suite.name!r} has several tasks; the best constant rates are those of one")
    (task,) = suite.tasks
    grids = [np.geomspace(*limits, options.points) for limits in task.start_ranges]
    pairs = list(itertools.product(*grids))
    started = time.monotonic()
    first = score(evaluator, pairs, instances[: options.screening], "screening")
    finalists = sorted(pairs, key=lambda pair: first[pair])[: max(1, len(pairs) // 8)]
    second = score(evaluator, finalists, instances[options.screening :], "final")
    lr_g, lr_d = min(finalists, key=lambda pair: second[pair])
    updates = task.decisions * task.updates_per_step
    record = {
        "lr_g": lr_g,
        "lr_d": lr_d,
        "iqm": second[lr_g, lr_d],
        "metric": evaluator.metric,
        "gan_updates": updates * (len(pairs) * options.screening + len(finalists) * options.final),
        "seconds": round(time.monotonic() - started),
        "screening": [[*pair, first[pair]] for pair in pairs],
        "final": [[*pair, second[pair]] for pair in finalists],
    } | provenance(options.device)
    records = load_records() | {suite.name: record}
    write_atomically(options.record, (json.dumps(records, indent=1) + "\n").encode())
    print(f"{suite.name}: lr_g {lr_g:.3g}, lr_d {lr_d:.3g}, IQM {record['iqm']:.3g}; recorded in {options.record}")


def score(
    evaluator: Evaluator, pairs: list[tuple[float, float]], instances: list[GanInstance], label: str
) -> dict[tuple[float, float], float]:
    """IQM of the final grades of each pair over ``instances``."""
    jobs = [instance for pair in pairs for instance in with_rates(instances, *pair)]
    total = sum(instance.decisions * instance.updates_per_step for instance in jobs)
    with tqdm(total=total, unit="update", desc=label, dynamic_ncols=True, disable=None) as bar:
        grades = finals(evaluator.evaluate(NoopPredictor(evaluator.codec), jobs, bar.update))
    rows = grades.reshape(len(pairs), len(instances))
    return {pair: float(interquartile_mean(row)) for pair, row in zip(pairs, rows, strict=True)}


if __name__ == "__main__":
    fail_in_one_line(main)
