"""Damaged images: what GANs get wrong, as functions of real images, a strength and a generator.

They teach the proxy extractor (`gan_backbones.metrics.proxy`) which errors its teacher sees, before any GAN exists.
Every function takes images (m, C, H, W) in [-1, 1], strengths (m,) in [0, 1] and a CPU generator, and returns new
images of the same shape, which `damaged` clamps to [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Generator, Tensor
from torch.nn import functional

Damage = Callable[[Tensor, Tensor, Generator], Tensor]


def damaged(images: Tensor, kind: str, strengths: Tensor | float, generator: Generator) -> Tensor:
    """Images with one kind of damage.

    Args:
        images: (m, C, H, W) in [-1, 1], C in {1, 3}.
        kind: a key of `DAMAGES`.
        strengths: one number or (m,), in [0, 1].
        generator: source of all randomness, on the CPU.

    Returns:
        (m, C, H, W) in [-1, 1].

    Raises:
        ValueError: on an unknown kind.
    """
    if kind not in DAMAGES:
        raise ValueError(f"unknown damage {kind!r}; choose from {', '.join(DAMAGES)}")
    strengths = torch.as_tensor(strengths, dtype=images.dtype).expand(len(images))
    return DAMAGES[kind](images, strengths, generator).clamp(-1, 1)


def _noise(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """White noise of standard deviation up to 1."""
    return images + _column(strengths**2) * _normal(images.shape, generator)


def _salt_and_pepper(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """Up to half of the pixels replaced by -1 or 1 in each channel."""
    draws = torch.rand(images.shape, generator=generator)
    hit = draws < _column(strengths) / 2
    return torch.where(hit, torch.where(draws < _column(strengths) / 4, -1.0, 1.0), images)


def _blur(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """Towards a Gaussian blur of a fifth of the image's side."""
    side = images.shape[-1]
    sigmas = side * torch.tensor([0.04, 0.09, 0.2])
    levels = torch.stack([images, *(gaussian_blur(images, float(sigma)) for sigma in sigmas)])  # (4, m, C, H, W)
    position = strengths * (len(levels) - 1)
    below = position.long().clamp_max(len(levels) - 2)
    rows = torch.arange(len(images))
    return torch.lerp(levels[below, rows], levels[below + 1, rows], _column(position - below))


