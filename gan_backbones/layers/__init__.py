"""Layers that work for one network and, with a leading replica axis, for many networks at once.

Every layer here reads its mode from the shape of its own weight: a plain weight takes ``(batch, ...)`` and gives
``(batch, ...)``; a weight with one more, leading axis of N replicas takes ``(N, batch, ...)``. The parameters and
their names are the same in both modes, which is what lets a population stack them
(:mod:`gan_backbones.flat`).
"""

from gan_backbones.layers.conv import Conv2d
from gan_backbones.layers.dema import Dema, dead_branches, fusion_weights
from gan_backbones.layers.gctdrn import Gctdrn
from gan_backbones.layers.linear import Linear
from gan_backbones.layers.norm import BatchNorm2d
from gan_backbones.layers.phases import correlate, scatter
from gan_backbones.layers.pyramid import average_pool, fade_in, flatten_pixels, per_image, per_row, pyramid, upsample
from gan_backbones.layers.resample import DownConv2d, UpConv2d
from gan_backbones.layers.spectral import SpectralNorm

__all__ = [
    "BatchNorm2d",
    "Conv2d",
    "Dema",
    "DownConv2d",
    "Gctdrn",
    "Linear",
    "SpectralNorm",
    "UpConv2d",
    "average_pool",
    "correlate",
    "dead_branches",
    "fade_in",
    "flatten_pixels",
    "fusion_weights",
    "per_image",
    "per_row",
    "pyramid",
    "scatter",
    "upsample",
]
