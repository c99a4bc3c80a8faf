"""From final grades per instance to what a table says. Everything here is lower-is-better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_SEED = 0


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half along the last axis (Agarwal et al., arXiv 2108.13264); a quarter is cut at each end.

    Where a quarter of n is not whole, the cut is rounded down, as in ``scipy.stats.trim_mean``.
    """
    ordered = np.sort(values, axis=-1)
    cut = values.shape[-1] // 4
    middle: NDArray[np.float64] = ordered[..., cut : values.shape[-1] - cut].mean(axis=-1)
    return middle


def bootstrap_interval(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]] = interquartile_mean,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of ``statistic`` over the instances, the first axis of ``values`` ``(n, ...)``.

    ``statistic`` maps draws ``(resamples, n, ...)`` to ``(resamples,)``.
    """
    low, high = np.quantile(statistic(values[_resamples(len(values))]), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_interval(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """IQM(ours) - IQM(theirs) and its bootstrap interval; both are resampled by the same instances ``(n,)``."""
    if ours.shape != theirs.shape:
        raise ValueError(f"paired methods need the same instances, got {ours.shape} and {theirs.shape}")
    chosen = _resamples(len(ours))
    differences = interquartile_mean(ours[chosen]) - interquartile_mean(theirs[chosen])
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(interquartile_mean(ours) - interquartile_mean(theirs)), (float(low), float(high))


@dataclass(frozen=True)
class Summary:
    """One row of a table."""

    final: tuple[float, ...]
    median: float
    iqm: float
    ci95: tuple[float, float]
    """Bootstrap interval of the IQM over instances."""
    p90: float
    """The value that the worst tenth exceeds: a balancer exists to prevent the bad runs."""

    @classmethod
    def of(cls, final: NDArray[np.float64]) -> Summary:
        return cls(
            final=tuple(float(value) for value in final),
            median=float(np.median(final)),
            iqm=float(interquartile_mean(final)),
            ci95=bootstrap_interval(final),
            p90=float(np.quantile(final, 0.9)),
        )


def summarise(finals: Mapping[str, NDArray[np.float64]]) -> dict[str, Summary]:
    """A summary per method."""
    return {name: Summary.of(final) for name, final in finals.items()}


def _resamples(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(_SEED).integers(count, size=(RESAMPLES, count))
