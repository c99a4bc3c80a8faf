"""How good the samples of many GANs are: the proxy that rewards are made of, and the grader that tables are made of.

The grader looks along other directions, at an independent draw of the data and at fresh samples, so that a policy which
learned to please the proxy is found out. On images, the proxy's small network has learned from the grader's: what that
one is blind to, both are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from gan_backbones.data import DataSet, load_data
from gan_backbones.metrics import (
    GaussianReference,
    ProxyExtractor,
    fixed_directions,
    high_quality_share,
    judge,
    load_proxy,
    load_reference,
    mode_coverage,
    name_number,
    squared_sliced_wasserstein,
)

_PROXY_DIRECTIONS, _GRADER_DIRECTIONS = (32, 0), (128, 1)
_VARIETY = 1.5
"""Weight of deviations in the proxy: at 1, one perfect digit again and again beats a blurry crowd now and then."""


class Proxy(Protocol):
    """A cheap measure of quality and diversity."""

    name: str

    def measure(self, samples: Tensor) -> Tensor:
        """``(n, count, *sample_shape) -> (n, 2)``: the distance, and the spread as a share of the data's."""
        ...


class Grader(Protocol):
    """The measure that finished GANs are judged by; ``metric`` is its full name, lower is better."""

    metric: str

    def grade(self, samples: Tensor) -> Tensor:
        """``(n, count, *sample_shape) -> (n,)`` float64; infinite for samples that are not finite."""
        ...

    def details(self, samples: Tensor) -> Mapping[str, Tensor]:
        """Further numbers by name, ``(n,)`` each; empty where there are none."""
        ...


class PointProxy:
    """Squared sliced 2-Wasserstein distance to a fixed draw of the data, along fixed directions."""

    def __init__(self, data: DataSet, count: int, device: torch.device) -> None:
        self.name = f"squared sliced W2, n={count}, {_PROXY_DIRECTIONS[0]} directions"
        self._reference = _draw(data, count, seed=0).to(device)
        self._directions = fixed_directions(*_PROXY_DIRECTIONS).to(device)
        self._spread = _spread(self._reference)

    def measure(self, samples: Tensor) -> Tensor:
        distance = squared_sliced_wasserstein(samples, self._reference.to(samples), self._directions.to(samples))
        return torch.stack([distance, _spread(samples) / self._spread.to(samples)], dim=-1)


class PointGrader:
    """The same distance with other directions and another draw, and mode coverage where the mixture is known."""

    def __init__(self, data: DataSet, count: int, device: torch.device) -> None:
        self.metric = f"squared sliced W2, n={count}"
        self._reference = _draw(data, count, seed=1).to(device)
        self._directions = fixed_directions(*_GRADER_DIRECTIONS).to(device)
        self._mixture = data.mixture

    def grade(self, samples: Tensor) -> Tensor:
        distance = squared_sliced_wasserstein(samples, self._reference.to(samples), self._directions.to(samples))
        return torch.where(distance.isfinite(), distance, torch.inf).double()

    def details(self, samples: Tensor) -> Mapping[str, Tensor]:
        if self._mixture is None:
            return {}
        centres, sigma = self._mixture.centres.to(samples), self._mixture.sigma
        return {
            "mode_coverage": mode_coverage(samples, centres, sigma),
            "high_quality_share": high_quality_share(samples, centres, sigma),
        }


class ImageProxy:
    """Weighted distance of the means and deviations of what a small network sees, distilled from EfficientNet-lite0."""

    def __init__(self, data: DataSet, count: int, device: torch.device, cache_dir: Path | None, progress: bool) -> None:
        extractor, reference = load_proxy(data, cache_dir=cache_dir, progress=progress)
        self.name = f"diagonal FD distilled efficientnet-lite0, n={count}"
        self._extractor: ProxyExtractor = extractor.to(device)
        self._reference = reference.to(device)

    def measure(self, samples: Tensor) -> Tensor:
        features = self._extractor(samples.flatten(0, 1)).unflatten(0, samples.shape[:2])
        return torch.stack(self._reference.distance(features, _VARIETY), dim=-1)


class ImageGrader:
    """Frechet distance on features of EfficientNet-lite0; see :func:`gan_backbones.metrics.judge`."""

    def __init__(self, data: DataSet, count: int, device: torch.device, cache_dir: Path | None, progress: bool) -> None:
        extractor = judge()
        reference = load_reference(data, extractor, cache_dir=cache_dir, progress=progress)
        self.metric = name_number("FD", extractor, count)
        self._extractor = extractor.to(device)
        self._reference: GaussianReference = reference.to(device)

    def grade(self, samples: Tensor) -> Tensor:
        features = self._extractor(samples.flatten(0, 1)).unflatten(0, samples.shape[:2])
        return self._reference.distance(features)

    def details(self, samples: Tensor) -> Mapping[str, Tensor]:
        return {}


def make_proxy(
    data: DataSet, count: int, device: torch.device, cache_dir: Path | None = None, progress: bool = True
) -> Proxy:
    """The proxy for a data set, on ``count`` samples of each GAN."""
    return ImageProxy(data, count, device, cache_dir, progress) if data.is_image else PointProxy(data, count, device)


def make_grader(
    data: DataSet, count: int, device: torch.device, cache_dir: Path | None = None, progress: bool = True
) -> Grader:
    """The grader for a data set, on ``count`` samples of each GAN."""
    return ImageGrader(data, count, device, cache_dir, progress) if data.is_image else PointGrader(data, count, device)


@lru_cache(maxsize=8)
def cached_data(name: str, resolution: int | None, cache_dir: Path | None, progress: bool = True) -> DataSet:
    """``load_data``, kept in memory: environments of one process share their data."""
    return load_data(name, resolution=resolution, cache_dir=cache_dir, progress=progress)


def _draw(data: DataSet, count: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return data.batch(torch.randint(len(data), (count,), generator=rng))


def _spread(points: Tensor) -> Tensor:
    """Root of the total variance: ``(..., n, d) -> (...)``."""
    return points.var(dim=-2).sum(-1).sqrt()
