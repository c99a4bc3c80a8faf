"""Cartoon faces in the manner of CartoonSet, drawn on the spot from python-avatars' parts (see THIRD_PARTY.md).

Each attribute is drawn independently of the others, so that the labels beside the images are exact.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from gan_backbones.data import _render, cache
from gan_backbones.data.dataset import DataSet

RESOLUTIONS = (16, 32, 64, 128)
_DEFAULT_RESOLUTION = 32
_DEFAULT_COUNT = 4096
_FEWEST_FOR_PROCESSES = 128  # below this, starting workers costs more than it saves
_FEWEST_FOR_BAR = 128


def load_faces(resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool) -> DataSet:
    """``count`` faces (default 4096) of ``resolution`` pixels (default 32): uint8 (M, 3, R, R), with attributes.

    Face i depends on ``seed`` and i alone: a smaller ``count`` gives the first faces of a larger one. The first call
    draws on all cores and fills the cache; later ones read it.
    """
    size = _DEFAULT_RESOLUTION if resolution is None else resolution
    number = _DEFAULT_COUNT if count is None else count
    values = {attribute.name: attribute.values for attribute in _render.ATTRIBUTES}
    # All that a pixel depends on. Another release of a drawing library may draw differently.
    recipe = {
        "name": "faces",
        "version": _render.VERSION,
        "resolution": size,
        "seed": seed,
        "count": number,
        "python_avatars": version("python-avatars"),
        "resvg_py": version("resvg-py"),
    }
    libraries = f"avatars{recipe['python_avatars']}-resvg{recipe['resvg_py']}"
    file = f"faces-v{_render.VERSION}-{size}px-seed{seed}-{number}-{libraries}.safetensors"
    path = cache.cache_folder(cache_dir) / "data" / file

    def draw() -> dict[str, torch.Tensor]:
        labels = np.array([_render.sample_attributes(seed, index) for index in range(number)], dtype=np.int64)
        columns = {name: torch.from_numpy(labels[:, column].copy()) for column, name in enumerate(values)}
        return columns | {"samples": torch.from_numpy(render_faces(size, seed, number, progress=progress))}

    def use(tensors: dict[str, torch.Tensor]) -> DataSet:
        return DataSet(
            name="faces",
            samples=tensors["samples"],
            attributes={name: tensors[name] for name in values},
            attribute_values=values,
            mixture=None,
        )

    return cache.load_or_compute(path, recipe, draw, use)


def render_faces(
    resolution: int, seed: int, count: int, *, workers: int | None = None, progress: bool = False
) -> NDArray[np.uint8]:
    """Faces 0 to ``count`` - 1 of ``seed`` as uint8 (count, 3, resolution, resolution).

    ``workers`` processes share the work (default: one a core for a long job, none for a short one; 0: draw here). The
    result does not depend on it. Raises RuntimeError when a worker fails.
    """
    images = np.empty((count, 3, resolution, resolution), dtype=np.uint8)
    if workers is None:
        workers = _cores() if count >= _FEWEST_FOR_PROCESSES and sys.executable else 0
    hidden = True if not progress or count < _FEWEST_FOR_BAR else None  # None: shown on a terminal, not in a log file
    indices = tqdm(range(count), desc=f"drawing faces at {resolution} px", unit="face", leave=False, disable=hidden)
    if workers == 0:
        for index in indices:
            images[index] = _render.render_face(_render.sample_attributes(seed, index), resolution)
        return images
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for first in range(workers):
            processes.append(_start_worker(seed, first, count, workers, resolution))
        # Worker w draws faces w, w + workers, ...: reading them in turn takes every face in order.
        for index in indices:
            _read_face(processes[index % workers], images[index])
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return images


def _start_worker(seed: int, first: int, count: int, step: int, resolution: int) -> subprocess.Popen[bytes]:
    """A plain Python process on `_render.py`, writing faces ``first``, ``first`` + ``step``, ... to a pipe.

    Not a multiprocessing pool: resvg holds the interpreter's lock, so threads do not help; a fork is not safe beside
    torch's threads; and a spawned pool imports the caller's main module (and torch) again, which breaks scripts that
    lack an ``if __name__ == "__main__"``.
    """
    numbers = [str(number) for number in (seed, first, count, step, resolution)]
    return subprocess.Popen(
        [sys.executable, _render.__file__, *numbers],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def _read_face(process: subprocess.Popen[bytes], image: NDArray[np.uint8]) -> None:
    """Fill ``image`` with the next face of a worker."""
    assert process.stdout is not None and process.stderr is not None
    content = process.stdout.read(image.nbytes)
    if len(content) < image.nbytes:
        lines = process.stderr.read().decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"a process that draws faces failed: {lines[-1] if lines else 'it was ended'}")
    image[:] = np.frombuffer(content, dtype=np.uint8).reshape(image.shape)


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
