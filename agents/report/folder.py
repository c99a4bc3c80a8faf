"""The run folder of a comparison, read back: grades, curves, where the pictures lie, and what is missing."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.decision import NOOP, ORACLE
from agents.kinds import KINDS, LEARNED
from gan_backbones.files import parse_json, read_file, read_json

RESULTS, CELL, RECORDS, SAMPLES = "results.jsonl", "cell.json", "records.json", "samples.png"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "suite": (str,),
    "table": (str,),
    "method": (str,),
    "kind": (str,),
    "seed": (int,),
    "instance": (int,),
    "final": (int, float),
    "failed": (bool,),
    "updates": (int, float),
    "seconds": (int, float),
}


@dataclass(frozen=True)
class Run:
    """One cell: a method trained with one seed, graded on the test instances."""

    seed: int
    final: Mapping[int, float]
    """Grade by test instance; positive, lower is better."""
    failed: Mapping[int, bool]
    updates: float
    """GAN updates charged for tuning and training."""
    seconds: float
    folder: Path
    """Where the cell lies; it need not exist."""
    curve: tuple[tuple[float, float], ...] = ()
    """(GAN updates so far, validation grade); empty for what does not learn or where the cell is missing."""
    commit: str | None = None
    """Of the program that made it; none where that is not on record."""


@dataclass(frozen=True)
class Method:
    """The runs of one method in one table, by seed."""

    name: str
    kind: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Table:
    """All methods under the same terms on one suite."""

    suite: str
    name: str
    metric: str
    instances: tuple[int, ...]
    methods: Mapping[str, Method]

    def finals(self) -> dict[str, NDArray[np.float64]]:
        """Grades of each method, ``(runs, instances)``."""
        return {
            name: np.array([[run.final[i] for i in self.instances] for run in method.runs])
            for name, method in self.methods.items()
        }

    def failures(self) -> dict[str, NDArray[np.bool_]]:
        """Who diverged or collapsed, ``(runs, instances)``."""
        return {
            name: np.array([[run.failed[i] for i in self.instances] for run in method.runs])
            for name, method in self.methods.items()
        }

    def of_kind(self, kind: str) -> list[Method]:
        return [method for method in self.methods.values() if method.kind == kind]


@dataclass(frozen=True)
class Source:
    """A folder that was read."""

    path: Path
    config: Mapping[str, Any]
    digest: str
    """SHA-256 of ``results.jsonl``, or what stands in for it."""
    commits: Mapping[str | None, int]
    """How many of its cells were made by which version of the program."""


@dataclass(frozen=True)
class Comparison:
    """Everything on the page."""

    tables: tuple[Table, ...]
    sources: tuple[Source, ...]
    notices: tuple[str, ...]
    """What is missing, a sentence each."""

    @property
    def suites(self) -> list[str]:
        return list(dict.fromkeys(table.suite for table in self.tables))


def read_comparison(folders: Sequence[Path]) -> Comparison:
    """Read run folders of ``compare.py``; those of one suite are put together.

    What is missing is told in the notices. Raises ``ValueError`` for a folder without any results, for a file that
    cannot be read as what it should be, and for folders that contradict each other.
    """
    notices: list[str] = []
    sources: list[Source] = []
    terms: dict[str, tuple[Path, Any]] = {}  # by suite
    cells: dict[tuple[str, str, str, int], tuple[Run, str]] = {}  # with the kind
    metrics: dict[str, str] = {}
    for folder in folders:
        rows, digest = _rows(folder, notices)
        runs = _runs(folder, rows, metrics)
        config = _config(folder, notices)
        sources.append(Source(folder, config, digest, Counter(run.commit for run, _ in runs.values())))
        for suite in {key[0] for key in runs}:
            _same_terms(terms, suite, folder, config)
        for key, (run, kind) in runs.items():
            if key in cells and (cells[key][0].final, cells[key][1]) != (run.final, kind):
                raise ValueError(f"{cells[key][0].folder} and {run.folder} hold different results of the same cell")
            cells.setdefault(key, (run, kind))
    tables = tuple(
        _table(suite, name, metrics.get(suite, "distance"), cells, notices)
        for suite, name in sorted({key[:2] for key in cells}, key=_rescue_first)
    )
    return Comparison(tables, tuple(sources), (*notices, *_gaps(tables)))


def _same_terms(terms: dict[str, tuple[Path, Any]], suite: str, folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where an earlier folder had another budget or played another problem."""
    options = config.get("options")
    if not isinstance(options, dict):
        return
    own = {name: options.get(name) for name in ("budget", "env")}
    first, others = terms.setdefault(suite, (folder, own))
    for name, value in own.items():
        if value != others[name]:
            raise ValueError(
                f"{first} and {folder} cannot share a table: --{name} was {others[name]} there and {value} here"
            )


