"""A pair of multilayer perceptrons for points in the plane."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from gan_backbones.backbone import Backbone, GanPair, register_backbone, require_sizes
from gan_backbones.layers import Linear


@dataclass(frozen=True)
class MlpOptions:
    """Sizes of the perceptrons."""

    latent_size: int = 8
    """Numbers that the generator draws per sample."""
    width: int = 64
    """Units of each of the two hidden layers."""

    def __post_init__(self) -> None:
        require_sizes("mlp", self)


class MlpGenerator(nn.Module):
    """Latents ``(..., batch, latent_size)`` to points ``(..., batch, size)``; two hidden ReLU layers."""

    def __init__(self, size: int, options: MlpOptions) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Linear(options.latent_size, options.width),
            nn.ReLU(),
            Linear(options.width, options.width),
            nn.ReLU(),
            Linear(options.width, size),
        )

    def forward(self, latents: Tensor) -> Tensor:
        points: Tensor = self.layers(latents)
        return points


class MlpDiscriminator(nn.Module):
    """Points ``(..., batch, size)`` to logits ``(..., batch)``; the features are the second hidden layer."""

    def __init__(self, size: int, options: MlpOptions) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Linear(size, options.width),
            nn.LeakyReLU(0.2),
            Linear(options.width, options.width),
            nn.LeakyReLU(0.2),
        )
        self.head = Linear(options.width, 1)

    def features(self, samples: Tensor) -> Tensor:
        hidden: Tensor = self.body(samples)
        return hidden

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features)
        return logits.squeeze(-1)

    def forward(self, samples: Tensor) -> Tensor:
        return self.classify(self.features(samples))


def _build(sample_shape: tuple[int, ...], options: MlpOptions) -> GanPair:
    if len(sample_shape) != 1:
        raise ValueError(f"backbone 'mlp' makes points, not samples of shape {sample_shape}; use 'dcgan' for images")
    (size,) = sample_shape
    return GanPair(MlpGenerator(size, options), MlpDiscriminator(size, options), options.latent_size, stackable=True)


register_backbone(Backbone("mlp", MlpOptions, _build))
