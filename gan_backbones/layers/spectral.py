"""Spectral normalisation by power iteration (Miyato et al., arXiv 1802.05957, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_backbones.layers.autocast import autocast_dtype

_WARM_UP_ITERATIONS = 15


def _normalise(vector: Tensor) -> Tensor:
    return F.normalize(vector, dim=-1, eps=1e-12)


class SpectralNorm(nn.Module):
    """Divides a weight by an estimate of its largest singular value.

    The weight is read as a matrix ``(out, everything else)``. Each call makes one power iteration from the left
    singular vector ``u``, and keeps the result in training mode alone. The vectors are constants for the gradient.
    Shapes: weight ``(out, ...)`` or ``(N, out, ...)``, ``u`` ``(out,)`` or ``(N, out)``.
    """

    u: Tensor

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.register_buffer("u", torch.zeros(out_features))

    @torch.no_grad()
    def reset(self, weight: Tensor, generator: torch.Generator) -> None:
        """Draw ``u`` and bring it close to the leading singular vector of a plain ``weight``."""
        self.u.copy_(_normalise(torch.empty_like(self.u).normal_(generator=generator)))
        matrix = weight.flatten(1)
        for _ in range(_WARM_UP_ITERATIONS):
            self.u.copy_(_normalise(matrix @ _normalise(self.u @ matrix)))

    def forward(self, weight: Tensor) -> Tensor:
        if autocast_dtype(weight) is None:
            return self._divided(weight)
        with torch.autocast(weight.device.type, enabled=False):  # norms keep their digits
            return self._divided(weight)

    def _divided(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(self.u.dim())  # (..., out, rest)
        with torch.no_grad():
            v = _normalise((self.u.unsqueeze(-2) @ matrix).squeeze(-2))
            u = _normalise((matrix @ v.unsqueeze(-1)).squeeze(-1))
            if self.training:
                self.u.copy_(u)
        sigma = (u * (matrix @ v.unsqueeze(-1)).squeeze(-1)).sum(-1)  # (...)
        return weight / sigma.reshape(sigma.shape + (1,) * (weight.dim() - sigma.dim()))
