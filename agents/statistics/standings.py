"""Where each method of a table stands, and how one policy fares against each of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.statistics import reliable
from agents.statistics.crossed import LEVEL, WORST_TENTH, CrossedBootstrap, Estimate, estimate, improvement_replicates
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


class Contest:
    """All methods of a table under one set of draws.

    Args:
        finals: grades by method, each ``(runs, instances)``, on the same instances.
        failed: who diverged or collapsed, of the same shapes.
        scale: what scores are counted from; none where there are no scores.
        draws: by default :data:`~agents.statistics.crossed.RESAMPLES` draws with the fixed seed.
    """

    def __init__(
        self,
        finals: Mapping[str, Floats],
        failed: Mapping[str, NDArray[np.bool_]],
        scale: Scale | None,
        draws: CrossedBootstrap | None = None,
    ) -> None:
        self._finals, self._failed = finals, failed
        self._draws = draws or CrossedBootstrap(len(next(iter(finals.values()))[0]))
        self.scores = {name: scale.score(final) for name, final in finals.items()} if scale else {}
        """Normalised scores by method, ``(runs, instances)``; empty without a scale."""
        self._worst_tenths = {
            name: np.quantile(self._draws.resample(name, final), WORST_TENTH, axis=1) for name, final in finals.items()
        }
        self._iqms = {
            name: interquartile_mean(self._draws.resample(name, scores)) for name, scores in self.scores.items()
        }

    def standings(self) -> dict[str, Standing]:
        """One standing per method."""
        over_runs = reliable.stratified_intervals(self.scores)
        return {
            name: Standing(
                runs=len(final),
                median=float(np.median(final)),
                worst_tenth=estimate(np.quantile(final, WORST_TENTH), self._worst_tenths[name]),
                failed=float(self._failed[name].mean()),
                score=self._score(name),
                score_over_runs=over_runs.get(name),
                optimality_gap=self._optimality_gap(name),
            )
            for name, final in self._finals.items()
        }

    def duels(self, policy: str) -> dict[str, Duel]:
        """``policy`` against every other method."""
        return {name: self._duel(policy, name) for name in self._finals if name != policy}

    def kept(self, name: str, home: str) -> Estimate | None:
        """IQM score of ``name`` over that of ``home``; none without scores, or where that of ``home`` is not surely
        above 0: then it may be any share."""
        if not {name, home} <= self.scores.keys():
            return None
        ours, theirs = (reliable.interquartile_mean_score(self.scores[one]) for one in (name, home))
        if estimate(theirs, self._iqms[home]).low <= 0:
            return None
        return estimate(ours / theirs, self._iqms[name] / np.maximum(self._iqms[home], 1e-9))

    def profile_band(self, name: str, thresholds: Floats) -> tuple[Floats, Floats]:
        """Pointwise interval of the share of a method's scores above each threshold: two arrays ``(thresholds,)``."""
        above = (self.scores[name] > thresholds[:, None, None]).astype(float)  # (thresholds, runs, instances)
        low, high = np.quantile(self._draws.mean(name, above), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        return low, high

    def _score(self, name: str) -> Estimate | None:
        if name not in self.scores:
            return None
        return estimate(reliable.interquartile_mean_score(self.scores[name]), self._iqms[name])

    def _optimality_gap(self, name: str) -> Estimate | None:
        if name not in self.scores:
            return None
        scores = self.scores[name]
        return estimate(reliable.optimality_gap(scores), self._draws.mean(name, 1 - np.minimum(scores, 1)))

    def _duel(self, policy: str, rival: str) -> Duel:
        ours, theirs = self._finals[policy], self._finals[rival]
        difference = None
        if self.scores:
            gain = reliable.interquartile_mean_score(self.scores[policy])
            gain -= reliable.interquartile_mean_score(self.scores[rival])
            difference = estimate(gain, self._iqms[policy] - self._iqms[rival])
        return Duel(
            improvement=estimate(
                reliable.probability_of_improvement(ours, theirs),
                improvement_replicates(self._draws, (policy, rival), ours, theirs),
            ),
            worst_tenth_ratio=estimate(
                np.quantile(ours, WORST_TENTH) / np.quantile(theirs, WORST_TENTH),
                self._worst_tenths[policy] / self._worst_tenths[rival],
            ),
            difference=difference,
        )
