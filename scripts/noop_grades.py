"""Measure what GANs that are left alone reach on each data set: the unit in which suites of several data sets count.

The medians stand as ``noop_grade`` in gan_env/suites.py. Training instances alone are used.

Example: python scripts/noop_grades.py --suites ring grid faces
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from tqdm import tqdm

from agents.cli import fail_in_one_line
from agents.evaluation import Evaluator, finals
from agents.predictors import NoopPredictor
from agents.run_folder import provenance
from gan_backbones.files import write_atomically
from gan_env import SUITES, EnvConfig, get_suite


@dataclass(frozen=True)
class Options:
    """Options of noop_grades.py."""

    suites: tuple[str, ...] = ()
    """Suites to measure; by default all that have one task."""
    instances: int = 64
    """Training instances of each."""
    num_envs: int = 32
    """GANs trained at once."""
    seed: int = 1
    """Seed of the training instances."""
    json: Path | None = None
    """File for the record."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    if min(options.instances, options.num_envs) < 1:
        raise ValueError("--instances and --num-envs must be at least 1")
    names = options.suites or [name for name, suite in SUITES.items() if len(suite.all_tasks()) == 1]
    for name in names:
        if len(get_suite(name).all_tasks()) > 1:
            raise ValueError(f"suite {name!r} has several tasks; name suites of one")
    grades = {name: measure(name, options) for name in tqdm(names, desc="suites", disable=None)}
    record = {name: {"median": float(np.median(values)), "grades": values} for name, values in grades.items()}
    for name, entry in record.items():
        print(f"{name}: median {entry['median']:.4g}, worst {max(grades[name]):.4g}")
    if options.json is not None:
        write_atomically(options.json, (json.dumps(record | {"made": provenance("cpu")}, indent=1) + "\n").encode())


def measure(name: str, options: Options) -> list[float]:
    """Final grades of GANs left alone on training instances of a suite."""
    evaluator = Evaluator(EnvConfig(suite=name, knobs=("lr_g", "lr_d"), progress=True), options.num_envs)
    rng = np.random.default_rng(options.seed)
    instances = [evaluator.suite.sample(rng) for _ in range(options.instances)]
    grades = finals(evaluator.evaluate(NoopPredictor(evaluator.codec), instances))
    evaluator.close()
    return [float(grade) for grade in grades]


if __name__ == "__main__":
    fail_in_one_line(main)
