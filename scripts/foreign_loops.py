"""What a balancer does in GAN loops that know nothing of this project, from bad starting rates and from good ones.

For each loop of examples/foreign_loops: the best constant pair of rates, searched on seeds of its own; then, from four
bad pairs and from that one, the loop left alone and the loop balanced, over further seeds. The rule that tells what the
balancer is worth stands in agents/rescue.py.

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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from agents.balancer import Balancer
from agents.cli import fail_in_one_line
from agents.rescue import ALLOWED, ENOUGH, HARMFUL, Rescue, judge_start
from agents.run_folder import provenance
from agents.side_by_side import side_by_side
from agents.statistics.crossed import Estimate
from gan_backbones.files import read_json, write_atomically

FOLDER = Path(__file__).parents[1] / "examples" / "foreign_loops"
LOOPS = ("moons_wgan_gp", "digits_lsgan", "patches_hinge")
BAD_STARTS = ((1e-5, 1e-2), (1e-2, 1e-5), (3e-2, 3e-2), (1e-5, 1e-5))
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
    """Of the loop's file and of what the policy decides by: a run of a changed one is another run."""


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
    grid: tuple[float, ...] = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
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
    study.findings["warnings"] = [line for loop in options.loops for line in edges(loop, tuned[loop], options.grid)]
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
        judged = [judge(loop, tuned[loop], settled, options.policy) for loop in options.loops]
        study.findings["rows"] = [row for rows, _ in judged for row in rows]
        study.findings["verdicts"] = [verdict for _, verdict in judged]
    study.keep()
    report(study.findings, options.seeds)


