"""The table of data sets, and the two functions around it: `register_data` and `load_data`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gan_backbones.data import celeba, digits, downloads, faces, folder, glyphs, mixtures, photos, union
from gan_backbones.data.dataset import DataError, DataSet

LoadFunction = Callable[[int | None, int, int | None, Path | None, bool], DataSet]
"""(resolution, seed, count, cache_dir, progress) -> DataSet, called with positional arguments.

``resolution`` is one of the source's, or None for its default (always None for points); ``count`` is at least 1, or
None for its default.
"""

LoadPathFunction = Callable[[str, int | None, int, int | None, Path | None, bool], DataSet]
"""(path, resolution, seed, count, cache_dir, progress) -> DataSet, called with positional arguments."""

_LARGEST_SEED = 2**63 - 1
_USUAL_RESOLUTION = 32  # of a union, where its members have it


@dataclass(frozen=True)
class DataSource:
    """One row of the table: a name, a sentence, the allowed resolutions (None: points), and what loads it."""

    name: str
    description: str
    resolutions: tuple[int, ...] | None
    load: LoadFunction


@dataclass(frozen=True)
class PathSource:
    """A source that needs a folder of the user's, written ``NAME:PATH``; it holds images."""

    name: str
    description: str
    resolutions: tuple[int, ...]
    load: LoadPathFunction

    def at(self, path: str) -> DataSource:
        """The source for this folder."""
        return DataSource(f"{self.name}:{path}", self.description, self.resolutions, functools.partial(self.load, path))


_table: dict[str, DataSource] = {}
DATA_SETS: Mapping[str, DataSource] = MappingProxyType(_table)
"""Every registered source by name, read only; those that need a path are in `PATH_SETS`."""

PATH_SETS: Mapping[str, PathSource] = MappingProxyType(
    {
        source.name: source
        for source in (
            PathSource("folder", "your own images", folder.RESOLUTIONS, folder.load_folder),
            PathSource("cifar10", "50,000 photographs of 10 kinds", downloads.RESOLUTIONS, downloads.load_cifar10),
            PathSource("mnist", "60,000 handwritten digits", downloads.RESOLUTIONS, downloads.load_mnist),
            PathSource(
                "fashion-mnist", "60,000 articles of clothing", downloads.RESOLUTIONS, downloads.load_fashion_mnist
            ),
            PathSource("celeba", "photographs of faces, 40 attributes", celeba.RESOLUTIONS, celeba.load_celeba),
        )
    }
)
"""Every source that is written ``NAME:PATH``, by name. All but ``folder`` are downloaded into PATH if not there."""


def known_names() -> tuple[str, ...]:
    """What `load_data` accepts, for help texts and messages."""
    return (*DATA_SETS, *(f"{name}:PATH" for name in PATH_SETS), "IMAGES+IMAGES")


