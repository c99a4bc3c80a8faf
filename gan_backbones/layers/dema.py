"""DEMA: dynamic embedded attention (after Sun, Song & Chi, arXiv 2508.16089; docs/mspg.md says what is whose).

Convolutions of three receptive fields see local detail; a few context vectors, pooled from the whole map and handed
back to every pixel, carry global meaning; weights computed from the input decide how much of each a sample gets. No
pixel is compared with another, so the cost is linear in their number.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gan_backbones.layers.conv import Conv2d
from gan_backbones.layers.linear import Linear
from gan_backbones.layers.pyramid import flatten_pixels, per_image

FIELDS = (3, 5, 7)
"""Receptive fields of the local flow, in pixels."""
TOKENS = 4
"""Context vectors per map: one alone would tell every pixel the same."""
FLOOR = 0.01
"""Smallest weight of a branch, so that none is ever cut off from its gradient."""
DEAD = 0.02
"""A branch below this weight has nothing but its floor left."""


class LocalFlow(nn.Module):
    """``(..., batch, C, H, W)`` to one map of the same shape per receptive field.

    3x3 convolutions in a row, each reading the one before: after one, two and three of them a pixel has seen 3x3, 5x5
    and 7x7. That takes 27 taps where kernels of these sizes side by side would take 83.
    """

    def __init__(self, channels: int, *, lite: bool) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Conv2d(channels, channels, 3, depthwise=lite, bias=False) for _ in FIELDS)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for step in self.steps:
            x = step(x)
            maps.append(x)
        return maps


class GlobalContext(nn.Module):
    """Implicit embedding of the whole map.

    Each of :data:`TOKENS` context vectors is a mean over the map with learned weights (a softmax over the pixels); a
    light MLP maps all of them together; each pixel gets back a mixture of the results (a softmax over the vectors).
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.scores = Linear(channels, TOKENS, bias=False)
        self.inward = Linear(TOKENS * channels, size)
        self.outward = Linear(size, TOKENS * channels)

    def embed(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The embedding ``(..., batch, size)``, to which ``context`` contributes, and the pixels' scores."""
        pixels = flatten_pixels(x)
        # Tokens before pixels: a softmax over a last axis of four numbers would cost more than the products.
        scores = self.scores.weight.unsqueeze(-3) @ pixels.mT
        tokens = scores.softmax(-1) @ pixels
        hidden = self.inward(tokens.flatten(-2))
        return (hidden if context is None else hidden + context).relu(), scores

    def spread(self, embedding: Tensor, scores: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps ``(..., batch, C, *size)`` of an embedding, times a weight ``(..., batch)``."""
        vectors = self.outward(embedding).unflatten(-1, (TOKENS, -1)) * weight[..., None, None]
        return (scores.softmax(-2).mT @ vectors).unflatten(-2, size).movedim(-1, -3)


class Dema(nn.Module):
    """``(..., batch, C, H, W)`` to a map of that shape and the global embedding ``(..., batch, context_size)``.

    ``lite`` makes the local convolutions depthwise; one pointwise convolution after them mixes the channels in either
    form. A light MLP computes the weight of each branch from the mean of the input; ``dynamic=False`` gives all the
    same weight. Without ``local_flow`` or ``global_flow`` the branches in question are left out.

    ``fusion_weights`` holds the weights of the last training batch, averaged over it, one for each of ``branches``.
    """

    fusion_weights: Tensor

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
        if not (local_flow or global_flow):
            raise ValueError("at least one of local_flow and global_flow must be there")
        self.branches = (*(f"{field}x{field}" for field in FIELDS if local_flow), *(("global",) if global_flow else ()))
        self.local = LocalFlow(channels, lite=lite) if local_flow else None
        self.mix = Conv2d(channels, channels, 1) if local_flow else None
        self.context = GlobalContext(channels, context_size) if global_flow else None
        self.judge = None
        if dynamic and len(self.branches) > 1:  # a single branch has nothing to be weighed against
            hidden = max(channels // 4, 4)
            self.judge = nn.Sequential(Linear(channels, hidden), nn.ReLU(), Linear(hidden, len(self.branches)))
        self.register_buffer("fusion_weights", torch.full((len(self.branches),), 1 / len(self.branches)))

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Forget the weights of the last batch; the parameters belong to the layers within."""
        self.fusion_weights.fill_(1 / len(self.branches))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        weights = self._weights(x)
        out = embedding = None
        if self.local is not None and self.mix is not None:
            fused = None
            for index, local in enumerate(self.local(x)):
                share = per_image(weights[..., index])
                fused = local * share if fused is None else torch.addcmul(fused, local, share)
            out = self.mix(fused)
        if self.context is not None:
            embedding, scores = self.context.embed(x, context)
            spread = self.context.spread(embedding, scores, weights[..., -1], (x.shape[-2], x.shape[-1]))
            out = spread if out is None else out + spread
        assert out is not None
        return out, embedding

    def _weights(self, x: Tensor) -> Tensor:
        """``(..., batch, branches)``, with a sum of 1 and none below :data:`FLOOR`."""
        count = len(self.branches)
        if self.judge is None:
            return x.new_full((*x.shape[:-3], count), 1 / count)
        weights: Tensor = FLOOR + (1 - count * FLOOR) * self.judge(x.mean((-2, -1))).softmax(-1)
        if self.training:
            self.fusion_weights.copy_(weights.detach().mean(-2))
        return weights


def fusion_weights(module: nn.Module) -> Mapping[str, Mapping[str, Tensor]]:
    """Of every :class:`Dema` in ``module``, by its path: branch -> weight in the last training batch, ``(...)``."""
    return {
        path: dict(zip(layer.branches, layer.fusion_weights.unbind(-1), strict=True))
        for path, layer in module.named_modules()
        if isinstance(layer, Dema)
    }


def dead_branches(module: nn.Module) -> list[str]:
    """One line for each branch whose weight lies below :data:`DEAD` in any replica; waits for the device."""
    return [
        f"{path}: branch {branch} is dead, its mean weight is {float(weight.min()):.3f}"
        for path, weights in fusion_weights(module).items()
        for branch, weight in weights.items()
        if float(weight.min()) < DEAD
    ]
