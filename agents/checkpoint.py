"""Checkpoints of a run that takes longer than a minute: what it needs to go on as if it had never stopped.

A run calls :meth:`Checkpoints.offer` wherever it could go on from its whole state, which is a tree as
:mod:`agents.tree_file` has it, and begins with :meth:`Checkpoints.load`::

    with Interruption() as interruption:
        checkpoints = Checkpoints(folder / "checkpoints", {"seed": 3, "batch_size": 64})
        if (saved := checkpoints.load(print)) is not None:
            restore(saved.tree)
        while not_finished:
            work()
            checkpoints.offer(step, state, interruption)

The clock decides which steps are saved, so making a state must not change what the run does next: no random number may
be drawn for it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.interruption import Interruption
from agents.restoring import MisfitError
from agents.tree_file import Tree, read_tree, write_tree
from gan_backbones.data import DataSet

EVERY = 60.0
"""Seconds between two checkpoints by default, at least."""
LARGEST_SHARE = 0.02
"""By default, checkpoints take no larger share of the time than this: where they are slow they become rarer."""
_PATTERN = "step-*.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a run can go on from."""

    step: int
    """How far the run had come, in its own units."""
    tree: Tree
    path: Path


@dataclass(frozen=True)
class Cost:
    """What checkpoints have cost."""

    count: int
    seconds: float
    of_seconds: float
    """That the run has taken, with them."""

    @property
    def share(self) -> float:
        """Of the time, 0 to 1."""
        return self.seconds / self.of_seconds if self.of_seconds > 0 else 0.0

    def __str__(self) -> str:
        return f"{self.count} checkpoints took {self.seconds:.1f} s, {self.share:.1%} of the time"

    def record(self) -> dict[str, float]:
        """For the run's folder."""
        return {"count": self.count, "seconds": round(self.seconds, 3), "share": round(self.share, 5)}


@contextlib.contextmanager
def naming(saved: Checkpoint | None) -> Iterator[None]:
    """Around a run that goes on from ``saved``: that it does not fit is told with its path, by ``ValueError``."""
    try:
        yield
    except MisfitError as error:
        if saved is None:
            raise
        raise ValueError(f"checkpoint {saved.path} does not fit this run: {error}") from error


def fingerprints(data: Sequence[DataSet]) -> dict[str, str]:
    """Settings that tell of the content of ``data``: a run does not go on where it has changed."""
    return {f"fingerprint of {one.name} {list(one.sample_shape)}": one.fingerprint[:16] for one in data}


