"""Cells of a comparison: a method on a table with a seed, prepared, played on the test instances, written down."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.evaluation import EpisodeRecord, metric_of
from agents.methods import Context, find_method
from gan_backbones.files import parse_json, read_json, write_atomically
from gan_env.core import BalanceCore
from gan_env.mixed import MixedCore
from gan_env.render import draw_row

PICTURES = 4
"""The first so many test instances are drawn."""
_MARGIN = 4  # pixels between two pictures


@dataclass(frozen=True)
class Cell:
    """A method on a table; with several seeds only where they all give the same."""

    table: str
    method: str
    seeds: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.table}/{self.method}/{','.join(map(str, self.seeds))}"


def cell_folder(run: Path, table: str, method: str, seed: int) -> Path:
    """Where a finished cell lies; there is no such folder before."""
    return run / "cells" / table / method / str(seed)


def missing_cells(run: Path, tables: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """What is yet to be done, seed by seed, so that a comparison that is stopped early has whole seeds."""
    cells = []
    for seed in seeds:
        for table in tables:
            for name in methods:
                missing = tuple(one for one in seeds if not cell_folder(run, table, name, one).exists())
                if find_method(name).seeded:
                    if seed in missing:
                        cells.append(Cell(table, name, (seed,)))
                elif missing and seed == seeds[0]:
                    cells.append(Cell(table, name, missing))
    return cells


def context_of(cell: Cell, context: Context) -> Context:
    """``context`` for the table and the first seed of ``cell``."""
    return dataclasses.replace(context, table=cell.table, seed=cell.seeds[0])


def run_cell(run: Path, cell: Cell, context: Context, commit: str | None = None) -> None:
    """Prepare, play, write; what ``context`` says of table and seed does not count. ``commit`` is this program's.

    Everything is written into hidden folders first, which are then renamed: a cell is whole or not there. A method
    that trains for long leaves checkpoints beside them, from which it goes on when the cell is run again.

    Raises ``ValueError``, which names the cell, for a mistake that stands in the way of its first GAN update. After
    that it is a failure of this cell alone, and raised as ``RuntimeError``: numerical trouble is a ``ValueError``, too.
    """
    begun = False

    def on_step(made: int) -> None:
        nonlocal begun
        begun = True
        context.on_step(made)

    with _naming(cell):
        try:
            _run_cell(run, cell, dataclasses.replace(context_of(cell, context), on_step=on_step), commit)
        except ValueError as error:
            if begun:
                raise RuntimeError(str(error)) from error
            raise


def check_cell(cell: Cell, context: Context) -> None:
    """Raise ``ValueError``, as :func:`run_cell` would, where the budget does not pay for the cell."""
    with _naming(cell):
        find_method(cell.method).check(context_of(cell, context))


@contextlib.contextmanager
def _naming(cell: Cell) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"cell {cell}: {error}") from error


def cell_files(context: Context, commit: str | None, cell: Cell) -> dict[str, bytes]:
    """What :func:`run_cell` writes, by path within the run folder: for a machine that cannot write there. Checkpoints
    are not among it: a cell that is stopped or lost begins anew."""
    with tempfile.TemporaryDirectory() as place:
        run_cell(Path(place), cell, context, commit)
        files = [path for path in Path(place).rglob("*") if path.is_file()]
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def store_cell(run: Path, cell: Cell, files: Mapping[str, bytes]) -> None:
    """Write what :func:`cell_files` returned, as :func:`run_cell` would have."""
    for seed in cell.seeds:
        folder = cell_folder(run, cell.table, cell.method, seed)
        hidden = _hidden(folder)
        for name, content in files.items():
            if (run / name).is_relative_to(folder):
                path = hidden / (run / name).relative_to(folder)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, content)
        hidden.rename(folder)


def _run_cell(run: Path, cell: Cell, context: Context, commit: str | None) -> None:
    begun = time.monotonic()
    own = cell_folder(run, cell.table, cell.method, cell.seeds[0])
    checkpoints = own.with_name(f".{own.name}.checkpoints")
    first, *others = (_hidden(cell_folder(run, cell.table, cell.method, seed)) for seed in cell.seeds)
    first.mkdir(parents=True)
    method = find_method(cell.method)
    prepared = method.prepare(dataclasses.replace(context, folder=first, checkpoints=checkpoints))
    gallery = Gallery()
    records = prepared.play(context.test, context.on_step, gallery.add)
    rows = [_as_row(index, record) for index, record in enumerate(records)]
    _write_json(first / "records.json", {"knobs": list(prepared.config.knobs), "records": rows})
    gallery.save(first / "samples.png")
    about = {
        "suite": context.suite,
        "table": cell.table,
        "method": cell.method,
        "kind": method.kind,
        "seed": cell.seeds[0],
        "metric": metric_of(context.resolved_suite),
        "commit": commit,
        "updates": prepared.updates,
        "seconds": round(time.monotonic() - begun, 1),
        "notes": dict(prepared.notes) | ({} if method.seeded else {"same_for_every_seed": True}),
        "curve": [list(point) for point in prepared.curve],
    }
    for folder in others:
        shutil.copytree(first, folder)
    for seed, folder in zip(cell.seeds, (first, *others), strict=True):
        _write_json(folder / "cell.json", about | {"seed": seed})
        folder.rename(cell_folder(run, cell.table, cell.method, seed))
    shutil.rmtree(checkpoints, ignore_errors=True)


def tidy_results(run: Path) -> list[dict[str, Any]]:
    """One row for each finished cell and test instance.

    A cell without its ``records.json``, which are many times larger, keeps the rows that ``results.jsonl`` has: so a
    comparison can be put away and gone on with. Raises ``ValueError`` for a folder that is no cell, and for one whose
    rows are nowhere.
    """
    results, before = [], _rows_so_far(run)
    for path in sorted((run / "cells").glob("*/*/[0-9]*/cell.json")):
        about = read_json(path)
        if not path.with_name("records.json").is_file():
            kept = before.get(path.parent.parts[-3:], [])
            if not kept:
                raise ValueError(f"{path.parent} has no records.json, and results.jsonl has no rows of it; remove it")
            results += kept
            continue
        content = read_json(path.with_name("records.json"))
        try:
            common = {name: about[name] for name in ("suite", "table", "method", "kind", "seed")}
            cost = {name: about[name] for name in ("updates", "seconds")}
            results += [common | {name: row[name] for name in _TIDY} | cost for row in content["records"]]
        except (KeyError, TypeError):
            raise ValueError(f"{path.parent} is not a cell of compare.py; remove it") from None
    return results


def _rows_so_far(run: Path) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """The rows of ``results.jsonl`` by table, method and seed, these as texts."""
    path = run / "results.jsonl"
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    if path.is_file():
        for line in path.read_text().splitlines():
            row = parse_json(line)
            try:
                rows.setdefault((row["table"], row["method"], str(row["seed"])), []).append(row)
            except (KeyError, TypeError):
                raise ValueError(f"{path} is not what compare.py writes; remove it") from None
    return rows


def clear_unfinished(run: Path) -> None:
    """Remove what cells left that were stopped, but their checkpoints. Nobody may be writing there."""
    for folder in (run / "cells").glob("*/*/.*.tmp"):
        shutil.rmtree(folder)


def write_results(run: Path) -> None:
    """``results.jsonl`` anew, from the finished cells; none without any."""
    rows = tidy_results(run)
    if rows:
        write_atomically(run / "results.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


class Gallery:
    """Samples of the first test instances at the end of their training, side by side."""

    def __init__(self) -> None:
        self._pictures: dict[int, NDArray[np.uint8]] = {}

    def add(self, index: int, core: BalanceCore | MixedCore, row: int) -> None:
        """Draw instance ``index``, whose GAN is in ``row`` of ``core``, if it is one of the first."""
        if index < PICTURES:
            self._pictures[index] = draw_row(core, row)

    def save(self, path: Path) -> None:
        """Write a PNG."""
        pictures = [self._pictures[index] for index in sorted(self._pictures)]
        height = max(picture.shape[0] for picture in pictures)
        width = sum(picture.shape[1] for picture in pictures) + _MARGIN * (len(pictures) - 1)
        canvas, left = np.full((height, width, 3), 255, np.uint8), 0
        for picture in pictures:
            canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
            left += picture.shape[1] + _MARGIN
        content = io.BytesIO()
        Image.fromarray(canvas).save(content, "PNG")
        write_atomically(path, content.getvalue())


_TIDY = ("instance", "data", "final", "failed", "final_proxy", "episode_return")


def _as_row(index: int, record: EpisodeRecord) -> dict[str, Any]:
    return {
        "instance": index,
        "data": record.instance.data,
        "final": record.final,
        "failed": record.failed,
        "final_proxy": record.final_proxy,
        "episode_return": record.episode_return,
        "decisions": record.decisions,
        "log10_knobs": [list(values) for values in record.log10_knobs],
        "start": [record.instance.lr_g, record.instance.lr_d],
    }


def _hidden(folder: Path) -> Path:
    """Where a cell lies while it is being written: beside its own place."""
    return folder.with_name(f".{folder.name}.tmp")


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, default=str) + "\n").encode())
