"""Quality and variety apart: precision and recall, density and coverage, from nearest neighbours of features.

Around each sample of a set lies the closed ball whose radius is the distance to its k-th nearest neighbour in the same
set, itself not counted; the balls together estimate where the distribution lives.

precision: share of generated samples inside a ball of a real one (Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 2).
recall: share of real samples inside a ball of a generated one (the same, eq. 3).
density: real balls that hold a generated sample, per sample and divided by k (Naeem et al. 2020, arXiv 2002.09797,
eq. 4); about 1 for the data itself, and not bounded by 1.
coverage: share of real samples whose ball holds a generated one (the same, eq. 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS = 3, 5
"""k of the two papers."""

_ENTRIES = 1 << 25  # of one block of distances: 256 MiB


class NeighbourScores(NamedTuple):
    """Each in [0, 1], but for the density, which is only not negative. Higher is better."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_scores(
    features: Tensor,
    real: Tensor,
    *,
    precision_neighbours: int = PRECISION_NEIGHBOURS,
    density_neighbours: int = DENSITY_NEIGHBOURS,
) -> NeighbourScores:
    """Precision, recall, density and coverage, in float64 and blockwise, so that memory stays below about 1 GiB.

    Args:
        features: (n, d) of generated images.
        real: (n', d) of real ones. All four depend on both counts: compare only values with equal ones.
        precision_neighbours: k of precision and recall.
        density_neighbours: k of density and coverage.

    Raises:
        ValueError: on other shapes, a feature that is not finite, or sets that are not larger than k.
    """
    if features.ndim != 2 or real.ndim != 2 or features.shape[1] != real.shape[1]:
        raise ValueError(f"features must be (n, d) with one d, got {tuple(features.shape)} and {tuple(real.shape)}")
    k, wide = precision_neighbours, density_neighbours
    if not min(k, wide) >= 1 or max(k, wide) >= min(len(features), len(real)):
        raise ValueError(
            f"{max(k, wide)} neighbours need more samples than that, got {len(features)} and {len(real)}"
            if min(k, wide) >= 1
            else f"numbers of neighbours must be at least 1, got {k} and {wide}"
        )
    if not (features.isfinite().all() and real.isfinite().all()):
        raise ValueError("features must be finite")
    centre = real.double().mean(0)  # smaller numbers lose fewer digits in the differences of squares
    fake, real = features.double() - centre, real.double() - centre
    fake_radii = _squared_radii(fake, [k])[:, 0]
    real_radii = _squared_radii(real, [k, wide])
    precise, held = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = recalled.clone()
    for rows, squared in _blocks(fake, real):  # (block, n')
        precise += int((squared <= real_radii[:, 0]).any(1).sum())
        held += int((inside := squared <= real_radii[:, 1]).sum())
        covered |= inside.any(0)
        recalled |= (squared <= fake_radii[rows, None]).any(0)
    return NeighbourScores(
        precision=precise / len(fake),
        recall=float(recalled.double().mean()),
        density=held / (wide * len(fake)),
        coverage=float(covered.double().mean()),
    )


def _squared_radii(points: Tensor, neighbours: list[int]) -> Tensor:
    """(n, len(neighbours)): squared distance of each point to its k-th nearest other point."""
    most = max(neighbours) + 1  # the nearest of all is the point itself
    parts = [squared.topk(most, largest=False).values[:, neighbours] for _, squared in _blocks(points, points)]
    return torch.cat(parts)


def _blocks(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of `a`, and their squared distances to all of `b`; those below round-off are zero, as between copies."""
    square_b = b.square().sum(1)
    round_off = 4 * torch.finfo(a.dtype).eps * a.shape[1] ** 0.5
    step = max(1, _ENTRIES // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        scale = a[rows].square().sum(1)[:, None] + square_b
        squared = torch.addmm(scale, a[rows], b.mT, alpha=-2)
        yield rows, squared.masked_fill_(squared < round_off * scale, 0)
