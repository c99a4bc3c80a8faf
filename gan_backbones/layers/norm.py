"""Batch normalisation, plain or with a leading replica axis."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm2d(nn.Module):
    """Batch normalisation over batch and pixels (Ioffe & Szegedy, arXiv 1502.03167).

    Shapes: ``(batch, C, H, W)``; stacked: ``(N, batch, C, H, W)``, each replica normalised by its own statistics.
    The gain starts at N(1, 0.02^2) and the offset at 0, as in DCGAN (arXiv 1511.06434).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.eps = eps
        self.momentum = momentum

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw fresh plain parameters from ``generator`` and forget the running statistics."""
        self.weight.normal_(1.0, 0.02, generator=generator)
        self.bias.zero_()
        self.running_mean.zero_()
        self.running_var.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dim() == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
            )
        if self.training:
            var, mean = torch.var_mean(x.to(self.weight.dtype), (1, 3, 4), correction=0)  # (N, C)
            with torch.no_grad():
                count = x.numel() // mean.numel()
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
        else:
            var, mean = self.running_var, self.running_mean
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = (self.bias - mean * scale).to(x.dtype)
        scale = scale.to(x.dtype)
        return torch.addcmul(shift[:, None, :, None, None], x, scale[:, None, :, None, None])
