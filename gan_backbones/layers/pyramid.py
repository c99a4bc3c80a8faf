"""Scales of an image, each twice as fine as the one before, and how a network fades from one to the next."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def upsample(x: Tensor) -> Tensor:
    """Every pixel four times, ``(..., C, H, W) -> (..., C, 2H, 2W)``; :func:`average_pool` undoes it exactly."""
    return F.interpolate(x.flatten(0, -4), scale_factor=2.0).unflatten(0, x.shape[:-3])


def average_pool(x: Tensor) -> Tensor:
    """Means of 2x2 pixels, ``(..., C, 2H, 2W) -> (..., C, H, W)``."""
    return F.avg_pool2d(x.flatten(0, -4), 2).unflatten(0, x.shape[:-3])


def fade_in(stage: Tensor, scales: int) -> list[Tensor]:
    """How far each scale but the coarsest has come in, from coarse to fine.

    Gives ``scales - 1`` tensors shaped like ``stage``.

    ``stage`` in [0, 1] is the share of the finest resolution that is reached: 1 shows everything, 1/2 all but the
    finest scale, and 0 the coarsest alone. In between, on a logarithmic scale, one scale after the other rises
    linearly from 0 to 1, as in the fade-in of Karras et al., arXiv 1710.10196, section 2. Differences of neighbours
    are the weights of the scales: a hat function of the stage each, one-hot where the stage meets a scale.
    """
    finest = scales - 1
    position = (finest + stage.log2()).clamp(0, finest)
    return [(position - scale).clamp(0, 1) for scale in range(finest)]


def per_image(values: Tensor) -> Tensor:
    """Numbers ``(...)`` shaped for a product with maps ``(..., C, H, W)``."""
    return values[..., None, None, None]


def per_row(values: Tensor) -> Tensor:
    """Numbers of each replica ``(N,)``, or of a plain network ``()``, shaped for a product with its maps."""
    return values[..., None, None, None, None]


def pyramid(images: Tensor, scales: int) -> list[Tensor]:
    """Box pyramid of ``images`` ``(..., C, R, R)``, from coarse to fine: ``scales`` tensors, the last is the input."""
    levels = [images]
    while len(levels) < scales:
        levels.append(average_pool(levels[-1]))
    return levels[::-1]


def flatten_pixels(maps: Tensor) -> Tensor:
    """``(..., C, H, W) -> (..., H W, C)``; no copy where channels come last in memory."""
    return torch.movedim(maps, -3, -1).flatten(-3, -2)
