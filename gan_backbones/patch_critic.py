"""A patch discriminator: one score per code of a map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_backbones.backbone import draw_seed, global_seed, require_sizes


@dataclass(frozen=True)
class PatchCriticOptions:
    """Sizes of the discriminator."""

    width: int = 64
    """Channels at the resolution of the scores."""
    layers: int = 2
    """3x3 convolutions at that resolution: each widens a score's view by two codes."""

    def __post_init__(self) -> None:
        require_sizes("critic", self)


class PatchCritic(nn.Module):
    """``(B, channels, s h, s w)`` to scores ``(B, h, w)``, s the ``downsampling``, a power of two (Isola et al., arXiv
    1611.07004, section 3.2.2).

    Convolutions and LeakyReLU without any norm: a batch norm would tie the samples of a batch together, which a
    per-sample gradient penalty forbids (Gulrajani et al., arXiv 1704.00028, section 4). Weights are drawn from
    ``generator`` alone.
    """

    def __init__(
        self, channels: int, downsampling: int, options: PatchCriticOptions, generator: torch.Generator
    ) -> None:
        super().__init__()
        if downsampling < 1 or downsampling & (downsampling - 1):
            raise ValueError(f"critic: downsampling must be a power of two, not {downsampling}")
        width, halvings = options.width, downsampling.bit_length() - 1
        with global_seed(draw_seed(generator)):
            layers: list[nn.Module] = []
            for level in range(halvings):
                following = max(1, width >> (halvings - 1 - level))
                layers += [nn.Conv2d(channels, following, 4, 2, 1), nn.LeakyReLU(0.2)]
                channels = following
            for _ in range(options.layers):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
                channels = width
            self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 1))

    def forward(self, samples: Tensor) -> Tensor:
        scores: Tensor = self.layers(samples)
        return scores.squeeze(1)
