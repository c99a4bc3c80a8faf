"""All numbers on one set of generated images, by the table `MEASURES`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from gan_backbones.data.dataset import DataSet
from gan_backbones.metrics.extractors import Extractor, extract
from gan_backbones.metrics.frechet import GaussianReference, frechet_distance
from gan_backbones.metrics.infinity import frechet_infinity
from gan_backbones.metrics.kernel import kernel_distance
from gan_backbones.metrics.moments import FeatureMoments
from gan_backbones.metrics.names import name_number
from gan_backbones.metrics.neighbours import neighbour_scores
from gan_backbones.metrics.perceptual import pairwise_variety, perceptual_distance
from gan_backbones.metrics.references import load_real_features, real_images


@dataclass(frozen=True)
class Score:
    """One number."""

    name: str
    """Measure, extractor, resolution and number of generated images."""
    value: float
    better: str
    """``lower``, ``higher``, or ``as real``: as close as possible to what real images reach."""
    error: float | None = None
    """Standard error, where the measure tells it."""
    real: float | None = None
    """The same measure on real images, where it means something there."""


class Subject:
    """Generated images beside real ones; what several measures need is computed once.

    Args:
        images: (n, C, H, W) uint8, the generated images.
        data: the real ones.
        extractor: turns both into features.
        real_count: at most this many real images are compared with.
        seed: of all random choices.
        cache_dir, progress: as in `load_real_features`.

    Raises:
        ValueError: on images of another type or shape.
    """

    def __init__(
        self,
        images: Tensor,
        data: DataSet,
        extractor: Extractor,
        *,
        real_count: int,
        seed: int = 0,
        cache_dir: Path | None = None,
        progress: bool = True,
    ) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) < 2:
            raise ValueError(
                f"images must be uint8 (n, C, H, W) with n >= 2 and C 1 or 3, got {images.dtype} {tuple(images.shape)}"
            )
        self.images, self.extractor, self.seed = images, extractor, seed
        self.real_images = real_images(data, real_count)
        self._data, self._cache_dir, self._progress = data, cache_dir, progress

    @cached_property
    def features(self) -> Tensor:
        """(n, d) of the generated images."""
        label = f"{self.extractor.name}: generated images"
        return extract(self.extractor, self.images, progress=self._progress, label=label)

    @cached_property
    def real_features(self) -> Tensor:
        """(n', d) of the real ones."""
        return load_real_features(
            self._data,
            self.extractor,
            count=len(self.real_images),
            cache_dir=self._cache_dir,
            progress=self._progress,
        )

    @cached_property
    def reference(self) -> GaussianReference:
        """The Gaussian of the real ones."""
        return GaussianReference.fit(self.real_features)

    def name(self, measure: str) -> str:
        """See `name_number`."""
        return name_number(measure, self.extractor, len(self.images))


def _frechet(subject: Subject) -> list[Score]:
    moments, reference = FeatureMoments.of(subject.features), subject.reference
    distance = frechet_distance(moments.mean, moments.covariance, reference.mean, reference.covariance)
    return [Score(subject.name("FD"), float(distance), "lower")]


def _infinity(subject: Subject) -> list[Score]:
    line = frechet_infinity(subject.features, subject.reference, seed=subject.seed)
    return [Score(subject.name("FD-infinity"), line.value, "lower", line.error)]


def _kernel(subject: Subject) -> list[Score]:
    distance = kernel_distance(subject.features, subject.real_features, seed=subject.seed)
    return [Score(subject.name("KD"), distance.mean, "lower", distance.error)]


def _neighbours(subject: Subject) -> list[Score]:
    scores = neighbour_scores(subject.features, subject.real_features)
    return [Score(subject.name(name), value, "higher") for name, value in scores._asdict().items()]


def _perceptual(subject: Subject) -> list[Score]:
    distance = perceptual_distance()
    ours, real = (
        pairwise_variety(images, distance, seed=subject.seed) for images in (subject.images, subject.real_images)
    )
    name = f"mean pairwise {distance.name}, n={len(subject.images)}"
    return [Score(name, ours.mean, "as real", ours.error, real.mean)]


MEASURES: Mapping[str, Callable[[Subject], list[Score]]] = MappingProxyType(
    {"fd": _frechet, "fd-infinity": _infinity, "kid": _kernel, "prdc": _neighbours, "lpips": _perceptual}
)
"""What can be measured, by the name on the command line. `kid` and `lpips` are the families: the score has the name
of what was computed."""


def check_measures(names: Sequence[str]) -> None:
    """Raises ValueError, in one line, unless every name is in `MEASURES`, once, and there is one."""
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names or len(set(names)) < len(names):
        what = f"unknown metric {unknown[0]!r}" if unknown else "name each metric once"
        raise ValueError(f"{what}; known: {', '.join(MEASURES)}")


def score_images(subject: Subject, names: Sequence[str]) -> list[Score]:
    """The scores of a subject by some of `MEASURES`, in their order.

    Raises:
        ValueError: on an unknown name, or too few images for a measure.
    """
    check_measures(names)
    return [score for name in names for score in MEASURES[name](subject)]


def as_record(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Scores as JSON-able dictionaries, without what is not told."""
    return [{key: value for key, value in dataclasses.asdict(one).items() if value is not None} for one in scores]
