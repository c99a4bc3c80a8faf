"""What all parts share: where things are written, how jobs run side by side, what a record holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.run_folder import provenance
from agents.side_by_side import side_by_side
from gan_backbones.files import write_atomically

T = TypeVar("T")


@dataclass(frozen=True)
class Study:
    """Where a part writes, and how many jobs it runs at once."""

    output: Path = Path("docs/results/mspg")
    """Folder of the records, one file for each part."""
    images: Path = Path("docs/images")
    """Folder of the figures."""
    runs: Path = Path("runs/mspg-study")
    """Folder of the runs that a part starts; a run that is whole there is not made again."""
    processes: int | None = None
    """Jobs at once, one thread each; by default one for each core."""

    def __post_init__(self) -> None:
        if self.processes is not None and self.processes < 1:
            raise ValueError(f"--study.processes must be at least 1, not {self.processes}")

    def compute(self, work: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str) -> list[T]:
        """``work(*job)`` of every job, in processes beside each other; results in the order of the jobs."""
        results = dict(side_by_side(work, jobs, label, self.processes))
        return [results[place] for place in range(len(jobs))]

    def record(self, part: str, options: Any, rows: Sequence[Mapping[str, Any]], **others: Any) -> Path:
        """Write what a part found; returns the file."""
        content = provenance("cpu") | {"part": part, "options": dataclasses.asdict(options), **others, "rows": rows}
        path = self.output / f"{part}.json"
        write_atomically(path, (json.dumps(content, indent=1, default=str) + "\n").encode())
        Console().print(f"wrote {path}", highlight=False)
        return path


def figure_path(study: Study, name: str) -> str:
    """Path of a figure, in a folder that is there."""
    study.images.mkdir(parents=True, exist_ok=True)
    return str(study.images / name)


def positive(options: Any, *names: str) -> None:
    """Raise ``ValueError`` unless the options ``names`` are at least 1, and sequences among them not empty."""
    for name in names:
        value = getattr(options, name)
        if (len(value) if isinstance(value, tuple) else value) < 1:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag} must {'not be empty' if isinstance(value, tuple) else 'be at least 1'}")


def spread(values: Iterable[float], digits: int = 0) -> str:
    """Mean, smallest and largest value, for tables: ``12 (10..15)``."""
    numbers = np.array(list(values))
    return f"{numbers.mean():.{digits}f} ({numbers.min():.{digits}f}..{numbers.max():.{digits}f})"


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    table = Table(title=title)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
