"""VQ-VAE with one or two levels of codes (van den Oord et al., arXiv 1711.00937; Razavi et al., arXiv 1906.00446).

The quantiser is vector-quantize-pytorch's: a codebook that follows its vectors by an exponential moving average
(arXiv 1711.00937, appendix A.1) and begins unused codes anew at vectors of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import VectorQuantize

from gan_backbones.backbone import draw_seed, global_seed, require_sizes

_EMA_DECAY = 0.95  # arXiv 1906.00446 uses 0.99 over 250,000 updates; a few hundred updates need a shorter memory
_DEAD_BELOW = 1.0  # vectors per batch, on average, under which a code counts as dead


@dataclass(frozen=True)
class VqVaeOptions:
    """Sizes of the autoencoder."""

    width: int = 64
    """Channels at the resolution of the codes; half as many at the one above."""
    code_size: int = 16
    """Numbers per code vector."""
    codes: int = 256
    """Codes of each level's codebook."""
    levels: int = 1
    """1, or 2: a map of half the side above the other, which sees it."""
    downsampling: int = 4
    """Pixels of a side per code of a side, a power of two from 2 up."""

    def __post_init__(self) -> None:
        require_sizes("vqvae", self)
        if self.levels > 2:
            raise ValueError(f"vqvae: levels must be 1 or 2, not {self.levels}")
        if self.downsampling < 2 or self.downsampling & (self.downsampling - 1):
            raise ValueError(f"vqvae: downsampling must be a power of two from 2 up, not {self.downsampling}")


@dataclass(frozen=True)
class Autoencoded:
    """What a VQ-VAE makes of images."""

    images: Tensor
    """Reconstructions ``(B, C, R, R)`` in [-1, 1]."""
    codes: Tensor
    """``(B, length)`` int64."""
    commitment: Tensor
    """Scalar: mean squared distance of the encoder's vectors from their codes (arXiv 1711.00937, equation 3)."""


class _Residual(nn.Module):
    """Two convolutions beside a skip connection; the shape stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(width // 2, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.layers(x)
        return x + changed


class VqVae(nn.Module):
    """Images to maps of codes and back.

    With two levels the codes of the upper map come first, each map in raster order. Weights are drawn from
    ``generator`` alone.

    Args:
        channels, resolution: of the square images.
        options: sizes.
        generator: source of the weights.

    Raises:
        ValueError: for a resolution that the maps do not divide.
    """

    def __init__(self, channels: int, resolution: int, options: VqVaeOptions, generator: torch.Generator) -> None:
        super().__init__()
        side, rest = divmod(resolution, options.downsampling << (options.levels - 1))
        if rest or side < 1:
            factor = options.downsampling << (options.levels - 1)
            raise ValueError(f"vqvae: the resolution must be a multiple of {factor}, not {resolution}")
        bottom = resolution // options.downsampling
        self.options = options
        self.maps = ((bottom, bottom),) if options.levels == 1 else ((side, side), (bottom, bottom))
        """Height and width of each level's map, the upper one first."""
        self.length = sum(height * width for height, width in self.maps)
        width, size = options.width, options.code_size
        halvings = options.downsampling.bit_length() - 1
        with global_seed(draw_seed(generator)):
            down: list[nn.Module] = []
            up: list[nn.Module] = []
            for level in range(halvings):
                last = level == halvings - 1
                down += [nn.Conv2d(channels if level == 0 else width // 2, width if last else width // 2, 4, 2, 1)]
                down += [] if last else [nn.ReLU()]
                up += [
                    nn.ConvTranspose2d(width if level == 0 else width // 2, channels if last else width // 2, 4, 2, 1)
                ]
                up += [] if last else [nn.ReLU()]
            self.encoder = nn.Sequential(*down, nn.Conv2d(width, width, 3, padding=1), _Residual(width), nn.ReLU())
            self.decoder = nn.Sequential(
                nn.Conv2d(size * options.levels, width, 3, padding=1),
                _Residual(width),
                _Residual(width),
                nn.ReLU(),
                *up,
            )
            if options.levels == 2:
                self.to_top = nn.Sequential(nn.Conv2d(width, width, 4, 2, 1), _Residual(width), nn.ReLU())
                self.top_vectors = nn.Conv2d(width, size, 1)
                self.from_top = nn.ConvTranspose2d(size, size, 4, 2, 1)
            self.bottom_vectors = nn.Conv2d(width + size * (options.levels - 1), size, 1)
            self.quantisers = nn.ModuleList(
                VectorQuantize(
                    size,
                    options.codes,
                    decay=_EMA_DECAY,
                    kmeans_init=True,
                    threshold_ema_dead_code=_DEAD_BELOW,
                    accept_image_fmap=True,
                    rotation_trick=False,
                )
                for _ in range(options.levels)
            )

    @property
    def codes(self) -> int:
        """Codes of each codebook."""
        return self.options.codes

    def forward(self, images: Tensor, generator: torch.Generator) -> Autoencoded:
        """Encode, quantise, decode ``(B, C, R, R)``.

        In training mode the codebooks move along; where they begin, or a dead code begins again, is drawn from
        ``generator``, and gradients pass straight through the quantiser.
        """
        with global_seed(draw_seed(generator), images.device):  # the library draws from the global generators
            vectors, codes, commitment = self._quantise(images)
        return Autoencoded(self._decode(vectors), codes, commitment)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Codes ``(B, length)`` int64 of images ``(B, C, R, R)`` in [-1, 1]; in evaluation mode."""
        self._require_evaluation()
        return self._quantise(images)[1]

    def decode(self, codes: Tensor) -> Tensor:
        """Images ``(B, C, R, R)`` in [-1, 1] of codes ``(B, length)``; gradients reach the decoder's weights."""
        parts = codes.split([height * width for height, width in self.maps], 1)
        return self._decode(
            [
                quantiser.get_output_from_indices(part.unflatten(1, shape))
                for quantiser, part, shape in zip(cast(Any, self.quantisers), parts, self.maps, strict=True)
            ]
        )

    def decoder_parameters(self) -> list[nn.Parameter]:
        """What turns codes into images."""
        modules = [self.decoder] if self.options.levels == 1 else [self.decoder, self.from_top]
        return [parameter for module in modules for parameter in module.parameters()]

    def _quantise(self, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Code vectors of each level ``(B, size, h, w)``, codes ``(B, length)``, commitment."""
        hidden = self.encoder(images)
        vectors, codes, losses = [], [], []
        if self.options.levels == 2:
            top, indices, loss = self.quantisers[0](self.top_vectors(self.to_top(hidden)))
            vectors, codes, losses = [top], [indices.flatten(1)], [loss]
            hidden = torch.cat([hidden, self.from_top(top)], 1)
        bottom, indices, loss = self.quantisers[-1](self.bottom_vectors(hidden))
        return [*vectors, bottom], torch.cat([*codes, indices.flatten(1)], 1), torch.stack([*losses, loss]).sum()

    def _decode(self, vectors: list[Tensor]) -> Tensor:
        maps = [self.from_top(vectors[0]), vectors[1]] if self.options.levels == 2 else vectors
        return self.decoder(torch.cat(maps, 1)).tanh()

    def _require_evaluation(self) -> None:
        if self.training:
            raise ValueError("encode() needs evaluation mode; in training mode it would move the codebooks")


def code_perplexity(codes: Tensor, count: int) -> float:
    """How many of ``count`` codes are in use: e to the entropy of their shares, from 1 (one alone) to ``count``."""
    shares = codes.flatten().bincount(minlength=count).double() / codes.numel()
    return float(torch.special.entr(shares).sum().exp())
