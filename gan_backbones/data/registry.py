"""The table of data sets, and the two functions around it: `register_data` and `load_data`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gan_backbones.data import digits, faces, folder, mixtures
from gan_backbones.data.dataset import DataError, DataSet

LoadFunction = Callable[[int | None, int, int | None, Path | None, bool], DataSet]
"""(resolution, seed, count, cache_dir, progress) -> DataSet, called with positional arguments.

``resolution`` is one of the source's, or None for its default (always None for points); ``count`` is at least 1, or
None for its default.
"""

_FOLDER = "folder"
_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class DataSource:
    """One row of the table: a name, a sentence, the allowed resolutions (None: points), and what loads it."""

    name: str
    description: str
    resolutions: tuple[int, ...] | None
    load: LoadFunction


_table: dict[str, DataSource] = {}
DATA_SETS: Mapping[str, DataSource] = MappingProxyType(_table)
"""Every registered source by name, read only. ``folder:PATH`` is no row: it needs an argument."""


def known_names() -> tuple[str, ...]:
    """What `load_data` accepts, for help texts and messages."""
    return (*DATA_SETS, f"{_FOLDER}:PATH")


def register_data(name: str, source: LoadFunction, *, resolutions: tuple[int, ...] | None, description: str) -> None:
    """Add a data set to the table under ``name``.

    ``resolutions``: the image sizes in pixels that ``source`` can give, or None when it gives points.
    ``description``: one sentence for lists and help texts.

    Raises DataError when the name is malformed or taken, or another argument makes no sense.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise DataError(f"bad data set name {name!r}; use lower-case letters, digits, '-' and '_', a letter first")
    if name in _table or name == _FOLDER:
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
    """Load a registered data set, or a directory of images as ``folder:PATH``.

    ``resolution``: image size in pixels (None: the source's default; points have none).
    ``seed``: what is drawn, or the order of what is not.
    ``count``: how many samples (None: the source's default); of a finite source, at most that many.
    ``cache_dir``: where to keep computed data (None: see `cache.cache_folder`).
    ``progress``: show a bar on standard error while a long job runs.

    Raises DataError, in one line, for a wrong name, resolution, seed, count or folder.
    """
    source = _find(name)
    _check_resolution(source, resolution)
    if not 0 <= seed <= _LARGEST_SEED:
        raise DataError(f"seed must lie in 0..2^63-1, got {seed}")
    if count is not None and count < 1:
        raise DataError(f"count must be at least 1, got {count}; leave it out for the default")
    data = source.load(resolution, seed, count, cache_dir, progress)
    if not isinstance(data, DataSet):
        raise DataError(f"the source of data set {name!r} must return a DataSet, got {type(data).__name__}")
    return data


def _find(name: str) -> DataSource:
    """The row of ``name``; for ``folder:PATH`` a row made for that path."""
    prefix, colon, argument = name.partition(":")
    if prefix == _FOLDER:
        if not (colon and argument.strip()):
            raise DataError(f"data set {name!r} names no folder; write folder:PATH")
        load = functools.partial(folder.load_folder, argument)
        return DataSource(name, "a directory of images", folder.RESOLUTIONS, load)
    if name not in _table:
        raise DataError(f"unknown data set {name!r}; known: {', '.join(known_names())}")
    return _table[name]


def _check_resolution(source: DataSource, resolution: int | None) -> None:
    if resolution is None:
        return
    if source.resolutions is None:
        raise DataError(f"data set {source.name!r} holds points, which have no resolution; leave the resolution out")
    if resolution not in source.resolutions:
        allowed = ", ".join(str(size) for size in source.resolutions)
        raise DataError(f"data set {source.name!r} has no resolution {resolution}; allowed: {allowed}")


register_data("faces", faces.load_faces, resolutions=faces.RESOLUTIONS, description="cartoon faces with attributes")
register_data("digits", digits.load_digits, resolutions=digits.RESOLUTIONS, description="1,797 handwritten digits")
register_data("ring", mixtures.load_ring, resolutions=None, description="8 Gaussians on a circle")
register_data("grid", mixtures.load_grid, resolutions=None, description="25 Gaussians on a 5 x 5 lattice")