def _rescue_first(key: tuple[str, str]) -> tuple[str, bool, str]:
    return key[0], key[1] != "rescue", key[1]


def _config(folder: Path, notices: list[str]) -> Mapping[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        notices.append(f"{path} is missing: the page cannot say by which command and commit the results were made.")
        return {}
    config = read_json(path)
    if not isinstance(config, dict):
        raise ValueError(f"{path} should hold an object, not {type(config).__name__}")
    return config


def _rows(folder: Path, notices: list[str]) -> tuple[list[tuple[str, Any]], str]:
    """``(place, row)`` of every result, and a digest; from the cells where ``results.jsonl`` is not written yet."""
    path = folder / RESULTS
    if not path.is_file():
        rows = list(_rows_of_cells(folder))
        if not rows:
            raise ValueError(f"{folder} holds no comparison: neither {RESULTS} nor cells/*/*/*/{CELL} with {RECORDS}")
        notices.append(f"{path} is missing: the comparison has not ended. The cells that are there were read instead.")
        return rows, hashlib.sha256(json.dumps([row for _, row in rows]).encode()).hexdigest()
    try:
        content = read_file(path)
        lines = content.decode().splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append((f"{path}:{number}", parse_json(line)))
        except ValueError:
            raise ValueError(f"{path}:{number} is not JSON") from None
    if not rows:
        raise ValueError(f"{path} is empty")
    return rows, hashlib.sha256(content).hexdigest()


def _rows_of_cells(folder: Path) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for path in sorted(folder.glob(f"cells/*/*/*/{CELL}")):
        records = path.with_name(RECORDS)
        if records.is_file():
            cell = read_json(path)
            try:
                rows += [(str(records), cell | record) for record in read_json(records)["records"]]
            except (KeyError, TypeError):
                raise ValueError(f"{path} and {records} are not those of a cell") from None
    return rows


def _runs(
    folder: Path, rows: Sequence[tuple[str, Any]], metrics: dict[str, str]
) -> dict[tuple[str, str, str, int], tuple[Run, str]]:
    """Rows gathered by (suite, table, method, seed), with each method's kind; ``metrics`` is filled by suite."""
    grouped: dict[tuple[str, str, str, int], list[Mapping[str, Any]]] = {}
    for place, row in rows:
        _check(place, row)
        group = grouped.setdefault((row["suite"], row["table"], row["method"], row["seed"]), [])
        if any(other["instance"] == row["instance"] for other in group):
            raise ValueError(f"{place}: a second result of the same cell and instance")
        group.append(row)
    runs = {}
    for key, group in grouped.items():
        suite, table, method, seed = key
        cell_folder = folder / "cells" / table / method / str(seed)
        cell = read_json(cell_folder / CELL) if (cell_folder / CELL).is_file() else {}
        if not isinstance(cell, dict):
            raise ValueError(f"{cell_folder / CELL} should hold an object")
        if "metric" in cell and metrics.setdefault(suite, str(cell["metric"])) != cell["metric"]:
            raise ValueError(f"{cell_folder / CELL}: grades are {cell['metric']!r}, elsewhere {metrics[suite]!r}")
        run = Run(
            seed=seed,
            final={row["instance"]: float(row["final"]) for row in group},
            failed={row["instance"]: row["failed"] for row in group},
            updates=float(group[0]["updates"]),
            seconds=float(group[0]["seconds"]),
            folder=cell_folder,
            curve=_curve(cell_folder / CELL, cell.get("curve", ())),
            commit=None if (commit := cell.get("commit")) is None else str(commit),
        )
        runs[key] = run, group[0]["kind"]
    return runs


def _check(place: str, row: Any) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"{place}: a result is an object, not {row!r}")
    for name, types in _TYPES.items():
        if name not in row:
            raise ValueError(f"{place}: {name!r} is missing")
        if not isinstance(row[name], types) or (isinstance(row[name], bool) and bool not in types):
            raise ValueError(f"{place}: {name!r} cannot be {row[name]!r}")
    if row["kind"] not in KINDS:
        raise ValueError(f"{place}: unknown kind {row['kind']!r}; known: {', '.join(KINDS)}")
    if not (math.isfinite(row["final"]) and row["final"] > 0):
        raise ValueError(f"{place}: a grade is a positive distance, not {row['final']}")
    for name in ("updates", "seconds"):
        if not (math.isfinite(row[name]) and row[name] >= 0):
            raise ValueError(f"{place}: {name!r} cannot be {row[name]!r}")
    for name in ("table", "method"):
        if not row[name] or "/" in row[name] or row[name] in (".", ".."):
            raise ValueError(f"{place}: {name} {row[name]!r} is no name of a folder")


