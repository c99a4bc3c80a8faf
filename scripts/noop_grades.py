"""Measure what GANs that are left alone reach in each task: the unit in which suites of several tasks count.

The medians, and the lowest tenths over them, stand as ``noop_grade`` and ``noop_tenth`` in gan_env/suites.py. Training
instances alone are used; divergence counts as the worst grade, collapse is not looked for.

Example: python scripts/noop_grades.py --data ring faces
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from tqdm import tqdm

from agents.cli import fail_in_one_line
from agents.evaluation import Evaluator, finals
from agents.predictors import NoopPredictor
from agents.run_folder import provenance
from gan_backbones.files import read_json, write_atomically
from gan_env import SUITES, EnvConfig, Task


@dataclass(frozen=True)
class Options:
    """Options of noop_grades.py."""

    data: tuple[str, ...] = ()
    """Data sets whose tasks to measure; by default all."""
    instances: int = 64
    """Training instances of each task."""
    num_envs: int = 32
    """GANs trained at once."""
    seed: int = 1
    """Seed of the training instances."""
    json: Path | None = None
    """File for the record, written after every task; the tasks that it holds already are not measured again."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    if min(options.instances, options.num_envs) < 1:
        raise ValueError("--instances and --num-envs must be at least 1")
    tasks = {task.title: task for suite in SUITES.values() for task in suite.all_tasks()}
    chosen = {name: task for name, task in tasks.items() if not options.data or task.data in options.data}
    unknown = sorted(set(options.data) - {task.data for task in tasks.values()})
    if unknown:
        known = sorted({task.data for task in tasks.values()})
        raise ValueError(f"no suite trains on {unknown[0]!r}; known: {', '.join(known)}")
    record = {} if options.json is None or not options.json.exists() else read_record(options.json)
    for name, task in tqdm(sorted(chosen.items()), desc="tasks", disable=None):
        if name in record:
            continue
        grades = measure(task, options)
        record[name] = {"median": float(np.median(grades)), "grades": grades, "made": provenance("cpu")}
        median, tenth = np.median(grades), np.quantile(grades, 0.1)
        print(f"{name}: median {median:.5g}, lowest tenth over it {tenth / median:.3g}, worst {max(grades):.4g}")
        if options.json is not None:
            write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())


def read_record(path: Path) -> dict[str, Any]:
    """What has been measured, by the names of the tasks. Raises ``ValueError`` for another file."""
    try:
        record = dict(read_json(path))
        if not all(len(entry["grades"]) for entry in record.values()):
            raise KeyError("grades")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"--json {path}: there is a file, and it is no record of this script: {error}") from None
    return record


def measure(task: Task, options: Options) -> list[float]:
    """Final grades of GANs left alone on training instances."""
    config = EnvConfig(
        suite="ring" if task.resolution is None else "faces",
        data=task.data,
        backbone_options=task.backbone_options,
        loss=task.loss,
        betas=task.betas,
        constants=task.constants,
        updates_per_step=task.updates_per_step,
        decisions=task.decisions,
        knobs=("lr_g", "lr_d"),
        measure_quality=False,
        reward="stability",
        progress=True,
    )
    evaluator = Evaluator(config, options.num_envs)
    rng = np.random.default_rng(options.seed)
    instances = [evaluator.suite.sample(rng) for _ in range(options.instances)]
    grades = finals(evaluator.evaluate(NoopPredictor(evaluator.codec), instances))
    evaluator.close()
    return [float(grade) for grade in grades]


if __name__ == "__main__":
    fail_in_one_line(main)
