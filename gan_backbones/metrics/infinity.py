"""Frechet distance extrapolated to infinitely many samples: FD-infinity (Chong and Forsyth 2020, arXiv 1911.07023).

A Frechet distance from n samples exceeds that of the distributions by about b / n, with a b that differs between
generators. A line through the distances of subsets of several sizes, against 1 / n, meets the axis at the value
without that bias (their section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from gan_backbones.metrics.frechet import GaussianReference


class Extrapolation(NamedTuple):
    """The line distance = value + slope / n."""

    value: float
    """Distance at infinitely many samples; may lie slightly below zero."""
    slope: float
    error: float
    """Standard error of the value by the scatter around the line; too small, because the subsets overlap."""


def frechet_infinity(
    features: Tensor, reference: GaussianReference, *, seed: int, sizes: int = 15, smallest: int | None = None
) -> Extrapolation:
    """FD-infinity of a generator's features against a reference, whose own bias stays.

    Args:
        features: (n, d) of the generated images.
        reference: Gaussian of the real ones.
        seed: seeds the choice of the subsets, each drawn without repetition.
        sizes: number of subset sizes, evenly spaced from `smallest` to n, at least 3.
        smallest: size of the smallest subset; by default n // 10 (5,000 of 50,000 in the paper), at least 2.

    Raises:
        ValueError: where there are fewer samples than `sizes` above `smallest`, or a feature is not finite.
    """
    count = len(features)
    first = max(2, count // 10) if smallest is None else smallest
    if sizes < 3 or first < 2 or count < first + sizes:
        raise ValueError(
            f"FD-infinity needs 3 sizes and n >= smallest + sizes >= 5, got {sizes}, {first} and n={count}"
        )
    if not features.isfinite().all():
        raise ValueError("features must be finite")
    generator = Generator().manual_seed(seed)
    counts = [round(value) for value in torch.linspace(first, count, sizes, dtype=torch.float64).tolist()]
    distances = [reference.distance(features[torch.randperm(count, generator=generator)[:size]]) for size in counts]
    return extrapolate(counts, [float(distance) for distance in distances])


def extrapolate(counts: Sequence[int], distances: Sequence[float]) -> Extrapolation:
    """Least squares line of distances against 1 / n; at least three points with different n."""
    inverse = 1 / torch.tensor(counts, dtype=torch.float64)
    values = torch.tensor(distances, dtype=torch.float64)
    offset = inverse - inverse.mean()
    slope = (offset * values).sum() / offset.square().sum()
    value = values.mean() - slope * inverse.mean()
    residual = (values - value - slope * inverse).square().sum() / (len(counts) - 2)
    error = (residual * (1 / len(counts) + inverse.mean().square() / offset.square().sum())).sqrt()
    return Extrapolation(float(value), float(slope), float(error))