class Checkpoints:
    """The last checkpoints of one run, in a folder of their own, which is made when the first one is saved.

    ``settings`` (JSON-able) say which run it is: checkpoints of a run with other settings are refused. ``every`` is the
    number of seconds between two checkpoints, 0 for one at every offer; by default :data:`EVERY`, or more, so that
    :data:`LARGEST_SHARE` is kept. ``growing`` are files that the run appends to, the name possibly a pattern:
    :meth:`load` cuts them back to what they were when the checkpoint was saved, so that nothing is written twice.
    Raises ``ValueError`` for a negative number.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        every: float | None = None,
        growing: Sequence[Path] = (),
        keep: int = 2,
    ) -> None:
        if every is not None and not every >= 0:
            raise ValueError(f"seconds between checkpoints must be at least 0, not {every}")
        self.folder = folder
        self.settings: dict[str, Any] = json.loads(json.dumps(dict(settings), default=str))
        """As JSON has them."""
        self._every = every
        self._growing = tuple(growing)
        self._keep = keep
        self._begun = self._last = time.monotonic()
        self._costs: list[float] = []

    def offer(self, step: int, state: Callable[[], Tree], interruption: Interruption | None = None) -> None:
        """Save ``state()`` if it is time to or a signal came; in the latter case, then raise ``Interrupted``.

        To be called where the run could go on from that state. Raises what :meth:`save` raises.
        """
        if self._due() or (interruption is not None and interruption.requested):
            self.save(step, state)
        if interruption is not None:
            interruption.check()

    def save(self, step: int, state: Callable[[], Tree]) -> Path:
        """Write a checkpoint whole, then remove all but the newest ones, and any of later steps, which a run that went
        on from an earlier one has no use for. ``state`` has to flush what it wrote to the growing files.

        Raises ``OSError``, in one line, where it cannot be written, e.g. on a full disk; the earlier ones stay.
        """
        begun = time.monotonic()
        path = self.folder / f"step-{step:012d}.safetensors"
        try:
            tree = state()
            write_tree(path, tree, {"step": step, "settings": self.settings, "sizes": self._sizes()})
        except OSError as error:
            kept = [one.name for one in self._paths()]
            rest = f"the last good one, {kept[-1]}, is whole" if kept else "there is no earlier one"
            advice = "; free some space and resume" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise OSError(f"cannot write checkpoint {path}: {error.strerror or error}; {rest}{advice}") from error
        paths = self._paths()
        place = paths.index(path)
        for stale in [*paths[: max(0, place + 1 - self._keep)], *paths[place + 1 :]]:
            stale.unlink(missing_ok=True)
        self._last = time.monotonic()
        self._costs.append(self._last - begun)
        return path

    def load(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that is whole; none where none was ever saved, and the run begins anew.

        ``say`` is told in one sentence of each that is not. Cuts the growing files back and removes what a killed run
        left half-written: to be called before anything is opened, and nobody else may be writing. Raises
        ``ValueError``, in one line, where none is whole or the newest is of a run with other settings.
        """
        for temporary in self.folder.glob(".*.tmp"):
            temporary.unlink(missing_ok=True)
        refused = []
        for path in reversed(self._paths()):
            try:
                tree, about = read_tree(path)
                step, settings, sizes = int(about["step"]), dict(about["settings"]), about["sizes"]
                sizes = {name: int(size) for name, size in sizes.items()}
            except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
                refused.append(f"checkpoint {path} is not used: {error}")
                say(refused[-1])
                continue
            for name in sorted(settings.keys() | self.settings.keys()):
                if (saved := settings.get(name)) != (own := self.settings.get(name)):
                    raise ValueError(
                        f"checkpoint {path} is of a run with {name} {saved!r}, not {own!r}; "
                        f"remove {self.folder} to begin anew"
                    )
            self._cut_back(sizes)
            return Checkpoint(step, tree, path)
        if refused:
            raise ValueError(f"none of the checkpoints in {self.folder} is whole; remove it to begin anew")
        self._cut_back({})
        return None

    def clear(self) -> None:
        """Remove them all: the run is over."""
        for path in [*self._paths(), *self.folder.glob(".*.tmp")]:
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    @property
    def cost(self) -> Cost:
        """What they have cost since the run began or went on."""
        return Cost(len(self._costs), sum(self._costs), time.monotonic() - self._begun)

    def _due(self) -> bool:
        elapsed = time.monotonic() - self._last
        if self._every is not None:
            return elapsed >= self._every
        slowest = max(self._costs, default=0.0)
        return elapsed >= max(EVERY, slowest / LARGEST_SHARE)

    def _sizes(self) -> dict[str, int]:
        """Bytes of each growing file."""
        return {self._name(path): path.stat().st_size for path in self._files()}

    def _cut_back(self, sizes: Mapping[str, int]) -> None:
        for path in self._files():
            size = sizes.get(self._name(path))
            if size is None:
                path.unlink()
            elif path.stat().st_size > size:
                os.truncate(path, size)

    def _files(self) -> list[Path]:
        return [path for growing in self._growing for path in sorted(growing.parent.glob(growing.name))]

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)

    def _paths(self) -> list[Path]:
        """From the earliest step to the latest."""
        return sorted(self.folder.glob(_PATTERN))
