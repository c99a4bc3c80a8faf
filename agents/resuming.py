"""What command lines share that can go on with a run: ``--resume RUN_DIR``, and the options it was begun with."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, get_args, get_type_hints

import tyro
from rich.console import Console

from agents.checkpoint import Checkpoints
from agents.interruption import Interruption
from agents.run_folder import RunFolder

FREE = ("checkpoint_every", "progress", "resume", "run_dir")
"""Options that may differ when a run goes on."""
CONFIG, EVALUATION = "config.json", "evaluation.json"


class ResumableOptions(Protocol):
    """A dataclass of options of a script that can go on."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def resume(self) -> Path | None: ...

    @property
    def run_dir(self) -> Path | None: ...

    @property
    def checkpoint_every(self) -> float | None: ...


_Options = TypeVar("_Options", bound=ResumableOptions)


def parse_options(kind: type[_Options], description: str | None) -> _Options:
    """The command line's options; beside ``--resume`` those that the run was begun with.

    Raises ``ValueError``, in one line, for a folder of no such run, and for an option that is another than then.
    """
    options = tyro.cli(kind, description=description)
    if options.resume is None:
        return options
    begun = begun_with(kind, options.resume)
    given = tyro.cli(kind, description=description, default=begun)
    for field in dataclasses.fields(kind):
        if field.name not in FREE and (wanted := getattr(given, field.name)) != (before := getattr(begun, field.name)):
            raise ValueError(
                f"{options.resume} was begun with --{field.name.replace('_', '-')} {before}, not {wanted}; "
                "leave the option out beside --resume, or begin another run"
            )
    return given


def begun_with(kind: type[_Options], path: Path) -> _Options:
    """The options of the run in the folder ``path``. Raises ``ValueError`` for a folder of no such run."""
    content = RunFolder.existing(path).read_json(CONFIG)
    try:
        given = {name: value for name, value in content["options"].items() if name not in FREE}
        options: _Options = _rebuilt(kind, given | {"resume": path, "run_dir": path})
    except (AttributeError, KeyError, TypeError) as error:
        script = Path(sys.argv[0]).name
        raise ValueError(f"{path} is no run folder of {script}: {type(error).__name__}: {error}") from None
    return options


def _rebuilt(kind: Any, content: Mapping[str, Any]) -> Any:
    """A dataclass from what JSON made of it."""
    hints = get_type_hints(kind)
    return kind(**{name: _as_hinted(hints[name], value) for name, value in content.items()})


def _as_hinted(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return _rebuilt(hint, value)
    if isinstance(value, str) and Path in (hint, *get_args(hint)):
        return Path(value)
    return tuple(_as_hinted(None, item) for item in value) if isinstance(value, list) else value


def folder_of(options: ResumableOptions, default: Path, console: Console, last: str = EVALUATION) -> RunFolder | None:
    """The folder of a run that begins or goes on; None, with a word, where it is finished.

    ``last`` is the file that is written last.
    """
    if options.resume is None:
        return RunFolder(options.run_dir or default)
    folder = RunFolder.existing(options.resume)
    if (folder.path / last).is_file():
        console.print(f"{folder.path} is finished; {last} holds all of it", markup=False, highlight=False)
        return None
    return folder


@contextlib.contextmanager
def going_on(
    folder: RunFolder, options: ResumableOptions, record: Mapping[str, Any], console: Console
) -> Iterator[tuple[Checkpoints, Interruption]]:
    """Hold the folder while a run that begins or goes on is in it; gives its checkpoints, gone after a good end.

    ``record`` is what ``config.json`` is to hold; where the run goes on, what has changed is added. A run that is
    stopped by a signal says how to go on.
    """
    if options.resume is None:
        folder.create()
        folder.write_json(CONFIG, record)
    else:
        begun, now = folder.read_json(CONFIG), json.loads(json.dumps(record, default=str))
        if begun.get("git_commit") != now.get("git_commit"):
            told = f"{folder.path} was begun by another version of this program; see its {CONFIG}"
            console.print(told, style="yellow", markup=False, highlight=False)
        again = {name: now.get(name) for name in ("command", "python", "versions", "git_commit", "hardware")}
        folder.write_json(CONFIG, begun | {"continued": [*begun.get("continued", ()), again]})
    settings = {name: value for name, value in dataclasses.asdict(options).items() if name not in FREE}  # type: ignore[call-overload]
    with folder.hold(), Interruption() as interruption:
        checkpoints = Checkpoints(
            folder.path / "checkpoints", settings, options.checkpoint_every, growing=folder.growing
        )
        try:
            yield checkpoints, interruption
        except KeyboardInterrupt:
            again_by = f"stopped; go on with: python {sys.argv[0]} --resume {folder.path}"
            console.print(again_by, markup=False, highlight=False, soft_wrap=True)
            raise
        checkpoints.clear()
