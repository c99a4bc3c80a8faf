"""Bootstrap of runs crossed with instances: what other training seeds on other instances would have given.

A run is one training of a method; it plays every test instance. So the scores of a run share its luck, and the scores
of an instance share its difficulty. Resampling single scores would take both for independent noise and give intervals
that are too narrow. Here whole runs are drawn, for each method by itself, and whole instances, *the same ones for all
methods*, which pairs every comparison over instances. Drawing rows and columns separately is the pigeonhole bootstrap
(Owen, Annals of Applied Statistics 1(2), 2007), which errs on the wide side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 4000
LEVEL = 0.95
WORST_TENTH = 0.9


@dataclass(frozen=True)
class Estimate:
    """A number and its percentile interval at :data:`LEVEL`."""

    value: float
    low: float
    high: float


class CrossedBootstrap:
    """Draws of instances and runs, fixed by the seed and by the name of each method alone.

    Values come as arrays ``(runs, instances)``. A method with one run has no spread between runs; its interval then
    speaks of instances only.
    """

    def __init__(self, instances: int, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.resamples = resamples
        self._seed = seed
        self._instances = np.random.default_rng(seed).integers(instances, size=(resamples, instances))

    def runs(self, name: str, count: int) -> NDArray[np.int64]:
        """Drawn runs of a method, ``(resamples, count)``; other methods in the table change nothing."""
        rng = np.random.default_rng([self._seed, *name.encode()])
        return rng.integers(count, size=(self.resamples, count))

    def resample(self, name: str, values: Floats) -> Floats:
        """``(resamples, runs * instances)``."""
        rows = self.runs(name, len(values))
        return values[rows[:, :, None], self._instances[:, None, :]].reshape(self.resamples, -1)

    def run_weights(self, name: str, count: int) -> Floats:
        """Share of each run in each draw, ``(resamples, count)``."""
        return _shares(self.runs(name, count), count)

    @cached_property
    def instance_weights(self) -> Floats:
        """Share of each instance in each draw, ``(resamples, instances)``."""
        return _shares(self._instances, self._instances.shape[1])

    def mean(self, name: str, values: Floats) -> Floats:
        """Mean of each draw, ``(..., resamples)``, of values ``(..., runs, instances)``."""
        weights = self.run_weights(name, values.shape[-2])
        means: Floats = np.einsum("bi,...im,bm->...b", weights, values, self.instance_weights, optimize=True)
        return means


def estimate(value: float | np.floating[Any], replicates: Floats) -> Estimate:
    """``value`` with the percentile interval of its replicates ``(resamples,)``."""
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high))


def improvement_replicates(draws: CrossedBootstrap, names: tuple[str, str], ours: Floats, theirs: Floats) -> Floats:
    """P(our grade is lower on the same instance) in each draw, ``(resamples,)``; a tie counts half.

    ``ours`` and ``theirs`` are grades ``(runs, instances)``; every run of ours meets every run of theirs.
    """
    left, right = ours[:, None, :], theirs[None, :, :]
    wins = (left < right) + 0.5 * (left == right)  # (our runs, their runs, instances)
    by_instance = np.tensordot(draws.instance_weights, wins, axes=(1, 2))  # (resamples, our runs, their runs)
    ours_weight, theirs_weight = (
        draws.run_weights(name, len(final)) for name, final in zip(names, (ours, theirs), strict=True)
    )
    replicates: Floats = np.einsum("bi,bj,bij->b", ours_weight, theirs_weight, by_instance)
    return replicates


def _shares(drawn: NDArray[np.int64], count: int) -> Floats:
    shares = np.zeros((len(drawn), count))
    np.add.at(shares, (np.arange(len(drawn))[:, None], drawn), 1 / drawn.shape[1])
    return shares
