"""Squared sliced 2-Wasserstein distance between equally large sets of points in the plane.

    SW2^2(a, b) = E_u [ integral_0^1 (F_{a.u}^{-1}(t) - F_{b.u}^{-1}(t))^2 dt ],  u uniform on the circle

(Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters of measures", section 3.2.) In one dimension the optimal
transport between equally large sets matches their order statistics, so the inner integral is a mean over sorted pairs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def fixed_directions(count: int, seed: int) -> Tensor:
    """Unit vectors at equally spaced angles, turned by a seeded offset.

    The angles cover half a circle, pi (i + offset) / count with offset uniform in [0, 1): opposite directions give
    equal distances, so the other half would add cost and no information.

    Returns:
        (count, 2) float64.

    Raises:
        ValueError: if count < 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    offset = torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    angles = math.pi * (torch.arange(count, dtype=torch.float64) + offset) / count
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def squared_sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """Mean, over directions and order statistics, of the squared difference of sorted projections.

    Args:
        a: (..., n, 2) points.
        b: (n, 2), shared by all sets of `a`, or (..., n, 2).
        directions: (k, 2) unit vectors.

    Returns:
        (...) in the points' floating-point type; infinite for a row with a non-finite point, the others unaffected.

    Raises:
        ValueError: if the sets differ in size, are empty, or a shape is wrong.
    """
    if any(value.ndim < 2 or value.shape[-1] != 2 for value in (a, b, directions)) or directions.ndim != 2:
        shapes = [tuple(value.shape) for value in (a, b, directions)]
        raise ValueError(f"points must be (..., n, 2) and directions (k, 2), got {shapes}")
    if a.shape[-2] != b.shape[-2] or a.shape[-2] == 0:
        raise ValueError(f"both sets need the same positive number of points, got {a.shape[-2]} and {b.shape[-2]}")
    difference = _sorted_projections(a, directions) - _sorted_projections(b, directions)  # (..., k, n)
    distance = difference.square().mean((-2, -1))
    return torch.where(distance.isnan(), torch.inf, distance)


def _sorted_projections(points: Tensor, directions: Tensor) -> Tensor:
    """(..., n, 2) points -> (..., k, n) projections, ascending; NaN sorts last."""
    directions = directions.to(points)
    horizontal, vertical = points[..., None, :, 0], points[..., None, :, 1]  # (..., 1, n)
    projections = horizontal * directions[:, :1] + vertical * directions[:, 1:]
    if projections.requires_grad or projections.device.type != "cpu":
        return projections.sort(-1).values
    return torch.from_numpy(np.sort(projections.numpy(), axis=-1))  # vectorised: 30 times faster than PyTorch's
