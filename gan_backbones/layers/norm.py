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
            return self._normalised(x)
        # The channels of all replicas side by side, batch and pixels in one row: PyTorch's fastest case.
        inner = x.movedim(1, -1)  # (N, C, H, W, batch)
        return self._normalised(inner.reshape(1, self.weight.numel(), -1)).view(inner.shape).movedim(-1, 1)

    def _normalised(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean.flatten(), self.running_var.flatten()
        weight, bias = self.weight.flatten(), self.bias.flatten()
        return F.batch_norm(x, mean, var, weight, bias, self.training, self.momentum, self.eps)