def register_data(name: str, source: LoadFunction, *, resolutions: tuple[int, ...] | None, description: str) -> None:
    """Add a data set to the table under ``name``.

    ``resolutions``: the image sizes in pixels that ``source`` can give, or None when it gives points.
    ``description``: one sentence for lists and help texts.

    Raises DataError when the name is malformed or taken, or another argument makes no sense.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise DataError(f"bad data set name {name!r}; use lower-case letters, digits, '-' and '_', a letter first")
    if name in _table or name in PATH_SETS:
        raise DataError(f"data set {name!r} exists already; choose another name")
    if not callable(source):
        raise DataError(f"the source of data set {name!r} must be callable, got {type(source).__name__}")
    if resolutions is not None and (not resolutions or any(size < 1 for size in resolutions)):
        raise DataError(f"resolutions of data set {name!r} must be positive, or None for points; got {resolutions}")
    if not description.strip() or "\n" in description:
        raise DataError(f"data set {name!r} needs a description of one line")
    _table[name] = DataSource(name, description, None if resolutions is None else tuple(resolutions), source)


def load_data(
    name: str,
    *,
    resolution: int | None = None,
    seed: int = 0,
    count: int | None = None,
    cache_dir: Path | None = None,
    progress: bool = True,
) -> DataSet:
    """Load a registered data set, one in a folder as ``NAME:PATH``, or several as ``NAME+NAME``.

    ``resolution``: image size in pixels (None: the source's default; points have none).
    ``seed``: what is drawn, or the order of what is not.
    ``count``: how many samples (None: the source's default); of a finite source, at most that many.
    ``cache_dir``: where to keep computed data (None: see `cache.cache_folder`).
    ``progress``: show a bar on standard error while a long job runs.

    A union (``faces+photos``, ``digits+folder:PATH``) holds images only. Its default resolution is 32, or the largest
    that its members share; ``count`` is split evenly between them. `union.join` tells what becomes of channels and
    attributes, `union.split_name` how a plus in a path is read.

    Raises DataError, in one line, for a wrong name, resolution, seed, count or folder.
    """
    members = union.split_name(name, DATA_SETS, PATH_SETS)
    sources = {member: _find(member) for member in members}
    if not 0 <= seed <= _LARGEST_SEED:
        raise DataError(f"seed must lie in 0..2^63-1, got {seed}")
    if count is not None and count < len(members):
        raise DataError(f"count must be at least {len(members)}, got {count}; leave it out for the default")
    if len(members) > 1:
        if len(sources) < len(members):
            raise DataError(f"data set {name!r} names a member twice; name each once")
        resolution = _common_resolution(sources.values(), resolution)
    for source in sources.values():
        _check_resolution(source, resolution)
    loaded = {}
    for (member, source), share in zip(sources.items(), union.shares(count, len(members)), strict=True):
        data = source.load(resolution, seed, share, cache_dir, progress)
        if not isinstance(data, DataSet):
            raise DataError(f"the source of data set {member!r} must return a DataSet, got {type(data).__name__}")
        loaded[member] = data
    return data if len(members) == 1 else union.join(name, loaded)


def _find(name: str) -> DataSource:
    """The row of ``name``; for ``NAME:PATH`` a row made for that path."""
    prefix, _, path = name.partition(":")
    if prefix in PATH_SETS:
        if not path.strip():
            raise DataError(f"data set {name!r} names no folder; write {prefix}:PATH")
        return PATH_SETS[prefix].at(path)
    if name not in _table:
        raise DataError(f"unknown data set {name!r}; known: {', '.join(known_names())}")
    return _table[name]


def _common_resolution(sources: Collection[DataSource], resolution: int | None) -> int:
    """The resolution at which all members of a union are loaded, ``resolution`` if it is given."""
    shared = set.intersection(*[set(source.resolutions or ()) for source in sources])
    for source in sources:
        if source.resolutions is None:
            raise DataError(f"data set {source.name!r} holds points; only images can be joined by '+'")
    if resolution is not None:
        return resolution
    if not shared:
        raise DataError(f"{' and '.join(source.name for source in sources)} have no resolution in common")
    return _USUAL_RESOLUTION if _USUAL_RESOLUTION in shared else max(shared)


def _check_resolution(source: DataSource, resolution: int | None) -> None:
    if resolution is None:
        return
    if source.resolutions is None:
        raise DataError(f"data set {source.name!r} holds points, which have no resolution; leave the resolution out")
    if resolution not in source.resolutions:
        allowed = ", ".join(str(size) for size in source.resolutions)
        raise DataError(f"data set {source.name!r} has no resolution {resolution}; allowed: {allowed}")


register_data("faces", faces.load_faces, resolutions=faces.RESOLUTIONS, description="cartoon faces with attributes")
register_data("glyphs", glyphs.load_glyphs, resolutions=glyphs.RESOLUTIONS, description="coloured letters in 12 fonts")
register_data("photos", photos.load_photos, resolutions=photos.RESOLUTIONS, description="pieces of two photographs")
register_data("digits", digits.load_digits, resolutions=digits.RESOLUTIONS, description="1,797 handwritten digits")
register_data("digits-rgb", digits.load_digits_rgb, resolutions=digits.RESOLUTIONS, description="digits, 3 channels")
register_data("ring", mixtures.load_ring, resolutions=None, description="8 Gaussians on a circle")
register_data("grid", mixtures.load_grid, resolutions=None, description="25 Gaussians on a 5 x 5 lattice")
