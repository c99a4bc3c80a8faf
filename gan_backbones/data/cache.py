"""A folder of computed tensors: one checked file an entry, written whole or not at all.

The cache only ever saves time. A missing, damaged or unreadable entry is computed again, and a folder that cannot
be written is done without; both are told in a one-line warning.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from gan_backbones.tensor_file import read_tensors, write_tensors

_Made = TypeVar("_Made")
_ENVIRONMENT_VARIABLE = "GANBALANCE_CACHE"


def cache_folder(override: Path | str | None = None) -> Path:
    """The cache's root, which need not exist yet.

    The first of: ``override``, ``$GANBALANCE_CACHE``, ``$XDG_CACHE_HOME/gan-balance``, ``~/.cache/gan-balance``.
    """
    if override is not None:
        return Path(override).expanduser()
    if chosen := os.environ.get(_ENVIRONMENT_VARIABLE):
        return Path(chosen).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).expanduser() / "gan-balance"
    return Path("~/.cache/gan-balance").expanduser()


def save_entry(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
    """Write named tensors and JSON-able ``metadata`` to ``path`` (safetensors) atomically, with their checksum.

    Warns and returns when the file cannot be written (no permission, full disk). Raises TypeError when ``metadata``
    is not JSON-able.
    """
    try:
        write_tensors(path, tensors, metadata)
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"cannot write cache entry {path} ({reason}); going on without the cache", stacklevel=2)


def load_entry(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Read what `save_entry` wrote: (tensors, metadata), or None when there is no entry.

    A damaged or unreadable entry, or one with a number that is not finite, also gives None, with a one-line warning;
    the caller computes it again.
    """
    try:
        if not path.exists():
            return None
        tensors, metadata = read_tensors(path)
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise ValueError("a number in it is not finite")
        return tensors, metadata
    except (OSError, ValueError) as error:
        one_line = " ".join(str(error).split())
        warnings.warn(f"cache entry {path} is damaged ({one_line}); computing it again", stacklevel=2)
        return None


def load_or_compute(
    path: Path,
    recipe: Mapping[str, Any],
    compute: Callable[[], Mapping[str, torch.Tensor]],
    use: Callable[[dict[str, torch.Tensor]], _Made],
) -> _Made:
    """What ``use`` makes of the entry at ``path`` if it was made by this ``recipe``; else of what ``compute`` gives.

    The latter is saved there. ``recipe``: all that the tensors depend on, JSON-able. ``use`` raises KeyError,
    RuntimeError, TypeError or ValueError for tensors that it cannot do anything with; then they are computed again.
    """
    entry = load_entry(path)
    if entry is not None and entry[1] == recipe:
        try:
            return use(entry[0])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            one_line = " ".join(str(error).split())
            warnings.warn(f"cache entry {path} holds something else ({one_line}); computing it again", stacklevel=2)
    tensors = dict(compute())
    save_entry(path, tensors, recipe)
    return use(tensors)
