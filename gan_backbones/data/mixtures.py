"""Mixtures of 2-D Gaussians, the smallest data on which a GAN can lose modes: ``ring`` and ``grid``."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from gan_backbones.data.dataset import DataSet, Mixture

_DEFAULT_COUNT = 20_000
_SIGMA = 0.05


def ring_mixture(components: int = 8, radius: float = 1.5) -> Mixture:
    """``components`` Gaussians evenly on a circle of ``radius``, the first on the positive x axis."""
    angles = torch.arange(components, dtype=torch.float64) * (2 * math.pi / components)
    centres = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
    return Mixture(centres.to(torch.float32), _SIGMA)


def grid_mixture(side: int = 5, half_width: float = 2.0) -> Mixture:
    """``side`` x ``side`` Gaussians on a square lattice that spans [-half_width, half_width] on both axes."""
    ticks = torch.linspace(-half_width, half_width, side, dtype=torch.float64)
    return Mixture(torch.cartesian_prod(ticks, ticks).to(torch.float32), _SIGMA)


def sample_balanced(mixture: Mixture, count: int, generator: torch.Generator) -> torch.Tensor:
    """``count`` points of ``mixture``, float32 (count, 2), shuffled.

    The number of points a component gets is fixed, not drawn: two components differ by one at most.
    """
    component = torch.arange(count) % len(mixture.centres)
    component = component[torch.randperm(count, generator=generator)]
    return mixture.centres[component] + mixture.sigma * torch.randn(count, 2, generator=generator)


def load_ring(resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool) -> DataSet:
    """8 Gaussians on a circle of radius 1.5, sigma 0.05; 20,000 points unless ``count`` says otherwise."""
    return _load("ring", ring_mixture(), seed, count)


def load_grid(resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool) -> DataSet:
    """5 x 5 Gaussians, one apart, spanning [-2, 2], sigma 0.05; 20,000 points unless ``count`` says otherwise."""
    return _load("grid", grid_mixture(), seed, count)


def _load(name: str, mixture: Mixture, seed: int, count: int | None) -> DataSet:
    generator = torch.Generator().manual_seed(seed)
    samples = sample_balanced(mixture, _DEFAULT_COUNT if count is None else count, generator)
    return DataSet(name=name, samples=samples, attributes={}, attribute_values={}, mixture=mixture)
