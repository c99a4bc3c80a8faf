"""GCTDRN: globally connected two-flow dynamic residual block (after arXiv 2508.16089; see docs/mspg.md)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_backbones.layers.dema import Dema
from gan_backbones.layers.linear import Linear
from gan_backbones.layers.norm import BatchNorm2d


class Gctdrn(nn.Module):
    """Maps ``(..., batch, C, H, W)`` and the vector handed on ``(..., batch, context_size)`` to the same again.

        h = relu(norm(X));   Y = relu(h + DEMA(h))

    The local flow (receptive fields 3, 5 and 7) and the global flow meet in :class:`~gan_backbones.layers.dema.Dema`.
    The global connection: the block's global flow reads what the earlier blocks handed on, through a linear map of its
    own, and adds its own embedding to what it hands on. The options are those of ``Dema``.
    """

    def __init__(
        self,
        channels: int,
        context_size: int,
        *,
        lite: bool = False,
        dynamic: bool = True,
        local_flow: bool = True,
        global_flow: bool = True,
    ) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels)
        self.dema = Dema(
            channels, context_size, lite=lite, dynamic=dynamic, local_flow=local_flow, global_flow=global_flow
        )
        self.connection = Linear(context_size, context_size, bias=False) if global_flow else None

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.norm(x).relu()
        received = None if self.connection is None else self.connection(context)
        out, embedding = self.dema(hidden, received)
        return torch.relu(hidden + out), context if embedding is None else context + embedding
