"""From records to what a person reads: the table and ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from agents.evaluation import EpisodeRecord
from agents.statistics import Summary, paired_interval
from gan_backbones.metrics import Score
from gan_env import GanInstance


def evaluation_json(
    suite: str, metric: str, instances: Sequence[GanInstance], summaries: Mapping[str, Summary]
) -> dict[str, Any]:
    """Content of ``evaluation.json``; every number is lower-is-better."""
    return {
        "suite": suite,
        "metric": metric,
        "instances": [instance.to_dict() for instance in instances],
        "methods": {
            name: {
                "final": list(summary.final),
                "median": summary.median,
                "iqm": summary.iqm,
                "ci95": list(summary.ci95),
                "p90": summary.p90,
            }
            for name, summary in summaries.items()
        },
    }


def comparison_table(
    agent: str, suite: str, metric: str, summaries: Mapping[str, Summary], finals: Mapping[str, NDArray[np.float64]]
) -> Table:
    """Methods side by side, and the agent's paired difference to each of the others."""
    count = len(finals[agent])
    table = Table(
        title=f"{suite}: {metric}, lower is better",
        caption=(
            f"{count} held-out instances, one training run. IQM: mean of the middle half, with its 95 % bootstrap "
            f"interval over instances; worst tenth: 90th percentile. The last column pairs {agent} with each method "
            "on the same instances; an interval that excludes 0 is a difference of this run, not of the algorithm."
        ),
    )
    # In a narrow terminal the two intervals wrap, never a name.
    table.add_column("method", no_wrap=True)
    for column in ("median", "IQM", "95 % interval", "worst tenth", f"{agent} minus it [95 %]"):
        table.add_column(column, justify="right", no_wrap=column in ("median", "IQM"))
    for name, summary in summaries.items():
        difference = ""
        if name != agent:
            value, (low, high) = paired_interval(finals[agent], finals[name])
            difference = f"{_number(value)} [{_number(low)}, {_number(high)}]"
        interval = f"[{_number(summary.ci95[0])}, {_number(summary.ci95[1])}]"
        table.add_row(name, _number(summary.median), _number(summary.iqm), interval, _number(summary.p90), difference)
    return table


def score_table(scores: Sequence[Score], title: str) -> Table:
    """All scores of one set of images or points, one a row."""
    table = Table("number", "value", "\u00b1", "real images", "better", title=title)
    for score in scores:
        spread, reached = ("" if number is None else f"{number:.4g}" for number in (score.error, score.real))
        table.add_row(score.name, f"{score.value:.4g}", spread, reached, score.better)
    return table


def one_sided_warning(name: str, records: Sequence[EpisodeRecord], knobs: Sequence[str]) -> str | None:
    """A sentence when a policy only ever lowers the rates: it learned to stop training, not to balance it."""
    rates = [name for name in knobs if name in ("lr_g", "lr_d")]
    columns = [knobs.index(name) for name in rates]
    raised = lowered = 0
    for record in records:
        start = np.log10([getattr(record.instance, name) for name in rates])
        path = np.array(record.log10_knobs)[:, columns]
        moves = np.diff(np.vstack([start, path]), axis=0)
        raised += int((moves > 1e-9).sum())
        lowered += int((moves < -1e-9).sum())
    if lowered and not raised:
        return f"warning: policy {name!r} only ever lowers the rates ({lowered} moves down, none up)"
    return None


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
