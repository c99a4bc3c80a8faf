"""Where each method of a table stands, and how one policy fares against each of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.statistics import crossed, reliable
from agents.statistics.crossed import CrossedBootstrap, Estimate
from agents.statistics.one_run import interquartile_mean
from agents.statistics.scores import Scale

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """One method. Scores are higher-is-better and absent without a scale; grades are lower-is-better."""

    runs: int
    median: float
    """Median grade over all runs and instances."""
    worst_tenth: Estimate
    """The grade that a tenth of all (run, instance) pairs exceeds."""
    failed: float
    """Share of (run, instance) pairs that diverged or collapsed."""
    score: Estimate | None = None
    """IQM of the normalised score; runs and instances resampled."""
    score_over_runs: Estimate | None = None
    """The same with rliable's interval: instances fixed, every score resampled among the runs."""
    optimality_gap: Estimate | None = None


@dataclass(frozen=True)
class Duel:
    """One policy against one rival, on the same instances."""

    improvement: Estimate
    """P(the policy's grade is lower than the rival's on the same instance); a tie counts half."""
    worst_tenth_ratio: Estimate
    """The policy's worst tenth over the rival's; below 1 is better."""
    difference: Estimate | None = None
    """IQM score of the policy minus the rival's."""


def standings(
    finals: Mapping[str, Floats], failed: Mapping[str, NDArray[np.bool_]], scale: Scale | None, draws: CrossedBootstrap
) -> dict[str, Standing]:
    """One standing per method, from grades and failures ``(runs, instances)``."""
    scores = {name: scale.score(final) for name, final in finals.items()} if scale else {}
    over_runs = reliable.stratified_intervals(scores) if scores else {}
    return {
        name: Standing(
            runs=len(final),
            median=float(np.median(final)),
            worst_tenth=crossed.worst_tenth(draws, name, final),
            failed=float(failed[name].mean()),
            score=_score(draws, name, scores[name]) if scale else None,
            score_over_runs=over_runs.get(name),
            optimality_gap=_gap(draws, name, scores[name]) if scale else None,
        )
        for name, final in finals.items()
    }


def duels(policy: str, finals: Mapping[str, Floats], scale: Scale | None, draws: CrossedBootstrap) -> dict[str, Duel]:
    """``policy`` against every other method, from grades ``(runs, instances)``."""
    ours = finals[policy]
    return {
        name: _duel((policy, name), ours, theirs, scale, draws) for name, theirs in finals.items() if name != policy
    }


def _duel(names: tuple[str, str], ours: Floats, theirs: Floats, scale: Scale | None, draws: CrossedBootstrap) -> Duel:
    return Duel(
        improvement=crossed.estimate(
            reliable.probability_of_improvement(ours, theirs),
            crossed.improvement_replicates(draws, names, ours, theirs),
        ),
        worst_tenth_ratio=crossed.worst_tenth_ratio(draws, names, ours, theirs),
        difference=crossed.score_difference(draws, names, scale.score(ours), scale.score(theirs)) if scale else None,
    )


def _score(draws: CrossedBootstrap, name: str, scores: Floats) -> Estimate:
    replicates = interquartile_mean(draws.resample(name, scores))
    return crossed.estimate(reliable.interquartile_mean_score(scores), replicates)


def _gap(draws: CrossedBootstrap, name: str, scores: Floats) -> Estimate:
    return crossed.estimate(reliable.optimality_gap(scores), draws.mean(name, 1 - np.minimum(scores, 1)))
