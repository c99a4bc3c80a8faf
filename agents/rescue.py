"""The rule that tells what a balancer is worth in a GAN loop elsewhere. It was written before there were data.

The loop is trained over the same seeds from several pairs of rates, left alone and balanced. The *reference* is its
median final distance at the best constant pair of a search, left alone.

1. A start is *bad* where the median of the loop left alone is at least :data:`HARMFUL` times the reference. Starts that
   are not count neither for nor against the balancer.
2. A bad start is *rescued* where the median of the balanced loop is at most :data:`ALLOWED` times the reference.
3. At least the share :data:`ENOUGH` of the bad starts has to be rescued. Where none is bad, nothing is decided.
4. There is *no harm* where, from the tuned pair, the interval of the change of the log distance, balanced against left
   alone seed by seed, contains 0 or lies below it.

In 1 and 2 the estimate decides, and its interval is told. Intervals are 95 % bootstrap intervals over the seeds, which
are drawn together for all that is compared. A distance of more than :data:`LOST` times the reference counts as so many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.statistics import bootstrap_interval, interquartile_mean
from agents.statistics.crossed import Estimate

Floats = NDArray[np.float64]

ALLOWED = 1.25
HARMFUL = 2.0
ENOUGH = 0.75
LOST = 1000.0


@dataclass(frozen=True)
class Start:
    """What came of one starting pair of rates."""

    alone: Estimate
    """Median of the loop left alone, over the reference."""
    balanced: Estimate
    """Median of the balanced loop, over the reference."""
    worst: float
    """The largest balanced distance, over the reference."""
    change: Estimate
    """Balanced over left alone, seed by seed: the exponential of the IQM of the differences of log distances."""

    @property
    def bad(self) -> bool:
        return self.alone.value >= HARMFUL

    @property
    def rescued(self) -> bool:
        """Whether a start that is bad is rescued."""
        return self.bad and self.balanced.value <= ALLOWED

    @property
    def harmless(self) -> bool:
        """Whether the balancer is not worse than nobody."""
        return self.change.low <= 1


@dataclass(frozen=True)
class Rescue:
    """How many of some starts are bad and rescued, and how many have to be."""

    bad: int
    rescued: int

    @classmethod
    def of(cls, starts: Sequence[Start]) -> Rescue:
        return cls(sum(start.bad for start in starts), sum(start.rescued for start in starts))

    @property
    def wanted(self) -> int:
        return math.ceil(ENOUGH * self.bad)

    @property
    def reached(self) -> bool | None:
        """Whether enough are rescued; none where no start is bad."""
        return self.rescued >= self.wanted if self.bad else None


def judge_start(alone: Sequence[float], balanced: Sequence[float], tuned: Sequence[float]) -> Start:
    """One start from its final distances, which are positive and may be infinite, by seed; the same seeds in all.

    ``tuned`` are those of the tuned pair left alone. Raises ``ValueError`` where their median is not finite.
    """
    reference = float(np.median(tuned))
    if not math.isfinite(reference):
        raise ValueError("the tuned rates end in no finite distance from most seeds; there is nothing to compare with")
    left, own, base = np.minimum([alone, balanced, tuned], LOST * reference)
    differences = np.log(own) - np.log(left)
    low, high = bootstrap_interval(differences)
    return Start(
        _ratio(left, base),
        _ratio(own, base),
        float(own.max()) / reference,
        Estimate(math.exp(interquartile_mean(differences)), math.exp(low), math.exp(high)),
    )


def _ratio(values: Floats, base: Floats) -> Estimate:
    """Ratio of the medians."""
    pairs = np.stack([values, base], axis=1)  # (seeds, 2)
    return Estimate(float(_ratio_of_medians(pairs)), *bootstrap_interval(pairs, _ratio_of_medians))


def _ratio_of_medians(pairs: Floats) -> Floats:
    """``(..., seeds, 2)`` to ``(...)``."""
    medians = np.median(pairs, axis=-2)
    ratios: Floats = medians[..., 0] / medians[..., 1]
    return ratios
