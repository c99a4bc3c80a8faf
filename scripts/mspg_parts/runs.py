"""Runs of ``train_gan.py`` and ``train_agent.py`` as cells of a study: every number has a command of its own."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import runpy
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mspg_parts.study import Study

SCRIPTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cell:
    """One run of a script."""

    name: str
    """Of the row in the tables."""
    seed: int
    arguments: tuple[str, ...]
    script: str = "train_gan"

    @property
    def command(self) -> tuple[str, ...]:
        """What a person types after ``python``, but for the folder."""
        return f"scripts/{self.script}.py", *self.arguments, "--seed", str(self.seed)

    def folder(self, runs: Path) -> Path:
        """Where the run is kept, by its command: a cell with another one is another cell."""
        digest = hashlib.sha256(json.dumps(self.command).encode()).hexdigest()[:12]
        return runs / f"{self.script}-{digest}"


@dataclass(frozen=True)
class Recipe:
    """A GAN and who turns its knobs, apart from data and budget."""

    backbone: str = "mspg"
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the backbone."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """Knobs beside the rates."""
    lr_g: float = 1e-3
    lr_d: float = 1e-3
    grow: float = 0.0
    """Share of the training in which it grows."""
    controller: str = "noop"

    def cell(self, name: str, seed: int, others: Sequence[str]) -> Cell:
        """The run of ``train_gan.py``; ``others`` say data, budget and scores."""
        arguments = ["--backbone", self.backbone]
        for flag, values in (("--backbone-options", self.options), ("--constants", self.constants)):
            if values:
                arguments += [flag, *(f"{key}={value}" for key, value in values.items())]
        arguments += ["--lr-g", f"{self.lr_g:g}", "--lr-d", f"{self.lr_d:g}"]
        if self.grow:
            arguments += ["--grow", f"{self.grow:g}"]
        return Cell(name, seed, (*arguments, "--controller", self.controller, *others))


@dataclass(frozen=True)
class Budget:
    """What all GANs of a comparison share."""

    data: str = "faces"
    """Data set."""
    resolution: int = 32
    """Pixels."""
    batch_size: int = 16
    """Real images per update."""
    latent_size: int = 64
    """Numbers that a generator draws per image."""
    updates: int = 1000
    """GAN updates; where time is what is equal, those of the first contender."""
    updates_per_decision: int = 20
    """GAN updates between two decisions of a controller."""
    samples: int = 1024
    """Generated images of every score."""
    looks: int = 5
    """Distances measured on the way."""

    def arguments(self, updates: int | None = None) -> tuple[str, ...]:
        """Of ``train_gan.py``."""
        options = {
            "data": self.data,
            "resolution": self.resolution,
            "batch-size": self.batch_size,
            "updates": self.updates if updates is None else updates,
            "updates-per-decision": self.updates_per_decision,
            "snapshots": self.looks,
            "snapshot-samples": self.samples,
            "samples": self.samples,
            "metrics": "fd,prdc",
        }
        return tuple(word for name, value in options.items() for word in (f"--{name}", str(value)))


def play(cells: Sequence[Cell], study: Study, label: str) -> list[Path]:
    """Make the runs that are not whole yet, beside each other; returns all folders. ``ValueError`` where one fails."""
    folders = [cell.folder(study.runs) for cell in cells]
    missing = {folder: cell for folder, cell in zip(folders, cells, strict=True) if not is_whole(folder)}
    if missing:
        study.compute(play_one, [(cell, folder) for folder, cell in missing.items()], label)
    return folders


def is_whole(folder: Path) -> bool:
    """Whether a run got to its end there."""
    return (folder / "evaluation.json").is_file()


def play_one(cell: Cell, folder: Path) -> None:
    """Run the script as a person would, but within this process, which has imported everything after the first time."""
    if folder.exists():  # was interrupted
        shutil.rmtree(folder)
    script, *arguments = cell.command
    output = io.StringIO()
    argv, sys.argv = sys.argv, [script, *arguments, "--run-dir", str(folder), "--no-progress"]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            runpy.run_path(str(SCRIPTS.parent / script), run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise ValueError(f"{shlex.join(cell.command)} failed: {output.getvalue()[-500:]}") from None
    finally:
        sys.argv = argv


def read_run(cell: Cell, folder: Path) -> dict[str, Any]:
    """A row for the record: how the run was made and how it ended, and ``evaluation.json``."""
    config, evaluation = (json.loads((folder / f"{name}.json").read_text()) for name in ("config", "evaluation"))
    command = shlex.join(["python", *cell.command])
    return {
        "name": cell.name,
        "seed": cell.seed,
        "command": command,
        "git_commit": config["git_commit"],
        "evaluation": evaluation,
    }


def read_gan(cell: Cell, folder: Path) -> dict[str, Any]:
    """A row of a run of ``train_gan.py``.

    ``scores`` of the raw weights by the first word of their names, empty where the GAN was lost; ``curve`` has the
    update and the Frechet distance of each look at it.
    """
    row = read_run(cell, folder)
    evaluation = row.pop("evaluation")
    stats = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    looks = [(one["update"], value) for one in stats for name, value in one.items() if name.startswith("raw/FD")]
    scores = {score["name"].partition(" ")[0]: score["value"] for score in evaluation["scores"].get("raw", ())}
    return row | {"updates": evaluation["updates"], "ended": evaluation["ended"], "scores": scores, "curve": looks}
