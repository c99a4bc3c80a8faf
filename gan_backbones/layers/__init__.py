"""Layers that work for one network and, with a leading replica axis, for many networks at once.

Every layer here reads its mode from the shape of its own weight: a plain weight takes ``(batch, ...)`` and gives
``(batch, ...)``; a weight with one more, leading axis of N replicas takes ``(N, batch, ...)``. The parameters and
their names are the same in both modes, which is what lets a population stack them
(:mod:`gan_backbones.flat`).
"""

from gan_backbones.layers.linear import Linear
from gan_backbones.layers.norm import BatchNorm2d
from gan_backbones.layers.phases import correlate, scatter
from gan_backbones.layers.resample import DownConv2d, UpConv2d
from gan_backbones.layers.spectral import SpectralNorm

__all__ = [
    "BatchNorm2d",
    "DownConv2d",
    "Linear",
    "SpectralNorm",
    "UpConv2d",
    "correlate",
    "scatter",
]
