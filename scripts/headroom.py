"""How much room is above one good schedule for a policy that turns the same knobs: what is luck, and what the problem.

Takes the schedule that a cell of a comparison has found, multiplies its two peak rates by a grid of factors, and plays
each on the same training starts, each start several times with other weights, latents and data. If the best pair of one
start were another than that of the next, and not by luck, a policy that finds out could do better than any schedule.

Example: python scripts/headroom.py runs/compare-ring --json headroom.json
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from agents.cli import fail_in_one_line, parse_overrides
from agents.evaluation import Evaluator, finals
from agents.methods import Context
from agents.methods.rules import open_loop_config, schedule
from agents.run_folder import RunFolder, provenance
from agents.statistics.crossed import Estimate
from agents.statistics.headroom import Headroom, headroom
from gan_backbones.files import write_atomically
from gan_env import GanInstance
from gan_env.knobs import KNOBS, RATE_KNOBS

METHOD = "best_schedule"


@dataclass(frozen=True)
class Options:
    """Options of headroom.py."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Run folder of compare.py with a finished cell of best_schedule."""
    table: Literal["rescue", "free"] = "rescue"
    """Table of the cell."""
    cell_seed: int = 0
    """Its seed."""
    factors: tuple[float, ...] = (0.3, 0.55, 1.0, 1.8, 3.3)
    """What each peak rate is multiplied by; 1 must be among them."""
    starts: int = 32
    """Training starts."""
    replicates: int = 4
    """Trainings of each start with each schedule."""
    seed: int = 900
    """Decides the starts; no cell of a comparison with fewer seeds has seen them."""
    num_envs: int = 64
    """GANs trained at once."""
    json: Path | None = None
    """File for the record."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    if 1.0 not in options.factors or min(options.factors) <= 0:
        raise ValueError("--factors must be positive, and 1 among them")
    if min(options.starts, options.replicates) < 2 or options.num_envs < 1:
        raise ValueError("--starts and --replicates must be at least 2, --num-envs at least 1")
    folder = RunFolder.existing(options.run_dir)
    cell = folder.read_json(f"cells/{options.table}/{METHOD}/{options.cell_seed}/cell.json")
    env = parse_overrides(folder.read_json("config.json")["options"]["env"], "--env")
    context = Context(cell["suite"], cell["table"], options.seed, 0, env)
    config = open_loop_config(context)
    evaluator = Evaluator(config, options.num_envs)
    problems = replicated(context, options.starts, options.replicates)
    factors = list(itertools.product(sorted(options.factors), repeat=2))
    grades = []
    for pair in tqdm(factors, desc="schedules", disable=None):
        rates = dict(zip(RATE_KNOBS, pair, strict=True))
        values = cell["notes"]["values"] | {
            knob: float(np.clip(cell["notes"]["values"][knob] * factor, KNOBS[knob].low, KNOBS[knob].high))
            for knob, factor in rates.items()
        }
        grades.append(finals(evaluator.evaluate(schedule(config, values), problems)))
    metric = evaluator.metric
    evaluator.close()
    cube = np.array(grades).reshape(len(factors), options.starts, options.replicates)
    found = headroom(cube, factors.index((1.0, 1.0)))
    Console().print(as_table(cell, found))
    if options.json is not None:
        record: dict[str, Any] = {
            "suite": cell["suite"],
            "metric": metric,
            "schedule": cell["notes"]["values"],
            "factors": factors,
            "headroom": dataclasses.asdict(found),
            "grades": np.round(cube, 5).tolist(),
            "made": provenance("cpu"),
        }
        write_atomically(options.json, (json.dumps(record) + "\n").encode())


def replicated(context: Context, starts: int, replicates: int) -> list[GanInstance]:
    """Each training start several times in a row, with other seeds of the training distribution."""
    drawn = context.training(starts * replicates)
    return [dataclasses.replace(drawn[index - index % replicates], seed=one.seed) for index, one in enumerate(drawn)]


def as_table(cell: dict[str, Any], found: Headroom) -> Table:
    table = Table(title=f"{cell['suite']}: against the schedule of seed {cell['seed']}", show_header=False)
    for column in ("what", "how much"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("variance of log grades that is luck", f"{found.luck:.0%}")
    table.add_row("factor on all grades that improvement 0.75 takes", f"{found.needed:.2f}")
    for name, gain in (("peaks for each start, other luck", found.adapted), ("in hindsight", found.hindsight)):
        table.add_row(f"{name}: grades times", text(gain.ratio))
        table.add_row(f"{name}: probability of improvement", text(gain.improvement))
    return table


def text(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


if __name__ == "__main__":
    fail_in_one_line(main)
