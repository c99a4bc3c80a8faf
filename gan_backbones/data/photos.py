"""Square pieces of the two photographs that come with scikit-learn: a temple in China and a flower; no download."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gan_backbones.data import cache
from gan_backbones.data.dataset import DataSet

RESOLUTIONS = (16, 32, 64, 128)
_DEFAULT_RESOLUTION = 32
_DEFAULT_COUNT = 4096
# Raise it when a change here alters a pixel or a label: cached pieces of another version are not used.
_VERSION = 1
_PHOTOS = ("china", "flower")
_SMALLEST_SIDE = 64  # pixels of the photograph; never fewer than the resolution, which would blur
_LEAST_DEVIATION = 25.0  # of the grey levels of a channel within a piece; about one piece in seven has less


def load_photos(
    resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """``count`` pieces (default 4096) at ``resolution`` pixels (default 32): uint8 (M, 3, R, R), attribute ``photo``.

    Piece i depends on ``seed``, i and ``resolution`` alone. Photograph, place and mirroring are uniform; the side is
    log-uniform from 64 pixels (or R, if that is more) to the photograph's height of 427. Nearly plain pieces, of clear
    sky or dark leaves, are drawn again. The first call fills the cache; later ones read it.
    """
    size = _DEFAULT_RESOLUTION if resolution is None else resolution
    number = _DEFAULT_COUNT if count is None else count
    # All that a pixel depends on. Another release of a library may decode or shrink differently.
    recipe = {
        "name": "photos",
        "version": _VERSION,
        "resolution": size,
        "seed": seed,
        "count": number,
        "scikit_learn": version("scikit-learn"),
        "pillow": version("pillow"),
    }
    libraries = f"sklearn{recipe['scikit_learn']}-pillow{recipe['pillow']}"
    file = f"photos-v{_VERSION}-{size}px-seed{seed}-{number}-{libraries}.safetensors"

    def draw() -> dict[str, torch.Tensor]:
        photos = _load_photos()
        samples = np.empty((number, 3, size, size), dtype=np.uint8)
        labels = np.empty(number, dtype=np.int64)
        for index in range(number):
            generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
            labels[index] = generator.integers(len(photos))
            samples[index] = cut(photos[labels[index]], size, generator)
        return {"samples": torch.from_numpy(samples), "photo": torch.from_numpy(labels)}

    def use(tensors: dict[str, torch.Tensor]) -> DataSet:
        return DataSet(
            name="photos",
            samples=tensors["samples"],
            attributes={"photo": tensors["photo"]},
            attribute_values={"photo": _PHOTOS},
            mixture=None,
        )

    return cache.load_or_compute(cache.cache_folder(cache_dir) / "data" / file, recipe, draw, use)


def _load_photos() -> list[Image.Image]:
    from sklearn import datasets  # takes a second to import

    found = datasets.load_sample_images()
    images = {Path(file).stem: image for file, image in zip(found.filenames, found.images, strict=True)}
    return [Image.fromarray(images[name]) for name in _PHOTOS]


def cut(photo: Image.Image, size: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A random square of ``photo`` with something in it: uint8 (3, size, size)."""
    smallest, largest = max(_SMALLEST_SIDE, size), min(photo.size)
    while True:
        scale, across, down, mirror = generator.random(4).tolist()
        side = round(smallest * math.exp(scale * math.log(largest / smallest)))
        left, top = int(across * (photo.width - side + 1)), int(down * (photo.height - side + 1))
        # Cropped first: resizing a box of the whole image lets the filter look outside the box.
        piece = photo.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
        pixels = np.asarray(piece).transpose(2, 0, 1)
        if pixels.std(axis=(1, 2)).max() >= _LEAST_DEVIATION:
            return pixels[:, :, ::-1] if mirror < 0.5 else pixels
