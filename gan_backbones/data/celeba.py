"""CelebA in a folder that the user names, in the layout of torchvision's data set of that name."""

from __future__ import annotations

import hashlib
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_backbones.data import cache
from gan_backbones.data.dataset import DataError, DataSet
from gan_backbones.data.folder import read_images

RESOLUTIONS = (16, 32, 64, 128)
_DEFAULT_RESOLUTION = 64
_DEFAULT_COUNT = 32_768  # 400 MB at 64 pixels
_VERSION = 1
_FOLDER = "celeba"  # below the user's folder, as torchvision has it


def load_celeba(
    argument: str, resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """``count`` (default 32,768) of CelebA's 162,770 training faces under the folder ``argument``.

    uint8 (M, 3, R, R): the centred square of the aligned images, shrunk to ``resolution`` pixels (default 64). Its 40
    attributes have the values ``no`` and ``yes``. ``seed`` chooses which and in which order; broken images are left
    out. The first call fills the cache; later ones read it while the folder stays as it was.

    Raises DataError when the files are damaged, or missing and not to be downloaded.
    """
    size = _DEFAULT_RESOLUTION if resolution is None else resolution
    number = _DEFAULT_COUNT if count is None else count
    root = Path(argument).expanduser().resolve()
    recipe: dict[str, Any] = {"name": "celeba", "version": _VERSION, "resolution": size, "seed": seed, "count": number}
    recipe |= {"folder": str(root), "state": _state(root)}
    place = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    file = f"celeba-v{_VERSION}-{size}px-seed{seed}-{number}-{place}.safetensors"

    def read() -> dict[str, torch.Tensor]:
        names, attributes, files = _open(root)
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed)).tolist()
        images, skipped = read_images(files, order, size, number, progress)
        if not images:
            raise DataError(f"no usable image of CelebA in folder {str(root)!r}; delete it and get it again")
        rows = list(images)  # in the order of reading
        labels = {name: attributes[rows, column].contiguous() for column, name in enumerate(names)}
        recipe["state"] = _state(root)  # a download has changed it
        samples = torch.from_numpy(np.stack([images[row] for row in rows]))
        return labels | {"samples": samples, "skipped": torch.tensor(skipped)}

    def use(tensors: dict[str, torch.Tensor]) -> DataSet:
        labels = {name: values for name, values in tensors.items() if name not in ("samples", "skipped")}
        return DataSet(
            name=f"celeba:{argument}",
            samples=tensors["samples"],
            attributes=labels,
            attribute_values=dict.fromkeys(labels, ("no", "yes")),
            mixture=None,
            skipped=int(tensors["skipped"]),
        )

    return cache.load_or_compute(cache.cache_folder(cache_dir) / "data" / file, recipe, read, use)


def _open(root: Path) -> tuple[list[str], torch.Tensor, list[Path]]:
    """The attributes' names, their values as int64 (M, 40) of 0 and 1, and the M training images' files."""
    from torchvision.datasets import CelebA

    try:
        data = CelebA(str(root), split="train", target_type="attr", download=True)
        names = [name for name in data.attr_names if name]
        attributes = data.attr.long()
    except Exception as error:  # whatever the network, the disk or a wrong byte leads to
        known = isinstance(error, RuntimeError | OSError | HTTPException)
        reason = " ".join(str(error).split()) if known else f"damaged list ({type(error).__name__})"
        raise DataError(
            f"cannot get CelebA into folder {str(root)!r}: {reason}; put its official release into "
            f"{str(root / _FOLDER)!r}: img_align_celeba/*.jpg and the five lists *.txt"
        ) from error
    if attributes.ndim != 2 or attributes.shape != (len(data.filename), len(names)) or not attributes.numel():
        raise DataError(f"the lists of CelebA in folder {str(root)!r} do not fit each other; delete them")
    return names, attributes, [root / _FOLDER / "img_align_celeba" / name for name in data.filename]


def _state(root: Path) -> list[int]:
    """What changes when the files do: sizes and times of the list of attributes and of the folder of images."""
    paths = [root / _FOLDER / name for name in ("list_attr_celeba.txt", "img_align_celeba")]
    try:
        return [number for path in paths for number in (path.stat().st_size, path.stat().st_mtime_ns)]
    except OSError:
        return []
