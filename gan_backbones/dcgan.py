"""DCGAN (Radford et al., arXiv 1511.06434), its discriminator spectrally normalised (arXiv 1802.05957) or plain."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from gan_backbones.backbone import Backbone, GanPair, register_backbone, require_sizes
from gan_backbones.layers import BatchNorm2d, DownConv2d, Linear, UpConv2d

_STEM = 4  # pixels at which the generator begins and the discriminator ends


@dataclass(frozen=True)
class DcganOptions:
    """Sizes of the convolutional pair."""

    latent_size: int = 128
    """Numbers that the generator draws per image."""
    width: int = 64
    """Channels of the layer next to the image; they double at every halving of the resolution."""
    spectral_norm: bool = True
    """Whether the discriminator is spectrally normalised."""

    def __post_init__(self) -> None:
        require_sizes("dcgan", self)


class DcganGenerator(nn.Module):
    """Latents ``(..., batch, latent_size)`` to images ``(..., batch, C, R, R)`` in [-1, 1].

    A projection to 4x4, then transposed convolutions that double the resolution; batch norm and ReLU between them,
    tanh at the end.
    """

    def __init__(self, channels: int, resolution: int, options: DcganOptions) -> None:
        super().__init__()
        widths = _widths(resolution, options.width)[::-1]  # from 4x4 outwards
        self.stem_shape = (widths[0], _STEM, _STEM)
        # A 4x4 transposed convolution of a 1x1 input is a linear map; no bias, batch norm would cancel it.
        self.stem = Linear(options.latent_size, widths[0] * _STEM * _STEM, bias=False, init_std=0.02)
        layers: list[nn.Module] = []
        for width, following in zip(widths, [*widths[1:], channels], strict=True):
            last = len(layers) == 3 * (len(widths) - 1)
            layers += [BatchNorm2d(width), nn.ReLU(inplace=True), UpConv2d(width, following, bias=last)]
        self.body = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.body(self.stem(latents).unflatten(-1, self.stem_shape))
        return images


class DcganDiscriminator(nn.Module):
    """Images ``(..., batch, C, R, R)`` to logits ``(..., batch)``.

    Strided convolutions and LeakyReLU, spectral norm on every convolution or on none, no batch norm. The features are
    the last 4x4 map, flattened; the head is a 4x4 convolution to one number.
    """

    def __init__(self, channels: int, resolution: int, options: DcganOptions) -> None:
        super().__init__()
        widths = _widths(resolution, options.width)
        layers: list[nn.Module] = []
        for width, following in zip([channels, *widths[:-1]], widths, strict=True):
            layers += [DownConv2d(width, following, spectral_norm=options.spectral_norm), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Flatten(-3))
        self.head = Linear(widths[-1] * _STEM * _STEM, 1, spectral_norm=options.spectral_norm, init_std=0.02)

    def features(self, samples: Tensor) -> Tensor:
        maps: Tensor = self.body(samples)
        return maps

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features)
        return logits.squeeze(-1)

    def forward(self, samples: Tensor) -> Tensor:
        return self.classify(self.features(samples))


def _widths(resolution: int, width: int) -> list[int]:
    """Channels at R/2, R/4, ..., 4 pixels."""
    halvings = (resolution // _STEM).bit_length() - 1
    return [width << level for level in range(halvings)]


def _build(sample_shape: tuple[int, ...], options: DcganOptions) -> GanPair:
    if len(sample_shape) != 3:
        raise ValueError(f"backbone 'dcgan' makes images, not samples of shape {sample_shape}; use 'mlp' for points")
    channels, height, width = sample_shape
    if height != width or height < 16 or height & (height - 1):
        raise ValueError(
            f"backbone 'dcgan' makes square images of a power of two from 16 pixels up, not {height}x{width}"
        )
    return GanPair(
        DcganGenerator(channels, height, options),
        DcganDiscriminator(channels, height, options),
        options.latent_size,
        stackable=True,
    )


register_backbone(Backbone("dcgan", DcganOptions, _build))
