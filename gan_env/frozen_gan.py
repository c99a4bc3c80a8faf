"""A trained generator and discriminator that are only asked, and what their images are seen to be."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones import load_gan
from gan_backbones.attributes import AttributeReader, load_reader, majority_shares
from gan_backbones.calibration import Calibration, calibrate
from gan_backbones.data import DataError, DataSet, load_data
from gan_backbones.metrics.extractors import in_chunks, resize_square
from gan_env.quality import cached_data

_CHUNK = 64
_THUMBNAIL = 8  # pixels of a side at which two images are compared
_SAMPLES = 512  # of calibrations and of typical distances
_FRESH_SEED = 1  # data sets that are drawn on the spot give images that no GAN was trained on


class FrozenGan:
    """A checkpoint's networks in evaluation mode: equal calls give equal bits, and nothing is ever trained.

    Latents and everything that comes back are on the CPU, wherever the networks are. Raises ``ValueError``, in one
    line, for a file that is no GAN's checkpoint or makes no images.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        generator, discriminator, self.meta = load_gan(path)
        if not self.meta.is_image:
            raise ValueError(f"{str(path)!r} makes points; latents are drawn for images")
        self._generator = generator.to(device).requires_grad_(False)
        self._discriminator = discriminator.to(device).requires_grad_(False)
        self.device = device

    @property
    def latent_size(self) -> int:
        """Numbers per latent."""
        return self.meta.latent_size

    def generate(self, latents: Tensor) -> Tensor:
        """Images ``(n, C, H, W)`` of latents ``(n, latent_size)``, differentiable, all at once."""
        images: Tensor = self._generator(latents.to(self.device)).cpu()
        return images

    def judge(self, images: Tensor) -> Tensor:
        """Logits ``(n,)`` of images, differentiable, all at once."""
        logits: Tensor = self._discriminator(images.to(self.device)).cpu()
        return logits

    @torch.no_grad()
    def sample(self, latents: Tensor) -> Tensor:
        """Images of any number of latents."""
        return in_chunks(self._generator, latents, _CHUNK, self.device, progress=False, label="generating")

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits of any number of images, in [-1, 1] or as bytes."""

        def judged(chunk: Tensor) -> Tensor:
            return self._discriminator(chunk / 127.5 - 1 if chunk.dtype == torch.uint8 else chunk)

        return in_chunks(judged, images, _CHUNK, self.device, progress=False, label="judging")

    @torch.no_grad()
    def look(self, latents: Tensor, reader: AttributeReader | None = None, progress: bool = False) -> Looks:
        """Generate, judge and describe the images of ``latents``. Raises ``ValueError`` where that is not finite."""

        def columns(chunk: Tensor) -> Tensor:
            images = self._generator(chunk)
            parts = [self._discriminator(images)[:, None], thumbnails(images)]
            parts += [] if reader is None else [reader(images)]
            return torch.cat(parts, dim=1)

        table = in_chunks(columns, latents, _CHUNK, self.device, progress=progress, label="scoring latents").numpy()
        if not np.isfinite(table).all():
            raise ValueError("the GAN gives numbers that are not finite for some latents; it has diverged")
        width = self.meta.sample_shape[0] * _THUMBNAIL**2
        return Looks(table[:, 0].astype(np.float64), table[:, 1 : 1 + width], table[:, 1 + width :])


@dataclass(frozen=True)
class Looks:
    """What n images are seen to be."""

    logits: NDArray[np.float64]
    """``(n,)``, of the discriminator."""
    thumbnails: NDArray[np.float32]
    """``(n, E)``: the images at 8 pixels."""
    attributes: NDArray[np.float32]
    """``(n, A)``: probability of every value of every attribute, side by side; A = 0 where nobody reads them."""

    def rows(self, indices: NDArray[np.int64]) -> Looks:
        """Those at ``indices``."""
        return Looks(self.logits[indices], self.thumbnails[indices], self.attributes[indices])


def thumbnails(images: Tensor) -> Tensor:
    """``(n, C * 64)``: images averaged to 8 pixels."""
    return resize_square(images, _THUMBNAIL).flatten(1)


@dataclass(frozen=True)
class Facts:
    """What rewards have to know of a GAN and of its data beside the images drawn."""

    calibration: Calibration
    columns: Mapping[str, slice]
    """Where each attribute lies in :attr:`Looks.attributes`; none unless they are read."""
    readable: tuple[str, ...]
    """Attributes of which the reader gets right more than half of what the commonest value leaves."""
    frequencies: NDArray[np.float64]
    """``(A,)``: share of the data set's images that have each value."""
    wanted: tuple[tuple[int, ...], ...]
    """For each attribute that is asked for, the columns of the values that will do."""
    typical_distance: float
    """Mean distance of the thumbnails of two images of random latents."""


