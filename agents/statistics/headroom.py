"""How much better than one setting for everybody could a method be that gives each problem its own?

Grades of several settings on the same problems, each trained several times: a *replicate* is the same problem with
other luck, which nobody knows beforehand. What replicates share could be known; how much of it a policy can tell from
what it sees at the start is what a regression on that says, always of problems that it was not fitted to.
"""

from __future__ import annotations

import itertools
import math
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
class Interaction:
    """How far problems differ in the settings that they want, beyond luck."""

    deviation: float
    """Standard deviation of what a setting's log grade owes to the problem that it meets; 0 where luck explains all."""
    chance: float
    """Probability of at least as much where problems do not differ: share of permutations of all trainings over
    the problems."""


@dataclass(frozen=True)
class Headroom:
    """What is left above the common setting."""

    luck: float
    """Share of the variance of the common setting's log grades that lies between replicates of a problem."""
    needed: float
    """By what factor all grades of the common setting would have to fall for an improvement over themselves, trained
    again, with a probability of three quarters."""
    interaction: Interaction
    """Among the :data:`NEAR` best settings."""
    other: Gain
    """Everybody gets the setting that is best on the *other* problems."""
    told: Gain
    """Each problem gets the setting that its features promise, by what the *other* problems teach of them."""
    told_beyond_other: Gain
    """The latter beside the former: what it is worth to tell problems apart."""
    hindsight: Gain
    """Each replicate gets its best setting, of which luck makes most: no choice among these settings can do better."""


NEAR = 10
"""Settings, by their mean log grade, that are looked at for whether problems want different ones."""
_PERMUTATIONS = 2000
_PENALTIES = (0.1, 1.0, 10.0, 100.0, math.inf)
"""Of the ridge regression, in standard deviations of a feature; with the last one, all problems are the same."""


def headroom(grades: Floats, common: int, features: Floats) -> Headroom:
    """From positive grades ``(settings, problems, replicates)``, lower is better, the number of the common setting, and
    what can be known of each problem beforehand, ``(problems, features)``.

    A replicate has the same luck under all settings, as far as that is possible. Raises ``ValueError`` for fewer than
    four problems or two replicates, and for features of another number of problems.
    """
    if grades.ndim != 3 or grades.shape[1] < 4 or grades.shape[2] < 2:
        raise ValueError(f"grades need 4 problems and 2 replicates at least, not {grades.shape[1:]}")
    if len(features) != grades.shape[1]:
        raise ValueError(f"there are {len(features)} problems with features, and {grades.shape[1]} with grades")
    logs = np.log(grades)
    ours, (problems, replicates) = logs[common], logs.shape[1:]
    typical = logs.mean(axis=2)
    terms = _quadratic(features)
    other, told = np.empty_like(ours), np.empty_like(ours)
    for problem in range(problems):
        rest = np.arange(problems) != problem
        other[problem] = logs[typical[:, rest].mean(axis=1).argmin(), problem]
        promised = _ridge(terms[rest], typical[:, rest].T, terms[problem])
        told[problem] = logs[promised.argmin(), problem]
    one, another = np.nonzero(~np.eye(replicates, dtype=bool))
    return Headroom(
        luck=_luck(ours),
        needed=float(np.exp(-np.quantile(ours[:, one] - ours[:, another], 0.75))),
        interaction=_interaction(logs[np.argsort(typical.mean(axis=1))[:NEAR]]),
        other=Gain.of(other, ours),
        told=Gain.of(told, ours),
        told_beyond_other=Gain.of(told, other),
        hindsight=Gain.of(logs.min(axis=0), ours),
    )


def _quadratic(features: Floats) -> Floats:
    """Standardised features, their squares and products, ``(problems, terms)``."""
    scaled = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-12)
    pairs = itertools.combinations_with_replacement(range(features.shape[1]), 2)
    products = [scaled[:, left] * scaled[:, right] for left, right in pairs]
    return np.column_stack([scaled, *products])


def _ridge(terms: Floats, values: Floats, at: Floats) -> Floats:
    """Values ``(settings,)`` at the terms ``at``, from those of other problems, ``(problems, settings)``; the penalty
    is the one that predicts each of these best from the rest."""
    mean = terms.mean(axis=0)
    centred, level = terms - mean, values.mean(axis=0)
    best, promised = math.inf, level
    for penalty in _PENALTIES:
        inverse = np.zeros((terms.shape[1],) * 2)
        if penalty < math.inf:
            inverse = np.linalg.inv(centred.T @ centred + penalty * np.eye(terms.shape[1]))
        influence = np.diag(centred @ inverse @ centred.T) + 1 / len(terms)
        weights = inverse @ centred.T @ (values - level)
        left_out = (values - level - centred @ weights) / (1 - influence)[:, None]
        if (error := float((left_out**2).mean())) < best:
            best, promised = error, level + (at - mean) @ weights
    return promised


def _interaction(logs: Floats) -> Interaction:
    """Of log grades ``(settings, problems, replicates)``."""
    settings, _, replicates = logs.shape
    if settings < 2:
        return Interaction(0.0, 1.0)
    relative = logs - logs.mean(axis=0)
    within = relative.var(axis=2, ddof=1).mean()
    excess = relative.mean(axis=2).var(axis=1, ddof=1).mean() - within / replicates
    rng = np.random.default_rng(0)
    flat = relative.reshape(settings, -1)
    spread = relative.mean(axis=2).var(axis=1).mean()
    as_large = 0
    for _ in range(_PERMUTATIONS):
        shuffled = rng.permutation(flat, axis=1).reshape(logs.shape)
        as_large += shuffled.mean(axis=2).var(axis=1).mean() >= spread * (1 - 1e-12)
    deviation = math.sqrt(max(0.0, excess) * settings / (settings - 1))
    return Interaction(deviation, float((1 + as_large) / (1 + _PERMUTATIONS)))


def stopped(grades: Floats, proxies: Floats, last: int) -> Gain:
    """What it gains to stop at the best of the ``last`` moments by the proxy instead of at the end.

    Both are lower-is-better ``(moments, problems, replicates)``, the end being the last moment.
    """
    logs = np.log(grades)
    best = proxies[-last:].argmin(axis=0)
    chosen = np.take_along_axis(logs[-last:], best[None], axis=0)[0]
    return Gain.of(chosen, logs[-1])


def _luck(logs: Floats) -> float:
    """Variance within problems over that within and between them, ``(problems, replicates)``; 1 where there is none."""
    within = float(logs.var(axis=1, ddof=1).mean())
    between = max(0.0, float(logs.mean(axis=1).var(ddof=1)) - within / logs.shape[1])
    return within / (within + between) if within + between else 1.0


def _mean(values: Floats) -> Floats:
    """The mean over problems and replicates, and the bounds of its interval over the problems."""
    interval = bootstrap_interval(values.mean(axis=1), lambda drawn: drawn.mean(axis=-1))
    return np.array([values.mean(), *interval])