class Study:
    """Trainings, each made once, and their record."""

    def __init__(self, options: Options) -> None:
        """Raises ``ValueError`` for a policy or a record that cannot be read."""
        self.options = options
        self.findings: dict[str, list[Any]] = {"rows": [], "verdicts": [], "warnings": []}
        content = "" if options.policy is None else Balancer.load(options.policy).policy.digest
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
        missing = [run for run in dict.fromkeys(runs) if run not in self._finals]
        for place, value in side_by_side(train, [(run,) for run in missing], label):
            self._finals[missing[place]] = value
            self.keep()
        return by_setting({run: self._finals[run] for run in runs})

    def keep(self) -> None:
        """Write the record, if one is wanted."""
        if self.options.json is None:
            return
        record = {
            **self.findings,
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


def train(run: Run) -> float:
    """The final distance of one run; infinity where it is not finite."""
    module = load_loop(run.loop)
    length = {} if run.updates is None else {"updates": run.updates}
    value = float(module.train(run.lr_g, run.lr_d, run.seed, policy=run.policy, **length))
    return value if math.isfinite(value) else math.inf


def load_loop(name: str) -> Any:
    """The module of a loop."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its classes look for their module
    spec.loader.exec_module(module)
    return module


def by_setting(finals: Mapping[Run, float]) -> dict[Setting, list[float]]:
    """Distances over the seeds of each loop, pair of rates and policy, in the order of the runs."""
    grouped: dict[Setting, list[float]] = {}
    for run, value in finals.items():
        grouped.setdefault((run.loop, run.lr_g, run.lr_d, run.policy), []).append(value)
    return grouped


def best_pair(tried: Mapping[Setting, list[float]], loop: str) -> tuple[float, float]:
    """The rates with the lowest median."""
    medians = {(lr_g, lr_d): np.median(values) for (name, lr_g, lr_d, _), values in tried.items() if name == loop}
    return min(medians, key=lambda pair: medians[pair])


def edges(loop: str, tuned: tuple[float, float], grid: Sequence[float]) -> list[str]:
    """A warning for each tuned rate at an end of the grid, beyond which a better one may lie."""
    ends = {min(grid): "smallest", max(grid): "largest"}
    return [
        f"{loop}: the tuned rate of the {network}, {rate:g}, is the {ends[rate]} of --grid; a better one may lie beyond"
        for network, rate in zip(("generator", "discriminator"), tuned, strict=True)
        if rate in ends
    ]


def judge(
    loop: str, tuned: tuple[float, float], settled: Mapping[Setting, list[float]], policy: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per start, that from the tuned rates last; and what they say together."""
    name, reference = load_loop(loop).NAME, settled[(loop, *tuned, None)]
    rows, starts = [], []
    for pair in (*BAD_STARTS, tuned):
        alone, balanced = (settled[(loop, *pair, who)] for who in (None, policy))
        try:
            start = judge_start(alone, balanced, reference)
        except ValueError as error:
            raise ValueError(f"{loop}: {error}") from None
        starts.append(start)
        rows.append(
            {
                "loop": loop,
                "name": name,
                "start": list(pair),
                "tuned": False,
                "left_alone": float(np.median(alone)),
                "balanced": float(np.median(balanced)),
                **_flat("left_alone_ratio", start.alone),
                **_flat("ratio", start.balanced),
                "worst_ratio": start.worst,
                **_flat("change", start.change),
                "verdict": "not bad" if not start.bad else "rescued" if start.rescued else "not rescued",
            }
        )
    *others, good = starts
    rows[-1] |= {"tuned": True, "verdict": "no harm shown" if good.harmless else "harm"}
    rescue = Rescue.of(others)
    verdict = {
        "loop": loop,
        "name": name,
        "tuned": list(tuned),
        "reference": float(np.median(reference)),
        "starts": len(others),
        **asdict(rescue),
        "wanted": rescue.wanted,
        "reached": rescue.reached,
        **_flat("change", good.change),
        "harmless": good.harmless,
    }
    return rows, verdict


def _flat(name: str, one: Estimate) -> dict[str, Any]:
    return {name: one.value, f"{name}_ci95": [one.low, one.high]}


def _interval(row: Mapping[str, Any], name: str) -> str:
    return "{:.3g} [{:.3g}, {:.3g}]".format(row[name], *row[f"{name}_ci95"])


def report(findings: Mapping[str, list[Any]], seeds: int) -> None:
    """Print the table, what it says of each loop, and the warnings."""
    console = Console()
    if findings["rows"]:
        table = Table(
            title=f"final distance over that of the tuned rates, medians of {seeds} seeds [95 %]; lower is better"
        )
        for column in ("loop", "start G, D", "left alone", "balanced", "worst seed", ""):
            table.add_column(column, justify="right" if column in ("left alone", "balanced", "worst seed") else "left")
        for row in findings["rows"]:
            ratios = _interval(row, "left_alone_ratio"), _interval(row, "ratio"), f"{row['worst_ratio']:.3g}"
            start = "{:.3g}, {:.3g}".format(*row["start"]) + (" (tuned)" if row["tuned"] else "")
            table.add_row(row["name"], start, *ratios, row["verdict"])
        console.print(table)
    for verdict in findings["verdicts"]:
        console.print(told(verdict), highlight=False)
    for line in findings["warnings"]:
        console.print(f"warning: {line}", highlight=False)


def told(verdict: Mapping[str, Any]) -> str:
    """One loop in words."""
    bad = f"{verdict['bad']} of {verdict['starts']} starts are bad (at least {HARMFUL:g} times the tuned distance)"
    if verdict["reached"] is None:
        rescue = "nothing to rescue"
    else:
        judged = "reached" if verdict["reached"] else "NOT REACHED"
        rescue = (
            f"{verdict['rescued']} of these balanced to within {ALLOWED:g} times it "
            f"({judged}: {verdict['wanted']} wanted, {ENOUGH:.0%} of the bad)"
        )
    harm = "no harm shown" if verdict["harmless"] else "HARM"
    return f"{verdict['name']}: {bad}; {rescue}. From the tuned rates {_interval(verdict, 'change')} times ({harm})."


if __name__ == "__main__":
    fail_in_one_line(main)