def _curve(path: Path, points: Any) -> tuple[tuple[float, float], ...]:
    try:
        curve = tuple((float(updates), float(grade)) for updates, grade in points)
    except (TypeError, ValueError):
        raise ValueError(f"{path}: a curve is a list of [GAN updates, validation grade]") from None
    return tuple(point for point in curve if all(map(math.isfinite, point)))


def _table(
    suite: str, name: str, metric: str, cells: Mapping[tuple[str, str, str, int], tuple[Run, str]], notices: list[str]
) -> Table:
    """The cells of one table; runs that lack instances are left out, with a notice, and copies without one."""
    own = {key: value for key, value in cells.items() if key[:2] == (suite, name)}
    instances = tuple(sorted({instance for run, _ in own.values() for instance in run.final}))
    grouped: dict[str, list[Run]] = {}
    kinds: dict[str, str] = {}
    for (_, _, method, seed), (run, kind) in sorted(own.items()):
        if kinds.setdefault(method, kind) != kind:
            raise ValueError(f"{suite}, {name}: {method} is {kind!r} in one run and {kinds[method]!r} in another")
        runs = grouped.setdefault(method, [])
        if len(run.final) == len(instances):
            # Where nothing is tuned and nothing random enters, other seeds are copies; they would pass for independent.
            if run.updates or all(run.final != other.final for other in runs):
                runs.append(run)
        else:
            notices.append(
                f"{suite}, {name}: run {seed} of {method} has {len(run.final)} of {len(instances)} instances and is "
                "left out."
            )
    present = [method for method, runs in grouped.items() if runs]
    order = sorted(present, key=lambda method: (KINDS.index(kinds[method]), method))
    methods = {method: Method(method, kinds[method], tuple(grouped[method])) for method in order}
    return Table(suite, name, metric, instances, methods)


def _gaps(tables: Sequence[Table]) -> list[str]:
    """What a whole comparison would hold besides, a sentence each."""
    gaps = []
    for table in tables:
        place = f"{table.suite}, {table.name}"
        gaps += [f"{place}: there is no {one}, so no scores." for one in (NOOP, ORACLE) if one not in table.methods]
        learned = table.of_kind(LEARNED)
        if not learned:
            gaps.append(f"{place}: there is no learned method, so nothing to judge.")
        seeds = {run.seed for method in learned for run in method.runs}
        for method in learned:
            absent = sorted(seeds - {run.seed for run in method.runs})
            if absent:
                gaps.append(f"{place}: {method.name} lacks seeds {', '.join(map(str, absent))} of {len(seeds)}.")
        for method in table.methods.values():
            commits = {run.commit for run in method.runs}
            if len(commits) > 1:
                told = ", ".join(sorted(one or "one that is not on record" for one in commits))
                gaps.append(f"{place}: the runs of {method.name} were made by several versions of the program: {told}.")
        for name, use in ((CELL, "learning curve"), (RECORDS, "knobs"), (SAMPLES, "samples")):
            lacking = [
                f"{method.name}/{run.seed}"
                for method in table.methods.values()
                for run in method.runs
                if not (run.folder / name).is_file()
            ]
            if lacking:
                shown = ", ".join(lacking[:6]) + (f" and {len(lacking) - 6} more" if len(lacking) > 6 else "")
                gaps.append(f"{place}: no {name} ({use}) in {shown}.")
    for suite in dict.fromkeys(table.suite for table in tables):
        present = [table.name for table in tables if table.suite == suite]
        gaps += [f"{suite}: there is no table {name!r}." for name in ("rescue", "free") if name not in present]
    return gaps
