"""Point estimates, and intervals over runs alone, by ``rliable`` (Agarwal et al., arXiv 2108.13264).

``rliable`` resamples every score of an instance by itself, among the runs. That is right where each (run, instance)
pair is a training of its own, as in its Atari tables; a run here is one policy that plays all instances, so these
intervals are too narrow where runs differ in luck, and they say nothing of other instances. The report shows them
beside those of :mod:`agents.statistics.crossed`, which decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rliable import library, metrics

from agents.statistics.crossed import LEVEL, Estimate
from agents.statistics.one_run import interquartile_mean

Floats = NDArray[np.float64]

STRATIFIED_RESAMPLES = 1000


def interquartile_mean_score(scores: Floats) -> float:
    """IQM of all scores ``(runs, instances)`` together."""
    return float(metrics.aggregate_iqm(scores))


def optimality_gap(scores: Floats) -> float:
    """How far the scores ``(runs, instances)`` fall short of 1 on average; scores above 1 count as 1."""
    return float(metrics.aggregate_optimality_gap(scores, gamma=1.0))


def probability_of_improvement(ours: Floats, theirs: Floats) -> float:
    """P(our grade is lower), within each instance over all pairs of runs, averaged over instances; a tie counts half.

    ``ours`` and ``theirs`` are grades ``(runs, instances)`` on the same instances; lower is better.
    """
    return float(metrics.probability_of_improvement(-ours, -theirs))


def performance_profile(scores: Floats, thresholds: Floats) -> Floats:
    """Share of all scores above each threshold: the run-score distribution."""
    shares: Floats = library.score_distributions(scores, thresholds)
    return shares


def stratified_intervals(scores: Mapping[str, Floats], seed: int = 0) -> dict[str, Estimate]:
    """IQM of each method with the stratified-bootstrap interval over runs, the instances being held fixed."""
    with _seeded(seed):
        values, intervals = library.get_interval_estimates(
            dict(scores),
            lambda drawn: interquartile_mean(drawn.reshape(1, -1)),  # as aggregate_iqm, and a tenth of its time
            reps=STRATIFIED_RESAMPLES,
            confidence_interval_size=LEVEL,
        )
    return {
        name: Estimate(float(values[name][0]), float(intervals[name][0, 0]), float(intervals[name][1, 0]))
        for name in scores
    }


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """NumPy's global state is that of ``seed`` within, and as before after it."""
    state = np.random.get_state()  # noqa: NPY002  # rliable's bootstrap draws from it
    np.random.seed(seed)  # noqa: NPY002  # likewise
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002  # likewise
