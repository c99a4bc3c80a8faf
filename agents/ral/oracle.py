"""A known distribution over code maps, by which a learner's samples are scored exactly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_backbones.prior import choose_codes

_NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1))
"""Row and column, from a code, of what it depends on: left, above, and the two beside the one above."""


class Oracle:
    """A fixed random autoregressive model over a ``side`` x ``side`` map of ``codes`` values in raster order.

    A code depends on four neighbours before it (beyond the edge stands a code of its own) through a random perceptron
    of one hidden layer of tanh units, drawn once from ``seed``. ``sharpness`` scales its logits: 0 is uniform.
    Everything is float64 on the CPU.
    """

    def __init__(
        self, side: int = 8, codes: int = 8, *, sharpness: float = 3.0, hidden: int = 32, seed: int = 0
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.side, self.codes = side, codes
        inputs = len(_NEIGHBOURS) * (codes + 1)
        self.first = torch.randn(inputs, hidden, generator=generator, dtype=torch.float64)
        self.second = torch.randn(hidden, codes, generator=generator, dtype=torch.float64) * sharpness / hidden**0.5

    def logits(self, codes: Tensor) -> Tensor:
        """Of every code given those before it: ``(B, side^2) -> (B, side^2, codes)`` float64."""
        framed = F.pad(codes.cpu().unflatten(1, (self.side, self.side)), (1, 1, 1, 0), value=self.codes)
        seen = [
            framed[:, 1 + row : 1 + row + self.side, 1 + column : 1 + column + self.side] for row, column in _NEIGHBOURS
        ]
        return self._perceptron(torch.stack(seen, -1)).flatten(1, 2)

    def nll(self, codes: Tensor) -> Tensor:
        """Exact negative log likelihood of each code, nats, ``(B, side^2)`` float64."""
        return F.cross_entropy(self.logits(codes).mT, codes.cpu(), reduction="none")

    def sample(self, count: int, generator: torch.Generator, given: Tensor | None = None, prefix: int = 0) -> Tensor:
        """``count`` maps ``(count, side^2)`` int64, the first ``prefix`` codes of each those of ``given``."""
        framed = torch.full((count, self.side + 1, self.side + 2), self.codes)
        chances = torch.rand(count, self.side**2, generator=generator, dtype=torch.float64)
        for place in range(self.side**2):
            row, column = divmod(place, self.side)
            if given is not None and place < prefix:
                framed[:, row + 1, column + 1] = given[:, place]
                continue
            seen = torch.stack([framed[:, row + 1 + dr, column + 1 + dc] for dr, dc in _NEIGHBOURS], -1)
            framed[:, row + 1, column + 1] = choose_codes(self._perceptron(seen), chances[:, place])
        return framed[:, 1:, 1:-1].flatten(1)

    def _perceptron(self, seen: Tensor) -> Tensor:
        """Neighbours ``(..., 4)`` to logits ``(..., codes)``."""
        inputs = F.one_hot(seen, self.codes + 1).double().flatten(-2)
        return (inputs @ self.first).tanh() @ self.second
