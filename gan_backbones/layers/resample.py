"""Convolutions that halve or double the resolution: kernel 4, stride 2, padding 1.

With a leading replica axis each becomes one batched matrix product on unfolded patches, which on small images is
several times faster than one convolution call per replica. Tensors keep the logical shape ``(N, batch, C, H, W)``
throughout; in memory the channels come last.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_backbones.layers.spectral import SpectralNorm


def _unfold(x: Tensor) -> Tensor:
    """``(N, B, H, W, C) -> (N, B, H/2, W/2, 16 C)``, each patch ordered (row, column, channel)."""
    replicas, batch, height, width, channels = x.shape
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    s_replica, s_batch, s_row, s_column, _ = padded.stride()
    windows = padded.as_strided(
        (replicas, batch, height // 2, width // 2, 4, 4 * channels),
        (s_replica, s_batch, 2 * s_row, 2 * s_column, s_row, 1),
    )
    return windows.reshape(replicas, batch, height // 2, width // 2, 16 * channels)


def _fold(patches: Tensor) -> Tensor:
    """``(N, B, h, w, 16 C) -> (N, B, 2h, 2w, C)``: sums overlapping patches; the adjoint of :func:`_unfold`."""
    replicas, batch, height, width, size = patches.shape
    channels = size // 16
    # A 4x4 patch at stride 2 is a 2x2 arrangement of 2x2 blocks, so the sum takes four shifted additions.
    blocks = patches.view(replicas, batch, height, width, 2, 2, 2, 2 * channels)
    out = patches.new_zeros(replicas, batch, height + 1, 2, width + 1, 2 * channels)
    for row in range(2):
        for column in range(2):
            target = out[:, :, row : row + height, :, column : column + width]
            target += blocks[:, :, :, :, row, :, column].transpose(3, 4)
    image = out.view(replicas, batch, 2 * height + 2, 2 * width + 2, channels)
    return image[:, :, 1:-1, 1:-1].contiguous()


class _Unfold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _unfold(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return _Fold.apply(grads[0])


class _Fold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, patches: Tensor) -> Tensor:
        return _fold(patches)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return _Unfold.apply(grads[0])


def unfold_patches(x: Tensor) -> Tensor:
    """All 4x4 patches at stride 2 with one pixel of zero padding.

    ``(N, batch, C, H, W) -> (N, batch, H/2, W/2, 16 C)``, patch entries ordered (row, column, channel).
    Differentiable any number of times; its adjoint is :func:`fold_patches`.
    """
    return _Unfold.apply(x.permute(0, 1, 3, 4, 2))  # type: ignore[no-any-return, no-untyped-call]


def fold_patches(patches: Tensor) -> Tensor:
    """Sum of overlapping 4x4 patches at stride 2, the outermost pixel cropped.

    ``(N, batch, h, w, 16 C) -> (N, batch, C, 2h, 2w)``. Differentiable any number of times.
    """
    image: Tensor = _Fold.apply(patches)  # type: ignore[no-untyped-call]
    return image.permute(0, 1, 4, 2, 3)


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
        patches = unfold_patches(x)
        replicas, batch, height, width, size = patches.shape
        matrix = weight.permute(0, 3, 4, 2, 1).reshape(replicas, size, -1)  # (N, 16 in, out)
        rows = patches.view(replicas, -1, size)
        out = torch.bmm(rows, matrix) if self.bias is None else torch.baddbmm(self.bias.unsqueeze(1), rows, matrix)
        return out.view(replicas, batch, height, width, -1).permute(0, 1, 4, 2, 3)


class UpConv2d(_Resample):
    """4x4 transposed convolution, stride 2, padding 1: ``(..., batch, in, h, w) -> (..., batch, out, 2h, 2w)``."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__((in_channels, out_channels, 4, 4), out_channels, bias, spectral_norm=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.effective_weight()
        if weight.dim() == 4:
            return F.conv_transpose2d(x, weight, self.bias, stride=2, padding=1)
        replicas, batch, channels, height, width = x.shape
        rows = x.permute(0, 1, 3, 4, 2).reshape(replicas, -1, channels)
        matrix = weight.permute(0, 1, 3, 4, 2).reshape(replicas, channels, -1)  # (N, in, 16 out)
        image = fold_patches(torch.bmm(rows, matrix).view(replicas, batch, height, width, -1))
        return image if self.bias is None else image + self.bias[:, None, :, None, None]