def _colour(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """A shift of up to 1 of each channel."""
    shift = 2 * torch.rand(*images.shape[:2], 1, 1, generator=generator) - 1
    return images + _column(strengths) * shift


def _contrast(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """Contrast divided or multiplied by up to 8 around the image's mean; saturation where it grows."""
    sign = torch.where(torch.rand(len(images), generator=generator) < 0.5, -1.0, 1.0)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * _column(8.0 ** (sign * strengths))


def _mean_image(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """A blend with the mean of the given images: what a collapsed or very young generator shows."""
    return torch.lerp(images, images.mean(0, keepdim=True), _column(strengths))


def _constant(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """A blend with one random colour."""
    colour = 2 * torch.rand(*images.shape[:2], 1, 1, generator=generator) - 1
    return torch.lerp(images, colour, _column(1 - (1 - strengths) ** 2))


def _block_swap(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """Up to all of the 4 x 4 blocks exchanged with random ones of the same image."""
    count, channels, height, width = images.shape
    blocks = images.unfold(2, height // 4, height // 4).unfold(3, width // 4, width // 4)[:, :, :4, :4]
    blocks = blocks.reshape(count, channels, 16, height // 4, width // 4)
    source = torch.randint(16, (count, 16), generator=generator)
    swapped = torch.rand(count, 16, generator=generator) < strengths[:, None]
    source = torch.where(swapped, source, torch.arange(16))
    index = source[:, None, :, None, None].expand_as(blocks)
    mixed = blocks.gather(2, index).reshape(count, channels, 4, 4, height // 4, width // 4)
    output = images.clone()
    output[..., : height // 4 * 4, : width // 4 * 4] = mixed.permute(0, 1, 2, 4, 3, 5).flatten(4, 5).flatten(2, 3)
    return output


def _blend(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """A cross-fade of two images, half of each at full strength."""
    partner = images[torch.randperm(len(images), generator=generator)]
    return torch.lerp(images, partner, _column(strengths) / 2)


def _pure_noise(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """No image at all: noise of standard deviation up to 1 around a random colour."""
    colour = torch.rand(*images.shape[:2], 1, 1, generator=generator) - 0.5
    return colour + _column(strengths) * _normal(images.shape, generator)


def _smooth_field(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """A smooth random field blended over the image, replacing it at full strength."""
    return torch.lerp(images, smooth_fields(images.shape, generator), _column(strengths))


def _checkerboard(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """The period-2 pattern of strided transposed convolutions, with a random amplitude in each channel."""
    rows, columns = torch.arange(images.shape[-2])[:, None], torch.arange(images.shape[-1])
    patterns = torch.stack([(rows + columns) % 2, (rows % 2) * (columns % 2), rows % 2 + 0 * columns])
    pattern = patterns[torch.randint(3, (len(images),), generator=generator)].float()[:, None]
    amplitude = _normal((*images.shape[:2], 1, 1), generator)
    return images + _column(strengths) * amplitude * (2 * pattern - 1)


def _warp(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """A smooth displacement of up to about a quarter of the side."""
    count, _, height, width = images.shape
    identity = torch.eye(2, 3).expand(count, 2, 3)
    grid = functional.affine_grid(identity, [count, 1, height, width], align_corners=False)
    displacement = smooth_fields((count, 2, height, width), generator).permute(0, 2, 3, 1)
    return functional.grid_sample(
        images, grid + 0.5 * _column(strengths) * displacement, padding_mode="border", align_corners=False
    )


def _low_noise(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """Blotches: blurred noise added to the image."""
    noise = gaussian_blur(_normal(images.shape, generator), 0.07 * images.shape[-1])
    return images + 3 * _column(strengths) * noise


def _random_generator(images: Tensor, strengths: Tensor, generator: Generator) -> Tensor:
    """Outputs of random upsampling networks, over the mean image: a GAN in its first steps."""
    channels, height, width = images.shape[1:]
    maps = _normal((len(images), 16, 4, 4), generator)
    for _ in range(max(1, round(math.log2(max(height, width) / 4)))):
        weight = _normal((16, 16, 4, 4), generator) * (4 / (16 * 16)) ** 0.5
        maps = functional.conv_transpose2d(maps.relu(), weight, stride=2, padding=1)
        maps = maps / maps.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
    maps = functional.conv2d(maps.relu(), _normal((channels, 16, 1, 1), generator) / 4)
    maps = functional.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
    mean = images.mean(0, keepdim=True).clamp(-0.99, 0.99).atanh()
    return (mean + 2 * _column(strengths) * maps).tanh()


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """(m, C, H, W) blurred with a Gaussian of `sigma` pixels; edges replicated."""
    radius = max(1, math.ceil(2.5 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype)
    kernel = (-(offsets**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = functional.pad(images, (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(padded, kernel, groups=images.shape[1])
    return functional.conv2d(rows, kernel.mT, groups=images.shape[1])


def smooth_fields(shape: tuple[int, ...] | torch.Size, generator: Generator) -> Tensor:
    """Random fields (m, C, H, W) of four by four knots, bicubic between them; about unit spread."""
    knots = _normal((*shape[:2], 4, 4), generator)
    return functional.interpolate(knots, size=tuple(shape[-2:]), mode="bicubic", align_corners=False)


def _normal(shape: tuple[int, ...] | torch.Size, generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _column(values: Tensor) -> Tensor:
    """(m,) -> (m, 1, 1, 1)."""
    return values[:, None, None, None]


DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {
        "noise": _noise,
        "salt_and_pepper": _salt_and_pepper,
        "blur": _blur,
        "colour": _colour,
        "contrast": _contrast,
        "mean_image": _mean_image,
        "constant": _constant,
        "block_swap": _block_swap,
        "blend": _blend,
        "pure_noise": _pure_noise,
        "smooth_field": _smooth_field,
        "checkerboard": _checkerboard,
        "warp": _warp,
        "low_noise": _low_noise,
        "random_generator": _random_generator,
    }
)
"""Every kind of damage, by name."""
