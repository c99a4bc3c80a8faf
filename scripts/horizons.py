"""One training of GANs, decided on more or less often: what a policy makes of it at each number of decisions.

The instances are a suite's validation instances. A policy that was trained at one number of decisions knows nothing of
others; one that is to be used elsewhere must.

Example: python scripts/horizons.py runs/varied-dqn-0 --decisions 25 250 2500
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from agents.cli import fail_in_one_line
from agents.evaluation import Evaluator, finals
from agents.predictors import NoopPredictor
from agents.run_folder import provenance
from agents.statistics import Summary
from agents.trained import load_run
from gan_backbones.files import write_atomically
from gan_env import ActionCodec, get_suite


@dataclass(frozen=True)
class Options:
    """Options of horizons.py."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Run folder that train_agent.py wrote, of a policy that needs no quality proxy."""
    suite: str = "ring"
    """Suite whose GANs are trained."""
    updates: int = 2500
    """GAN updates of a training; every number of decisions divides it."""
    decisions: tuple[int, ...] = (25, 250, 2500)
    """Decisions of a training."""
    json: Path | None = None
    """File for the record."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    odd = [count for count in options.decisions if count < 1 or options.updates % count]
    if odd or not options.decisions:
        raise ValueError(f"--decisions must each divide --updates ({options.updates})")
    get_suite(options.suite)
    policy, config, _ = load_run(options.run_dir)
    table = Table(title=f"{options.suite}: {options.updates} updates, lower is better")
    for column in (
        "decisions",
        "policy: IQM",
        "95 % interval",
        "nine tenths below",
        "left alone: IQM",
        "95 % interval",
    ):
        table.add_column(column, justify="right")
    record: dict[str, Any] = {}
    for count in options.decisions:
        evaluator = Evaluator(
            dataclasses.replace(
                config,
                suite=options.suite,
                decisions=count,
                updates_per_step=options.updates // count,
                measure_quality=False,
                reward="stability",
            ),
            32,
        )
        instances = evaluator.suite.instances("validation")
        turns = ActionCodec("discrete", config.knobs, config.moves)  # its no-op, whatever the policy's action type
        grades = {
            "policy": finals(evaluator.evaluate(policy, instances)),
            "noop": finals(evaluator.evaluate(NoopPredictor(turns), instances, codec=turns)),
        }
        evaluator.close()
        steered, alone = (Summary.of(grades[name]) for name in ("policy", "noop"))
        interval, other = (f"[{one.ci95[0]:.3g}, {one.ci95[1]:.3g}]" for one in (steered, alone))
        decile = f"{steered.p90:.3g}"
        table.add_row(str(count), f"{steered.iqm:.3g}", interval, decile, f"{alone.iqm:.3g}", other)
        record[str(count)] = {name: values.tolist() for name, values in grades.items()}
    Console().print(table)
    if options.json is not None:
        made = {"metric": get_suite(options.suite).all_tasks()[0].metric, "made": provenance("cpu")}
        write_atomically(options.json, (json.dumps({"grades": record} | made, indent=1) + "\n").encode())


if __name__ == "__main__":
    fail_in_one_line(main)
