"""mspg against dcgan after the same wall time: the Frechet distance of EfficientNet-lite0's sixth block at 64 pixels.

The machine is shared, so time is counted by the costs per update that the part ``cost`` measured side by side in one
process (``cost.json``): the first contender makes ``--budget.updates`` updates, each other one as many as take as long.

The rule, fixed before the runs: a contender is *better* than the first when the 95 % bootstrap interval of the
difference of their interquartile means over the seeds lies below 0, *worse* when it lies above 0. Rates and
widths are to be chosen on seeds that no reported run uses, such as ``--seeds 100 101``; ``--record`` names the record
of such a trial.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from agents.statistics import bootstrap_interval, interquartile_mean, paired_interval
from mspg_parts.cost import mean_cost, scale_count
from mspg_parts.recipes import RIVALS
from mspg_parts.runs import Budget, play, read_gan
from mspg_parts.study import Study, figure_path, positive, show


@dataclass(frozen=True)
class EqualTimeOptions:
    """mspg against dcgan after the same wall time."""

    rivals: tuple[str, ...] = (
        "dcgan",
        "dcgan, feature terms",
        "mspg lite",
        "mspg lite, all four terms",
        "mspg lite, all four terms, growing over half",
    )
    """What to compare; the first sets the time."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of weights, latents and batches."""
    budget: Budget = field(default_factory=lambda: Budget(updates=1200, looks=6))
    """Data, and the updates of the first contender."""
    rates: tuple[float, float] | None = None
    """Of generator and discriminator, for all rivals instead of their own: for trials."""
    record: str = "equal-time"
    """Name of the record and the figure."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def run(options: EqualTimeOptions) -> None:
    """Train, print, draw and record."""
    positive(options, "rivals", "seeds")
    unknown = [name for name in options.rivals if name not in RIVALS]
    if unknown:
        raise ValueError(f"unknown rival {unknown[0]!r}; known: {', '.join(RIVALS)}")
    rivals = {name: RIVALS[name] for name in options.rivals}
    if options.rates is not None:
        lr_g, lr_d = options.rates
        rivals = {name: replace(recipe, lr_g=lr_g, lr_d=lr_d) for name, recipe in rivals.items()}
    costs = read_costs(options)
    updates = {name: updates_in_time(options.budget, cost) for name, cost in costs.items()}
    cells = [
        recipe.cell(name, seed, options.budget.arguments(updates[name]))
        for seed in options.seeds
        for name, recipe in rivals.items()
    ]
    rows = list(map(read_gan, cells, play(cells, options.study, "equal time")))
    summary = summarise(rows)
    first = options.rivals[0]
    show(
        f"FD after the time of {options.budget.updates} updates of {first}, {len(options.seeds)} seeds",
        ("", "updates", "cost", "lost", "IQM", "95 % interval", f"minus {first}", "verdict"),
        [
            (name, str(updates[name]), f"{costs[name]:.2f}", str(told["lost"]), *_words(told))
            for name, told in summary.items()
        ],
    )
    options.study.record(options.record, options, rows, relative_cost=costs, summary=summary)
    draw(rows, costs).savefig(figure_path(options.study, f"mspg-{options.record}.png"), dpi=80)


def read_costs(options: EqualTimeOptions) -> dict[str, float]:
    """Mean cost of an update of each rival, in units of the first one's."""
    path = options.study.output / "cost.json"
    try:
        known = {row["name"]: row["of_first"] for row in json.loads(path.read_text())["rows"]}
    except OSError:
        raise ValueError(f"{path} is missing; run the part cost first") from None
    scales = scale_count(options.budget.resolution)
    try:
        costs = {name: mean_cost(name, RIVALS[name], known, scales) for name in options.rivals}
    except KeyError as missing:
        raise ValueError(f"{path} does not tell the cost of {missing}; run the part cost again") from None
    return {name: cost / costs[options.rivals[0]] for name, cost in costs.items()}


def updates_in_time(budget: Budget, cost: float) -> int:
    """Whole decisions' updates in the time of the budget, where one of them costs so many of the first contender's."""
    return int(budget.updates / cost) // budget.updates_per_decision * budget.updates_per_decision


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By name: IQM of the distance over seeds and its interval; the difference to the first, and the verdict.

    A GAN that was lost counts as the worst of all that were not; the number is told.
    """
    names = list(dict.fromkeys(row["name"] for row in rows))
    worst = max((row["scores"]["FD"] for row in rows if row["scores"]), default=np.inf)
    values = {name: np.array([row["scores"].get("FD", worst) for row in rows if row["name"] == name]) for name in names}
    summary: dict[str, Any] = {}
    for name, own in values.items():
        summary[name] = {
            "n": len(own),
            "lost": sum(not row["scores"] for row in rows if row["name"] == name),
            "iqm": float(interquartile_mean(own)),
            "ci95": bootstrap_interval(own),
        }
        if name != names[0]:
            difference, interval = paired_interval(own, values[names[0]])
            verdict = "better" if interval[1] < 0 else "worse" if interval[0] > 0 else "undecided"
            summary[name] |= {"difference": difference, "difference_ci95": interval, "verdict": verdict}
    return summary


def _words(told: dict[str, Any]) -> tuple[str, ...]:
    """IQM, its interval, the difference to the first with its own, and the verdict, as the table shows them."""
    own = f"{told['iqm']:.0f}", "[{:.0f}, {:.0f}]".format(*told["ci95"])
    if "verdict" not in told:
        return *own, "", ""
    return *own, "{:.0f} [{:.0f}, {:.0f}]".format(told["difference"], *told["difference_ci95"]), told["verdict"]


def draw(rows: list[dict[str, Any]], costs: dict[str, float]) -> Figure:
    """Distance against time and against images, every seed thin, their mean thick."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for index, (name, cost) in enumerate(costs.items()):
        curves = [np.array(row["curve"]) for row in rows if row["name"] == name and row["ended"] is None]
        for axis, unit in zip(panels, (cost, 1.0), strict=True):
            for curve in curves:
                axis.plot(unit * curve[:, 0], curve[:, 1], color=f"C{index}", alpha=0.3, linewidth=0.8)
            if curves:
                mean = np.mean(curves, axis=0)
                axis.plot(unit * mean[:, 0], mean[:, 1], color=f"C{index}", linewidth=2, label=name)
    for axis, label in zip(panels, (f"time, in updates of {next(iter(costs))}", "updates"), strict=True):
        axis.set_xlabel(label)
        axis.set_yscale("log")
        axis.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("Frechet distance")
    panels[0].legend()
    return figure
