"""Anybody's images: a directory, read recursively, cropped to squares and shrunk."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from gan_backbones.data.dataset import DataError, DataSet
from gan_backbones.files import require_file

RESOLUTIONS = (16, 32, 64, 128)
_DEFAULT_RESOLUTION = 32
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_NAMED_BROKEN_IMAGES = 5
_FEWEST_FOR_BAR = 128


def load_folder(
    argument: str, resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """The images under the directory ``argument``: uint8 (M, 3, R, R), R = ``resolution`` (default 32), by path.

    Reads png, jpg, jpeg, webp, bmp and gif (first frame), recursively; hidden files and linked directories are left
    out. ``count`` keeps at most that many, the first readable ones of a permutation by ``seed``. A broken image, or
    one above Pillow's size limit, is named in a warning, left out and counted in ``skipped``.

    Raises DataError when the directory is missing, unreadable, or holds no usable image.
    """
    size = _DEFAULT_RESOLUTION if resolution is None else resolution
    root = Path(os.path.expanduser(argument))
    files = find_images(root)
    order = list(range(len(files)))
    if count is not None:
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed)).tolist()

    read, skipped = read_images(files, order, size, count, progress)
    if not read:
        raise DataError(f"no usable image in folder {str(root)!r}: all {len(files)} are broken; repair or replace them")
    return DataSet(
        name=f"folder:{argument}",
        samples=torch.from_numpy(np.stack([read[index] for index in sorted(read)])),
        attributes={},
        attribute_values={},
        mixture=None,
        skipped=skipped,
    )


def read_images(
    files: Sequence[Path], order: Sequence[int], resolution: int, count: int | None, progress: bool
) -> tuple[dict[int, NDArray[np.uint8]], int]:
    """Read ``files`` in this ``order`` until ``count`` are read: (index -> image as of `read_image`, number broken).

    Broken images are left out, the first few named in warnings.
    """
    read: dict[int, NDArray[np.uint8]] = {}
    skipped = 0
    hidden = True if not progress or len(order) < _FEWEST_FOR_BAR else None  # None: on a terminal, not in a log file
    for index in tqdm(order, desc="reading images", unit="image", leave=False, disable=hidden):
        try:
            read[index] = read_image(files[index], resolution)
        except Exception as error:
            skipped += 1
            if skipped <= _NAMED_BROKEN_IMAGES:
                _warn(f"skipped broken image {files[index]}: {error}")
        if len(read) == count:
            break
    if skipped > _NAMED_BROKEN_IMAGES:
        _warn(f"skipped {skipped} broken images, of which {_NAMED_BROKEN_IMAGES} are named above")
    return read, skipped


def find_images(root: Path) -> list[Path]:
    """Every image file under ``root``, sorted by path. Raises DataError when there is none to be had."""
    try:
        if not root.exists():
            raise DataError(f"folder {str(root)!r} does not exist; give the path of a directory of images")
        if not root.is_dir():
            raise DataError(f"{str(root)!r} is not a directory; give the path of a directory of images")
    except OSError as error:
        raise _unreadable(root, error) from error

    def refuse(error: OSError) -> None:
        if Path(error.filename) == root:
            raise _unreadable(root, error) from error
        _warn(f"cannot read folder {error.filename}: {error.strerror}; left out")

    # os.walk does not follow linked directories, hence cannot go round in circles.
    files = [
        Path(folder, name)
        for folder, _, names in os.walk(root, onerror=refuse)
        for name in names
        if name.lower().endswith(_SUFFIXES) and not name.startswith(".")
    ]
    if not files:
        kinds = ", ".join(suffix[1:] for suffix in _SUFFIXES)
        raise DataError(f"no image in folder {str(root)!r}; allowed are {kinds}, in it or below")
    return sorted(files)


def read_image(path: Path, resolution: int) -> NDArray[np.uint8]:
    """The centred square of an image file, resized with antialiasing to uint8 (3, resolution, resolution) RGB.

    Raises OSError for what is no regular file, and whatever Pillow raises on a damaged one or one above its size limit.
    """
    require_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            # A large JPEG is decoded at a fraction of its size, never below twice the target.
            image.draft(None, (2 * resolution, 2 * resolution))
            upright = ImageOps.exif_transpose(image)
            square = _resize_square(_to_rgb(upright), resolution)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: 16-bit grey scaled, transparency laid over white, palettes and CMYK converted."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64) / 257  # 0..65535 to 0..255
        return Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _resize_square(image: Image.Image, resolution: int) -> Image.Image:
    """The largest centred square of an RGB image at resolution x resolution."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # Cropped first: resizing a box of the whole image lets the filter look outside the box.
    square = image.crop((left, top, left + side, top + side))
    return square.resize((resolution, resolution), Image.Resampling.LANCZOS)


def _unreadable(root: Path, error: OSError) -> DataError:
    return DataError(f"cannot read folder {str(root)!r}: {error.strerror}; check its path and permissions")


def _warn(message: str) -> None:
    warnings.warn(" ".join(message.split()), stacklevel=3)
