"""How a set of points covers the modes of a two-dimensional mixture of Gaussians with equal, isotropic modes.

A point belongs to its nearest centre, and counts only within a few standard deviations of it: the "high-quality
samples" and "recovered modes" of Srivastava et al. 2017 (VEEGAN, arXiv 1705.07761, section 4.1), with a threshold
on a mode's share in place of a single point, which stray samples would pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHARE_OF_FAIR_COUNT = 0.2
"""A mode is covered when it has at least this share of n / K, the count of a fair split of n points over K modes."""


def mode_coverage(points: Tensor, centres: Tensor, sigma: float, *, within: float = 3.0) -> Tensor:
    """Share of modes with at least 0.2 n / K of the n points within `within` standard deviations.

    Args:
        points: (..., n, 2); non-finite points belong to no mode.
        centres: (K, 2).
        sigma: standard deviation of every mode, > 0, in the points' units.
        within: radius that counts, in units of sigma, > 0.

    Returns:
        (...) float32 in [0, 1].

    Raises:
        ValueError: on wrong shapes, no points or centres, or a radius that is not positive.
    """
    near, nearest = _nearest_mode(points, centres, sigma, within)
    modes = torch.arange(len(centres), device=points.device)
    counts = ((nearest[..., None] == modes) & near[..., None]).sum(-2)  # (..., K)
    needed = SHARE_OF_FAIR_COUNT * points.shape[-2] / len(centres)
    return (counts >= needed).float().mean(-1)


def high_quality_share(points: Tensor, centres: Tensor, sigma: float, *, within: float = 3.0) -> Tensor:
    """Share of points within `within` standard deviations of their nearest centre; arguments as in `mode_coverage`.

    A perfect generator of well-separated modes scores 1 - exp(-within^2 / 2), which is 0.989 at three.
    """
    near, _ = _nearest_mode(points, centres, sigma, within)
    return near.float().mean(-1)


def _nearest_mode(points: Tensor, centres: Tensor, sigma: float, within: float) -> tuple[Tensor, Tensor]:
    """For each point whether it is near its nearest centre (..., n) bool, and that centre's index (..., n)."""
    if points.ndim < 2 or points.shape[-1] != 2 or points.shape[-2] == 0:
        raise ValueError(f"points must be (..., n, 2) with n >= 1, got {tuple(points.shape)}")
    if centres.ndim != 2 or centres.shape[-1] != 2 or len(centres) == 0:
        raise ValueError(f"centres must be (K, 2) with K >= 1, got {tuple(centres.shape)}")
    if not (sigma > 0 and within > 0):
        raise ValueError(f"sigma and within must be positive, got {sigma} and {within}")
    squared = (points[..., None, :] - centres.to(points)).square().sum(-1)  # (..., n, K)
    smallest, nearest = squared.min(-1)
    return smallest <= (within * sigma) ** 2, nearest
