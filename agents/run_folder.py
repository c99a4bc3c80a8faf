"""The folder that a run writes: options, statistics, policy, evaluation. Every file is whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from gan_backbones.files import read_json, write_atomically

_REPORTED_PACKAGES = (
    "gan-balance",
    "torch",
    "torchvision",
    "gymnasium",
    "stable-baselines3",
    "sb3-contrib",
    "numpy",
    "optuna",
)


class RunFolder:
    """A folder that one run owns.

    Naming one that holds something already raises ``ValueError`` in one line; so does :meth:`create` where the folder
    cannot be made. Nothing is written before :meth:`create`.
    """

    def __init__(self, path: Path) -> None:
        try:
            used = path.exists() and (not path.is_dir() or any(path.iterdir()))
        except OSError as error:
            raise ValueError(f"cannot use {path} as run folder: {error.strerror}") from None
        if used:
            raise ValueError(f"run folder {path} is in use; name another one with --run-dir, or go on with --resume")
        self.path = path

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """The folder of a run that is to go on. Raises ``ValueError``, in one line, where none was begun."""
        if not (path / "config.json").is_file():
            raise ValueError(f"{path} is no folder of a run that could go on: it has no config.json")
        folder = cls.__new__(cls)
        folder.path = path
        return folder

    @property
    def growing(self) -> tuple[Path, Path]:
        """What is written piece by piece: the statistics, and a pattern of TensorBoard's files."""
        return self.path / "stats.jsonl", self.path / "events.out.tfevents.*"

    def create(self) -> None:
        """Make the folder."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cannot make run folder {self.path}: {error.strerror}") from None

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep other processes out, and remove what a killed one left half-written; see :func:`hold`."""
        with hold(self.path):
            for temporary in self.path.glob(".*.tmp"):
                temporary.unlink(missing_ok=True)
            yield

    def read_json(self, name: str) -> dict[str, Any]:
        """What :meth:`write_json` wrote. Raises ``ValueError``, in one line, where that cannot be read."""
        content: dict[str, Any] = read_json(self.path / name)
        return content

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``content`` as ``name``, atomically."""
        write_atomically(self.path / name, (json.dumps(content, indent=2, default=str) + "\n").encode())

    def note_continuation(self, record: Mapping[str, Any], say: Callable[[str], None]) -> None:
        """Add ``record``, the :func:`provenance` of a later call among it, to ``config.json`` under ``continued``.

        ``say`` is told where it is of another version of this program.
        """
        config = self.read_json("config.json")
        if record["git_commit"] != config.get("git_commit"):
            say(f"{self.path} was begun by another version of this program; see its config.json")
        before = config.get("continued", [])
        if not isinstance(before, list):
            raise ValueError(f"{self.path / 'config.json'} is damaged: what continued the run is no list")
        self.write_json("config.json", config | {"continued": [*before, record]})

    def append_stats(self, row: Mapping[str, Any]) -> None:
        """Add one line to ``stats.jsonl``."""
        with self.growing[0].open("a") as file:
            file.write(json.dumps(row) + "\n")


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Lock the run folder ``path``. Raises ``ValueError`` while another process holds it."""
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"another process is writing to {path}") from None
        yield


PROVENANCE = ("command", "python", "versions", "git_commit", "hardware")


def provenance(device: str) -> dict[str, Any]:
    """What ran: command, package versions, git commit (``-dirty`` where files differed from it) and hardware."""
    return {
        "command": shlex.join(["python", *sys.argv]),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _REPORTED_PACKAGES},
        "git_commit": git_commit(),
        "hardware": torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """The commit of this program, ``-dirty`` where files differ from it; none where that is not known."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.processor()
