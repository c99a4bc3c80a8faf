"""MSPG-SEN: a progressive generator of two-flow blocks, and a discriminator that sees every scale.

After Sun, Song & Chi, "Two-flow Feedback Multi-scale Progressive Generative Adversarial Network", arXiv 2508.16089.
The paper leaves much open; docs/mspg.md says part by part what was chosen and why.

The knob ``stage`` of a population leaves Adam alone. The moments of a scale that was never shown are 0 after any
number n of steps, so that its first step is (1 - beta_1) sqrt(1 - beta_2^n) / sqrt(1 - beta_2) times the rate: 12.6
times after 1,000 updates, 16 at most with the default betas. Dozens that follow are too long as well, however slowly
the scale fades in. Growth in a single GAN (docs/train-gan.md) begins Adam anew instead.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_backbones.backbone import Backbone, GanPair, register_backbone, require_sizes
from gan_backbones.layers import (
    DownConv2d,
    Gctdrn,
    Linear,
    UpConv2d,
    fade_in,
    per_row,
    pyramid,
    upsample,
)

_STEM = 4  # pixels of the coarsest map; the coarsest image has twice as many
_RESOLUTIONS = (16, 32, 64, 128)
_SMALLEST_VARIANCE = 1e-8


@dataclass(frozen=True)
class MspgOptions:
    """Sizes and switches. Each switch that is off leaves one part out, for ablations."""

    latent_size: int = 128
    """Numbers that the generator draws per image."""
    width: int = 64
    """Channels of the finest maps; they double at every halving of the resolution."""
    lite: bool = False
    """Depthwise kernels in the local flow."""
    dema: bool = True
    """Fusion weights computed from the input; off: equal ones."""
    local_flow: bool = True
    """Receptive fields of 3, 5 and 7 pixels."""
    global_flow: bool = True
    """Embedding of the whole map, and what blocks hand on to each other."""
    auxiliary: bool = True
    """A second head of the discriminator, on feature maps; it needs the knob ``aux_weight`` to be trained."""
    progression: bool = True
    """Images at every scale, and the knob ``stage``; off: the finest alone."""
    scales: int = len(_RESOLUTIONS) + 1
    """Scales that are computed, at most, from that of 8 pixels on; finer ones have parameters that lie idle."""

    def __post_init__(self) -> None:
        require_sizes("mspg", self)
        if not (self.local_flow or self.global_flow):
            raise ValueError("mspg: at least one of local_flow and global_flow must be on")
        if not self.progression and self.scales <= len(_RESOLUTIONS):
            raise ValueError("mspg: without progression there is one scale; leave scales at its default")


class MspgGenerator(nn.Module):
    """Latents ``(..., batch, latent_size)`` to images ``(..., batch, C, R, R)`` in [-1, 1].

    A projection to 4x4; at every scale a :class:`~gan_backbones.layers.Gctdrn`, then a transposed convolution to the
    next map. The first block is handed an embedding of the latents. Another transposed convolution of each map adds
    detail to the image of the scale before, enlarged; tanh of the sum comes last. Images therefore have twice the
    resolution of their maps, and no block works at the finest resolution, which is what would cost most. Scales beyond
    the option ``scales`` cost nothing; the last computed image is enlarged in their place.
    """

    stage: Tensor

    def __init__(self, channels: int, resolution: int, options: MspgOptions) -> None:
        super().__init__()
        widths = _widths(resolution, options.width)
        context_size = 2 * options.width
        flows = {"local_flow": options.local_flow, "global_flow": options.global_flow}
        self.stem_shape = (widths[0], _STEM, _STEM)
        self.stem = Linear(options.latent_size, widths[0] * _STEM * _STEM, bias=False, init_std=0.02)
        self.embedding = Linear(options.latent_size, context_size) if options.global_flow else None
        self.blocks = nn.ModuleList(
            Gctdrn(width, context_size, lite=options.lite, dynamic=options.dema, **flows) for width in widths
        )
        self.enlarge = nn.ModuleList(UpConv2d(width, finer, bias=False) for width, finer in itertools.pairwise(widths))
        shown = widths if options.progression else widths[-1:]
        self.to_image = nn.ModuleList(UpConv2d(width, channels) for width in shown)
        self.computed = min(options.scales, len(widths))
        """Scales that are computed."""
        if options.progression:
            self.register_buffer("stage", torch.ones(()))

    def forward(self, latents: Tensor) -> Tensor:
        image, *details = self._details(latents)
        for fade, detail in zip(_fades(self), details, strict=True):
            image = upsample(image) + per_row(fade) * detail
        image = image.tanh()
        for _ in range(len(self.blocks) - self.computed):
            image = upsample(image)
        return image

    def scales(self, latents: Tensor) -> list[Tensor]:
        """Images of every computed scale, from coarse to fine, whatever the stage: ``(..., batch, C, r, r)`` each."""
        image, *details = self._details(latents)
        images = [image]
        for detail in details:
            images.append(upsample(images[-1]) + detail)
        return [one.tanh() for one in images]

    def _details(self, latents: Tensor) -> list[Tensor]:
        maps = self.stem(latents).unflatten(-1, self.stem_shape)
        context = latents if self.embedding is None else self.embedding(latents)
        outputs = []
        for index in range(self.computed):
            if index:
                maps = self.enlarge[index - 1](maps)
            maps, context = self.blocks[index](maps, context)
            outputs.append(maps)
        shown = outputs[-len(self.to_image) :]  # without progression the last alone
        return [self.to_image[index](maps) for index, maps in enumerate(shown)]


class AuxiliaryHead(nn.Module):
    """Judges feature maps of a batch region by region, ``(..., batch, regions, C) -> (..., batch)`` logits.

    Beside the features of a region it sees how much they vary over the batch (after the minibatch standard deviation of
    Karras et al., arXiv 1710.10196, section 3), so that a region in which all generated images look alike gives them
    away. The batch must be all real or all generated. The logit is the mean over regions.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.of_features = Linear(channels, hidden, spectral_norm=True)
        self.of_deviations = Linear(channels, hidden, bias=False, spectral_norm=True)
        self.head = Linear(hidden, 1, spectral_norm=True)

    def forward(self, maps: Tensor) -> Tensor:
        deviations = (maps.var(-3, correction=0) + _SMALLEST_VARIANCE).sqrt()
        regions = maps.shape[-2]
        hidden = self.of_features(maps.flatten(-3, -2)).unflatten(-2, (-1, regions))
        hidden = F.leaky_relu(hidden + self.of_deviations(deviations).unsqueeze(-3), 0.2)
        logits: Tensor = self.head(hidden.flatten(-3, -2)).unflatten(-2, (-1, regions))
        return logits.mean((-2, -1))


