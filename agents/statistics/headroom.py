"""How much better than one setting for everybody could a method be that gives each problem its own?

Grades of several settings on the same problems, each trained several times: a *replicate* is the same problem with
other luck, which nobody knows beforehand. What replicates share can be known; the rest cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.statistics.crossed import Estimate
from agents.statistics.one_run import bootstrap_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """A choice of settings beside the common one, replicate by replicate."""

    ratio: Estimate
    """Geometric mean of its grades over those of the common setting; below 1 is better."""
    improvement: Estimate
    """Probability that it ends lower; ties count half."""

    @classmethod
    def of(cls, chosen: Floats, common: Floats) -> Gain:
        """From log grades ``(problems, replicates)``. Intervals are over the problems."""
        return cls(
            Estimate(*np.exp(_mean(chosen - common)).tolist()),
            Estimate(*_mean((chosen < common) + 0.5 * (chosen == common)).tolist()),
        )


@dataclass(frozen=True)
class Headroom:
    """What is left above the common setting."""

    luck: float
    """Share of the variance of the common setting's log grades that lies between replicates of a problem."""
    needed: float
    """By what factor all grades of the common setting would have to fall for an improvement over themselves, trained
    again, with a probability of three quarters."""
    adapted: Gain
    """Each problem gets the setting that is best, by the mean log grade, on its *other* replicates: what can be known
    of a problem."""
    hindsight: Gain
    """Each replicate gets its best setting, of which luck makes most: no method can be better than this."""


def headroom(grades: Floats, common: int) -> Headroom:
    """From positive grades ``(settings, problems, replicates)``, lower is better, and the number of the common setting.

    Raises ``ValueError`` for fewer than two problems or replicates.
    """
    if grades.ndim != 3 or min(grades.shape[1:]) < 2:
        raise ValueError(f"grades need 2 problems and 2 replicates at least, not {grades.shape[1:]}")
    logs = np.log(grades)
    ours, replicates = logs[common], logs.shape[2]
    adapted = np.empty_like(ours)
    for held_out in range(replicates):
        seen = np.delete(logs, held_out, axis=2).mean(axis=2)
        adapted[:, held_out] = np.take_along_axis(logs[:, :, held_out], seen.argmin(axis=0)[None], axis=0)[0]
    one, other = np.nonzero(~np.eye(replicates, dtype=bool))
    return Headroom(
        luck=_luck(ours),
        needed=float(np.exp(-np.quantile(ours[:, one] - ours[:, other], 0.75))),
        adapted=Gain.of(adapted, ours),
        hindsight=Gain.of(logs.min(axis=0), ours),
    )


def stopped(grades: Floats, proxies: Floats, last: int) -> Gain:
    """What it gains to stop at the best of the ``last`` moments by the proxy instead of at the end.

    Both are lower-is-better ``(moments, trainings)``, the end being the last moment.
    """
    logs = np.log(grades)
    best = proxies[-last:].argmin(axis=0)
    chosen = np.take_along_axis(logs[-last:], best[None], axis=0)[0]
    return Gain.of(chosen[:, None], logs[-1][:, None])


def _luck(logs: Floats) -> float:
    """Variance within problems over that within and between them, ``(problems, replicates)``; 1 where there is none."""
    within = float(logs.var(axis=1, ddof=1).mean())
    between = max(0.0, float(logs.mean(axis=1).var(ddof=1)) - within / logs.shape[1])
    return within / (within + between) if within + between else 1.0


def _mean(values: Floats) -> Floats:
    """The mean over problems and replicates, and the bounds of its interval over the problems."""
    interval = bootstrap_interval(values.mean(axis=1), lambda drawn: drawn.mean(axis=-1))
    return np.array([values.mean(), *interval])
