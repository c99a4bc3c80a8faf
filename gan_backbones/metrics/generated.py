"""Generated images as bytes, from a generator or from a folder; both ways give the same images the same scores."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from gan_backbones.data.folder import load_folder
from gan_backbones.metrics.extractors import in_chunks

_BATCH = 100


def draw_images(
    generator: nn.Module,
    latent_size: int,
    count: int,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Tensor:
    """Images of a generator for standard normal latents, rounded to bytes as a picture file would hold them.

    Args:
        generator: maps (m, latent_size) to (m, C, H, W) in [-1, 1]. It is put in evaluation mode.
        latent_size: numbers per latent.
        count: how many, at least 1.
        seed: of the latents, which are the same on every device.
        device: where the generator is and works.
        progress: whether to show a progress bar on standard error.

    Returns:
        uint8 (count, C, H, W) on the CPU.

    Raises:
        ValueError: if count < 1, or for samples that are not images or not finite.
    """
    if count < 1:
        raise ValueError(f"the number of images must be at least 1, got {count}")
    latents = torch.randn(count, latent_size, generator=Generator().manual_seed(seed))
    generator = generator.eval()

    @torch.no_grad()
    def images(chunk: Tensor) -> Tensor:
        return to_bytes(generator(chunk))

    return in_chunks(images, latents, _BATCH, torch.device(device), progress=progress, label="generating")


def read_images_of(folder: Path, resolution: int, count: int | None, *, seed: int, progress: bool = True) -> Tensor:
    """The images under a folder, uint8 (m, 3, resolution, resolution): all, or ``count`` of a seeded choice.

    Raises DataError (a ValueError) when there is no such folder or no readable image in it, and ValueError when it
    holds fewer than ``count``.
    """
    images = load_folder(str(folder), resolution, seed, count, None, progress).samples
    if count is not None and len(images) < count:
        raise ValueError(f"folder {str(folder)!r} holds {len(images)} readable images, {count} were asked for")
    return images


def to_bytes(images: Tensor) -> Tensor:
    """Images (n, C, H, W) in [-1, 1], rounded to bytes as a picture file would hold them.

    Raises ValueError for samples that are not images or not finite.
    """
    if images.ndim != 4:
        raise ValueError(f"the generator makes samples of shape {tuple(images.shape[1:])}, not images (C, H, W)")
    if not images.isfinite().all():
        raise ValueError("the generator makes images that are not finite; it has diverged")
    return (images.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
