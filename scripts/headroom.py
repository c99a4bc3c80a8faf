"""How much room is above one good schedule for a policy that turns the same knobs: what is luck, and what the problem.

Takes the schedule that a cell of a comparison has found, multiplies its two peak rates by a grid of factors, and plays
each on the same training starts, each start several times with other weights, latents and data. If the best pair of one
start is another than that of the next, and not by luck, a policy that finds out could do better than any schedule; what
a regression on the two starting rates can tell of it is measured on starts that it has not seen. And along the schedule
itself, what would it gain to watch the quality proxy and to stop at a good moment?

Example: python scripts/headroom.py runs/compare-ring --json headroom.json
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from agents.cli import fail_in_one_line, parse_overrides
from agents.evaluation import Evaluator, finals
from agents.methods import Context
from agents.methods.rules import open_loop_config, schedule
from agents.predictors import Predictor
from agents.run_folder import RunFolder, provenance
from agents.statistics.crossed import Estimate
from agents.statistics.headroom import Gain, Headroom, headroom, stopped
from gan_backbones.files import write_atomically
from gan_env import GanInstance
from gan_env.core import BalanceCore
from gan_env.knobs import KNOBS, RATE_KNOBS
from gan_env.mixed import MixedCore

METHOD = "best_schedule"
STOP_WITHIN = (0.1, 0.2, 0.3, 0.5)
"""Shares of the decisions, counted from the end, among which the best moment to stop is looked for."""


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
    starts: int = 64
    """Training starts."""
    replicates: int = 2
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
    if options.starts < 4 or options.replicates < 2 or options.num_envs < 1:
        raise ValueError("--starts must be at least 4, --replicates at least 2, --num-envs at least 1")
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
    stops = stopping(evaluator, schedule(config, cell["notes"]["values"]), problems, options.replicates)
    metric = evaluator.metric
    evaluator.close()
    cube = np.array(grades).reshape(len(factors), options.starts, options.replicates)
    features = np.log10([(one.lr_g, one.lr_d) for one in problems[:: options.replicates]])
    found = headroom(cube, factors.index((1.0, 1.0)), features)
    Console().print(as_table(cell, found, stops))
    if options.json is not None:
        record: dict[str, Any] = {
            "suite": cell["suite"],
            "metric": metric,
            "schedule": cell["notes"]["values"],
            "factors": factors,
            "starts": np.round(features, 5).tolist(),
            "headroom": dataclasses.asdict(found),
            "stopped": {str(last): dataclasses.asdict(gain) for last, gain in stops.items()},
            "grades": np.round(cube, 5).tolist(),
            "made": provenance("cpu"),
        }
        write_atomically(options.json, (json.dumps(record) + "\n").encode())


def replicated(context: Context, starts: int, replicates: int) -> list[GanInstance]:
    """Each training start several times in a row, with other seeds of the training distribution."""
    drawn = context.training(starts * replicates)
    return [dataclasses.replace(drawn[index - index % replicates], seed=one.seed) for index, one in enumerate(drawn)]


class Watched:
    """A predictor whose GANs are looked at before each of its decisions."""

    def __init__(self, predictor: Predictor, core: BalanceCore | MixedCore) -> None:
        self.predictor, self.core = predictor, core
        self.grades: list[NDArray[np.float64]] = []
        self.proxies: list[NDArray[np.float64]] = []

    def predict(self, observation: NDArray[np.float32], **options: Any) -> Any:
        rows = range(len(observation))
        self.grades.append(self.core.grade(rows))
        self.proxies.append(self.core.infos(rows)["fid_proxy"])
        return self.predictor.predict(observation, **options)


def stopping(
    evaluator: Evaluator, predictor: Predictor, problems: Sequence[GanInstance], replicates: int
) -> dict[int, Gain]:
    """By the number of last decisions that are watched; on all problems of the first's kind."""
    core = evaluator.core(problems[0])
    chosen = [problem for problem in problems if evaluator.core(problem) is core]
    parts = []
    for some in (chosen[index : index + core.size] for index in range(0, len(chosen), core.size)):
        watched = Watched(predictor, core)
        records = evaluator.evaluate(watched, some)
        ends = finals(records), np.array([record.final_proxy for record in records])
        looks = np.array(watched.grades)[1:, : len(some)], np.array(watched.proxies)[1:, : len(some)]
        parts.append([np.vstack([before, end]) for before, end in zip(looks, ends, strict=True)])
    grades, proxies = (np.hstack(one).reshape(len(one[0]), -1, replicates) for one in zip(*parts, strict=True))
    return {last: stopped(grades, proxies, last) for last in sorted({round(s * len(grades)) or 1 for s in STOP_WITHIN})}


def as_table(cell: dict[str, Any], found: Headroom, stops: dict[int, Gain]) -> Table:
    table = Table(title=f"{cell['suite']}: against the schedule of seed {cell['seed']}")
    for column in ("", "grades times", "probability of improvement"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("luck's share of the variance of log grades", f"{found.luck:.0%}", "")
    table.add_row("to improve with a probability of 0.75", f"{found.needed:.2f}", "0.75")
    differ = found.interaction
    table.add_row(
        f"starts differ in the peaks that they want (p = {differ.chance:.2g})", f"e^±{differ.deviation:.2f}", ""
    )
    gains = {
        "other peaks for all, chosen on other starts": found.other,
        "peaks by the starting rates, learned on other starts": found.told,
        "the latter against the former": found.told_beyond_other,
        "peaks in hindsight": found.hindsight,
    }
    gains |= {f"stopped at the best proxy of the last {last} decisions": gain for last, gain in stops.items()}
    for name, gain in gains.items():
        table.add_row(name, text(gain.ratio), text(gain.improvement))
    return table


def text(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


if __name__ == "__main__":
    fail_in_one_line(main)