@functools.lru_cache(maxsize=8)
def _loaded(path: Path, stamp: tuple[int, int], device: torch.device) -> FrozenGan:
    return FrozenGan(path, device)


def frozen_gan(path: Path, device: torch.device) -> FrozenGan:
    """The GAN of a checkpoint, shared by all that ask for it while the file stays the same."""
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(f"cannot load GAN {str(path)!r}: {error.strerror}") from None
    return _loaded(path.absolute(), (status.st_mtime_ns, status.st_size), device)


def data_name_of(gan: FrozenGan, given: str | None) -> str:
    """The data set that ``given`` names, or else the one that the checkpoint says it was trained on."""
    name = given or gan.meta.notes.get("data")
    if not name:
        raise ValueError("the checkpoint does not say what data it was trained on; name it by data=NAME")
    return str(name)


def calibration_of(gan: FrozenGan, data: str, cache_dir: Path | None, progress: bool) -> Calibration:
    """From :data:`_SAMPLES` images of each kind.

    The real ones are fresh where the data set is drawn on the spot (``faces``, ``glyphs``); of other data sets they are
    among those that the discriminator may have seen, which makes it look surer than it is.
    """
    resolution = gan.meta.sample_shape[-1]
    real = load_data(
        data, resolution=resolution, seed=_FRESH_SEED, count=_SAMPLES, cache_dir=cache_dir, progress=progress
    )
    fake = gan.sample(reference_latents(gan))
    return calibrate(gan.logits(real.samples), gan.logits(fake))


def reference_latents(gan: FrozenGan) -> Tensor:
    """``(512, latent_size)``: the same ones for everybody."""
    return torch.randn(_SAMPLES, gan.latent_size, generator=torch.Generator().manual_seed(2**31))


def reader_of(gan: FrozenGan, data: str, cache_dir: Path | None, progress: bool) -> tuple[AttributeReader, DataSet]:
    """The reader of a data set's attributes at the GAN's resolution, and the data set."""
    data_set = cached_data(data, gan.meta.sample_shape[-1], cache_dir, progress)
    return load_reader(data_set, cache_dir=cache_dir, progress=progress), data_set


def readable_attributes(reader: AttributeReader, data: DataSet) -> tuple[str, ...]:
    """See :attr:`Facts.readable`."""
    return tuple(name for name, share in majority_shares(data).items() if reader.accuracy[name] > (1 + share) / 2)


def value_frequencies(data: DataSet) -> NDArray[np.float64]:
    """See :attr:`Facts.frequencies`."""
    counts = [
        torch.bincount(labels, minlength=len(data.attribute_values[name])) for name, labels in data.attributes.items()
    ]
    return torch.cat(counts).double().div(len(data)).numpy()


def parse_target(target: str, reader: AttributeReader, readable: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """``"hair_colour=red,accessory=round|kurt"`` as the columns that will do, one group for each attribute.

    Raises DataError, in one line, for attributes or values that do not exist and for those that cannot be read.
    """
    groups = []
    for item in target.split(","):
        name, _, values = item.strip().partition("=")
        if name not in reader.columns:
            raise DataError(f"unknown attribute {name!r} in target {target!r}; known: {', '.join(reader.columns)}")
        known = reader.values[name]
        chosen = values.split("|")
        unknown = [value for value in chosen if value not in known]
        if unknown:
            raise DataError(f"attribute {name!r} has no value {unknown[0]!r}; known: {', '.join(known)}")
        if name not in readable:
            raise DataError(
                f"attribute {name!r} is read right in {reader.accuracy[name]:.0%} of held-out images only; "
                f"readable: {', '.join(readable) or 'none'}"
            )
        groups.append(tuple(reader.columns[name].start + known.index(value) for value in chosen))
    return tuple(groups)


def typical_distance(looks: Looks) -> float:
    """Mean distance of neighbours in the list, which are as good as random pairs."""
    return float(np.linalg.norm(looks.thumbnails[1:] - looks.thumbnails[:-1], axis=1).mean())