class MspgDiscriminator(nn.Module):
    """Images ``(..., batch, C, R, R)`` to logits ``(..., batch)``.

    It makes the box pyramid of its input itself. From the finest scale down, strided convolutions with spectral norm
    halve the map; the next coarser scale, through a strided convolution of its own, is added to it. The features are
    the last 4x4 map, flattened; a linear head judges them, and an :class:`AuxiliaryHead` a second time. Scales beyond
    the option ``scales`` are averaged away unseen.
    """

    stage: Tensor

    def __init__(self, channels: int, resolution: int, options: MspgOptions) -> None:
        super().__init__()
        widths = _widths(resolution, options.width)
        seen = widths if options.progression else widths[-1:]
        self.from_image = nn.ModuleList(DownConv2d(channels, width, spectral_norm=True) for width in seen)
        self.reduce = nn.ModuleList(
            DownConv2d(finer, width, spectral_norm=True) for width, finer in itertools.pairwise(widths)
        )
        self.head = Linear(widths[0] * _STEM * _STEM, 1, spectral_norm=True, init_std=0.02)
        self.second_head = AuxiliaryHead(widths[0], options.width) if options.auxiliary else None
        self.channels = widths[0]
        self.computed = min(options.scales, len(widths))
        """Scales that are computed."""
        if options.progression:
            self.register_buffer("stage", torch.ones(()))

    def features(self, samples: Tensor) -> Tensor:
        levels = pyramid(samples, len(self.from_image))
        seen = min(self.computed, len(levels)) - 1
        maps: Tensor = self.from_image[seen](levels[seen])
        fades = _fades(self)
        for index in reversed(range(self.computed - 1)):
            maps = self.reduce[index](F.leaky_relu(maps, 0.2))
            if fades:
                fade = per_row(fades[index])
                # The sum of two maps would be larger than either.
                maps = torch.addcmul(self.from_image[index](levels[index]), maps, fade) * (1 + fade.square()).rsqrt()
        return F.leaky_relu(maps, 0.2).flatten(-3)

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features)
        return logits.squeeze(-1)

    def auxiliary(self, features: Tensor) -> Tensor:
        """Logits ``(..., batch)`` of a batch that is all real or all generated; see :class:`AuxiliaryHead`."""
        if self.second_head is None:
            raise ValueError("mspg: option auxiliary is off, there is no second head")
        logits: Tensor = self.second_head(features.unflatten(-1, (self.channels, -1)).mT)
        return logits

    def forward(self, samples: Tensor) -> Tensor:
        return self.classify(self.features(samples))


def _fades(network: MspgGenerator | MspgDiscriminator) -> list[Tensor]:
    """How far each computed scale but the coarsest has come in; none without progression."""
    ends = network.to_image if isinstance(network, MspgGenerator) else network.from_image
    return fade_in(network.stage, len(ends))[: network.computed - 1] if len(ends) > 1 else []


def _widths(resolution: int, width: int) -> list[int]:
    """Channels of the maps at 4, 8, ..., R/2 pixels."""
    doublings = (resolution // _STEM).bit_length() - 2
    return [width << level for level in range(doublings, -1, -1)]


def _build(sample_shape: tuple[int, ...], options: MspgOptions) -> GanPair:
    if len(sample_shape) != 3:
        raise ValueError(f"backbone 'mspg' makes images, not samples of shape {sample_shape}; use 'mlp' for points")
    channels, height, width = sample_shape
    if height != width or height not in _RESOLUTIONS:
        pixels = ", ".join(map(str, _RESOLUTIONS))
        raise ValueError(f"backbone 'mspg' makes square images of {pixels} pixels, not {height}x{width}")
    return GanPair(
        MspgGenerator(channels, height, options),
        MspgDiscriminator(channels, height, options),
        options.latent_size,
        stackable=True,
        knobs=(*(("aux_weight",) if options.auxiliary else ()), *(("stage",) if options.progression else ())),
    )


register_backbone(Backbone("mspg", MspgOptions, _build))
