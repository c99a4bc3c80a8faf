"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8 x 8, no download."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional

from gan_backbones.data.dataset import DataSet

RESOLUTIONS = (16, 32)
_DEFAULT_RESOLUTION = 16
_BRIGHTEST = 16.0  # load_digits counts the inked pixels of a 4 x 4 block


def load_digits(
    resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """Digits enlarged (bilinear) to ``resolution`` pixels, default 16: uint8 (M, 1, R, R), attribute ``digit``.

    ``seed`` permutes their order and nothing else; ``count`` keeps at most that many of the 1,797.
    """
    from sklearn import datasets  # takes a second to import, and only this source needs it

    size = _DEFAULT_RESOLUTION if resolution is None else resolution
    pixels, digits = datasets.load_digits(return_X_y=True)  # (1797, 64) and (1797,)
    grey = torch.as_tensor(pixels, dtype=torch.float64).div(_BRIGHTEST).reshape(-1, 1, 8, 8)
    enlarged = functional.interpolate(grey, size=(size, size), mode="bilinear", antialias=True)
    images = enlarged.mul(255.0).round().clamp(0, 255).to(torch.uint8)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count]
    return DataSet(
        name="digits",
        samples=images[order],
        attributes={"digit": torch.as_tensor(digits, dtype=torch.int64)[order]},
        attribute_values={"digit": tuple(str(digit) for digit in range(10))},
        mixture=None,
    )


def load_digits_rgb(
    resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """`load_digits` on three equal channels: uint8 (M, 3, R, R), to stand beside colour images."""
    grey = load_digits(resolution, seed, count, cache_dir, progress)
    return replace(grey, name="digits-rgb", samples=grey.samples.repeat(1, 3, 1, 1))
