"""What is known of a data set before anything is generated: its proxy and its reference statistics, cached."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from gan_backbones.data.cache import cache_folder, load_entry, save_entry
from gan_backbones.data.dataset import DataError, DataSet
from gan_backbones.metrics import proxy
from gan_backbones.metrics.extractors import Extractor, extract, torch_threads
from gan_backbones.metrics.frechet import DiagonalReference, GaussianReference
from gan_backbones.metrics.proxy import ProxyExtractor, distil_proxy

VERSION = 3
"""Part of every cache key but the proxies'; raise it whenever a change in this package alters what is computed."""

REFERENCE_IMAGES = 4096
"""At most this many real images enter a reference unless more are asked for."""

_SEED = 0


def load_proxy(
    data_set: DataSet, *, cache_dir: Path | None = None, progress: bool = True
) -> tuple[ProxyExtractor, DiagonalReference]:
    """The student of a data set and the reference of its features on real images; distilled once, then cached.

    Args:
        data_set: images.
        cache_dir: the cache's root; None for the default one.
        progress: whether to show progress bars on standard error while distilling.

    Returns:
        the frozen student and the reference, on the CPU.

    Raises:
        DataError: if the data set does not hold images of 1 or 3 channels.
    """
    _check_data_set(data_set)
    path = cache_folder(cache_dir) / "metrics" / f"proxy-v{proxy.RECIPE}-{data_set.fingerprint[:32]}.safetensors"
    student = ProxyExtractor.empty().eval().requires_grad_(False)
    shapes = {name: tensor.shape for name, tensor in student.state_dict().items()}
    width = torch.Size([proxy.FEATURES])
    tensors = _load(path, data_set, {**shapes, "mean": width, "deviation": width})
    if tensors is not None:
        student.load_state_dict({name: tensors[name] for name in shapes})
        return student, DiagonalReference(tensors["mean"], tensors["deviation"])
    student = distil_proxy(data_set.samples, seed=_SEED, progress=progress)
    with torch_threads(1):
        reference = DiagonalReference.fit(student(real_images(data_set) / 127.5 - 1))
    _save(path, data_set, {**student.state_dict(), "mean": reference.mean, "deviation": reference.deviation})
    return student, reference


def load_real_features(
    data_set: DataSet,
    extractor: Extractor,
    *,
    count: int = REFERENCE_IMAGES,
    cache_dir: Path | None = None,
    progress: bool = True,
) -> Tensor:
    """An extractor's features of up to ``count`` real images; computed once, then cached.

    Args:
        data_set: images.
        extractor: its name, which tells its weights and resolution, is part of the cache key.
        count: the first so many images of a fixed order, fewer where the data set has fewer.
        cache_dir: the cache's root; None for the default one.
        progress: whether to show a progress bar on standard error.

    Returns:
        (m, width) float32 on the CPU.

    Raises:
        DataError: if the data set does not hold images of 1 or 3 channels.
        ValueError: if count < 2.
    """
    images = real_images(data_set, count)
    name = extractor.name.replace("/", "-")
    file = f"features-v{VERSION}-{name}-n{len(images)}-{data_set.fingerprint[:32]}.safetensors"
    path = cache_folder(cache_dir) / "metrics" / file
    tensors = _load(path, data_set, {"features": torch.Size([len(images), extractor.width])})
    if tensors is None:
        features = extract(extractor, images, progress=progress, label=f"{extractor.name}: real images")
        tensors = {"features": features}
        _save(path, data_set, tensors)
    return tensors["features"]


def load_reference(
    data_set: DataSet,
    extractor: Extractor,
    *,
    count: int = REFERENCE_IMAGES,
    cache_dir: Path | None = None,
    progress: bool = True,
) -> GaussianReference:
    """The Gaussian of `load_real_features`, on the CPU; arguments and errors as there."""
    features = load_real_features(data_set, extractor, count=count, cache_dir=cache_dir, progress=progress)
    return GaussianReference.fit(features)


def _check_data_set(data_set: DataSet) -> None:
    if not data_set.is_image or data_set.samples.shape[1] not in (1, 3) or len(data_set.samples) < 2:
        raise DataError(
            f"data set {data_set.name!r} has samples of shape {tuple(data_set.samples.shape)}; image metrics need at "
            "least two images of 1 or 3 channels (for points use squared_sliced_wasserstein)"
        )


def real_images(data_set: DataSet, count: int = REFERENCE_IMAGES) -> Tensor:
    """Up to ``count`` real images (m, C, H, W) uint8, the same ones every time."""
    _check_data_set(data_set)
    if count < 2:
        raise ValueError(f"a reference needs at least 2 images, got a count of {count}")
    order = torch.randperm(len(data_set.samples), generator=Generator().manual_seed(_SEED))
    return data_set.samples[order[:count]]


def _load(path: Path, data_set: DataSet, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor] | None:
    """The entry's tensors, or None, with a warning, where it is not what this version writes for this data set."""
    entry = load_entry(path)
    if entry is None:
        return None
    tensors, metadata = entry
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found == dict(shapes) and metadata.get("fingerprint") == data_set.fingerprint:
        return tensors
    warnings.warn(f"cache entry {path} belongs to something else; computing it again", stacklevel=3)
    return None


def _save(path: Path, data_set: DataSet, tensors: Mapping[str, Tensor]) -> None:
    metadata: dict[str, Any] = {"fingerprint": data_set.fingerprint, "name": data_set.name, "version": VERSION}
    save_entry(path, tensors, metadata)
