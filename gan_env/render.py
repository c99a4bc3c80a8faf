"""Pictures of samples as RGB arrays."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones.data import DataSet

_CANVAS = 256
_REACH = 2.5
_DATA_COLOUR, _SAMPLE_COLOUR = (190, 190, 190), (200, 40, 40)


class Rows(Protocol):
    """What is asked of a core."""

    def data_of(self, row: int) -> DataSet: ...

    def samples(self, row: int, count: int) -> Tensor: ...


def draw_samples(samples: Tensor, data: DataSet) -> NDArray[np.uint8]:
    """``(count, *sample_shape)`` to ``(height, width, 3)`` bytes: a grid of images or a scatter over the data."""
    return image_grid(samples) if data.is_image else scatter(samples, data.samples[:: max(1, len(data) // 2000)])


def draw_row(core: Rows, row: int) -> NDArray[np.uint8]:
    """Samples of one row's generator, of the same latents at every decision: 64 images, or 512 points over the data."""
    data = core.data_of(row)
    return draw_samples(core.samples(row, 64 if data.is_image else 512), data)


def image_grid(images: Tensor, columns: int | None = None) -> NDArray[np.uint8]:
    """Images ``(count, C, R, R)`` in [-1, 1] side by side; small ones are enlarged by a whole factor. NaN is black."""
    count, channels, resolution, _ = images.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    rows = math.ceil(count / columns)
    finite = torch.where(images.isfinite(), images, -1.0).clamp(-1, 1)
    padded = F.pad(finite, (0, 0, 0, 0, 0, 0, 0, rows * columns - count), value=-1.0)
    grid = padded.view(rows, columns, channels, resolution, resolution).permute(0, 3, 1, 4, 2)
    picture = grid.reshape(rows * resolution, columns * resolution, channels)
    pixels = ((picture + 1) * 127.5).round().to(torch.uint8).numpy()
    factor = max(1, _CANVAS // max(pixels.shape[:2]))
    pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def scatter(points: Tensor, background: Tensor) -> NDArray[np.uint8]:
    """Points ``(count, 2)`` in red over the data's in grey, the square [-2.5, 2.5]^2, the second axis upwards."""
    canvas = np.full((_CANVAS, _CANVAS, 3), 255, dtype=np.uint8)
    for cloud, colour in ((background, _DATA_COLOUR), (points, _SAMPLE_COLOUR)):
        xy = cloud[(cloud.abs() <= _REACH).all(1)].numpy()  # false for NaN, too
        pixel = np.round((xy + _REACH) / (2 * _REACH) * (_CANVAS - 1)).astype(np.int64)
        pixel = pixel[(pixel < _CANVAS - 1).all(1)]
        for dx in range(2):  # two pixels a dot, to be seen
            for dy in range(2):
                canvas[_CANVAS - 1 - pixel[:, 1] - dy, pixel[:, 0] + dx] = colour
    return canvas
