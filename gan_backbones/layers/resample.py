"""Convolutions that halve or double the resolution: kernel 4, stride 2, padding 1.

With a leading replica axis each becomes a few batched matrix products (:mod:`gan_backbones.layers.phases`), which on
small images is several times faster than one convolution call per replica. Tensors keep the logical shape
``(N, batch, C, H, W)`` throughout; in memory the batch comes last.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_backbones.layers.phases import correlate, scatter
from gan_backbones.layers.spectral import SpectralNorm


class _Resample(nn.Module):
    """What the two convolutions share: parameters, their start, and the normalised weight."""

    def __init__(self, shape: tuple[int, ...], out_channels: int, bias: bool, spectral_norm: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.spectral_norm = SpectralNorm(shape[0]) if spectral_norm else None

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw fresh plain parameters: N(0, 0.02^2) as in DCGAN (arXiv 1511.06434), bias 0."""
        self.weight.normal_(0.0, 0.02, generator=generator)
        if self.bias is not None:
            self.bias.zero_()
        if self.spectral_norm is not None:
            self.spectral_norm.reset(self.weight, generator)

    def effective_weight(self) -> Tensor:
        return self.weight if self.spectral_norm is None else self.spectral_norm(self.weight)


class DownConv2d(_Resample):
    """4x4 convolution, stride 2, padding 1: ``(..., batch, in, H, W) -> (..., batch, out, H/2, W/2)``."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True, spectral_norm: bool = False) -> None:
        super().__init__((out_channels, in_channels, 4, 4), out_channels, bias, spectral_norm)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.effective_weight()
        if weight.dim() == 4:
            return F.conv2d(x, weight, self.bias, stride=2, padding=1)
        values = correlate(x, weight)
        return values if self.bias is None else values + self.bias[:, None, :, None, None]


class UpConv2d(_Resample):
    """4x4 transposed convolution, stride 2, padding 1: ``(..., batch, in, h, w) -> (..., batch, out, 2h, 2w)``."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__((in_channels, out_channels, 4, 4), out_channels, bias, spectral_norm=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.effective_weight()
        if weight.dim() == 4:
            return F.conv_transpose2d(x, weight, self.bias, stride=2, padding=1)
        image = scatter(x, weight)
        return image if self.bias is None else image + self.bias[:, None, :, None, None]
