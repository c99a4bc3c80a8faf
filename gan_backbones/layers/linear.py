"""Affine map, plain or with a leading replica axis."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_backbones.layers.spectral import SpectralNorm


class Linear(nn.Module):
    """``y = x W^T + b``.

    Shapes: ``(batch, in) -> (batch, out)``; stacked: ``(N, batch, in) -> (N, batch, out)``.

    ``init_std=None`` draws weight and bias uniformly from +-1/sqrt(in_features) (PyTorch's default for
    ``nn.Linear``); a number draws the weight from N(0, init_std^2) and sets the bias to zero.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        spectral_norm: bool = False,
        init_std: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.spectral_norm = SpectralNorm(out_features) if spectral_norm else None
        self.init_std = init_std

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw fresh plain parameters from ``generator``."""
        if self.init_std is None:
            bound = self.weight.shape[-1] ** -0.5
            self.weight.uniform_(-bound, bound, generator=generator)
            if self.bias is not None:
                self.bias.uniform_(-bound, bound, generator=generator)
        else:
            self.weight.normal_(0.0, self.init_std, generator=generator)
            if self.bias is not None:
                self.bias.zero_()
        if self.spectral_norm is not None:
            self.spectral_norm.reset(self.weight, generator)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.spectral_norm is None else self.spectral_norm(self.weight)
        if weight.dim() == 2:
            return F.linear(x, weight, self.bias)
        if self.bias is None:
            return torch.bmm(x, weight.mT)
        return torch.baddbmm(self.bias.unsqueeze(1), x, weight.mT)
