"""What command lines share that can go on with a run: ``--resume RUN_DIR``, and the options it was begun with."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

import tyro
from rich.console import Console

from agents.checkpoint import Checkpoint, Checkpoints, fingerprints, naming
from agents.interruption import Interruption
from agents.run_folder import PROVENANCE, RunFolder
from gan_backbones.data import DataSet
from gan_env.shards import GivenUpError

FREE = ("checkpoint_every", "cluster", "progress", "resume", "run_dir")
"""Options that may differ when a run goes on."""
CONFIG, EVALUATION = "config.json", "evaluation.json"


class GoingOnOptions(Protocol):
    """A dataclass of options of a script that can go on."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def resume(self) -> Path | None: ...

    @property
    def run_dir(self) -> Path | None: ...


class ResumableOptions(GoingOnOptions, Protocol):
    """And of one whose run leaves checkpoints."""

    @property
    def checkpoint_every(self) -> float | None: ...


_Options = TypeVar("_Options", bound=GoingOnOptions)


def parse_options(kind: type[_Options], description: str | None, fixed: Collection[str] | None = None) -> _Options:
    """The command line's options; beside ``--resume`` those that the run was begun with.

    ``fixed`` are the options that may not differ then, by default all but :data:`FREE`. Raises ``ValueError``, in one
    line, for a folder of no such run, and for an option that is another than then.
    """
    options = tyro.cli(kind, description=description)
    if options.resume is None:
        return options
    begun = begun_with(kind, options.resume)
    given = tyro.cli(kind, description=description, default=begun)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in FREE] if fixed is None else fixed
    for name in names:
        if (wanted := getattr(given, name)) != (before := getattr(begun, name)):
            raise ValueError(
                f"{options.resume} was begun with --{name.replace('_', '-')} {before}, not {wanted}; "
                "leave the option out beside --resume, or begin another run"
            )
    return given


def begun_with(kind: type[_Options], path: Path) -> _Options:
    """The options of the run in the folder ``path``, as they were last where some may differ. Raises ``ValueError`` for
    a folder of no such run."""
    content = RunFolder.existing(path).read_json(CONFIG)
    try:
        last = content["options"]
        for call in content.get("continued", ()):
            last = call.get("options", last)
        given = {name: value for name, value in last.items() if name not in ("resume", "run_dir")}
        options: _Options = dataclasses.replace(_rebuilt(kind, given), resume=path, run_dir=path)
    except (AttributeError, KeyError, TypeError) as error:
        script = Path(sys.argv[0]).name
        raise ValueError(f"{path} is no run folder of {script}: {type(error).__name__}: {error}") from None
    return options


def _rebuilt(kind: Any, content: Mapping[str, Any]) -> Any:
    """A dataclass from what JSON made of it. Raises ``TypeError``, with the name, for a value of another type."""
    hints = get_type_hints(kind)
    return kind(**{name: _as_hinted(hints[name], value, name) for name, value in content.items()})


def _as_hinted(hint: Any, value: Any, name: str) -> Any:
    arguments = get_args(hint)
    if get_origin(hint) is UnionType:
        for one in arguments:
            with contextlib.suppress(TypeError):
                return _as_hinted(one, value, name)
    elif dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _rebuilt(hint, value)
    elif get_origin(hint) is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(_as_hinted(one, item, name) for one, item in zip(kinds, value, strict=True))
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif get_origin(hint) is Literal:
        if value in arguments:
            return value
    elif type(value) is hint or (hint is float and type(value) is int):  # no flag is a number
        return value
    raise TypeError(f"{name} is {value!r}, not {getattr(hint, '__name__', hint)}")


def folder_of(options: GoingOnOptions, default: Path, console: Console, last: str = EVALUATION) -> RunFolder | None:
    """The folder of a run that begins or goes on; None, with a word, where it is finished.

    ``last`` is the file that is written last.
    """
    if options.resume is None:
        return RunFolder(options.run_dir or default)
    folder = RunFolder.existing(options.resume)
    if (folder.path / last).is_file():
        console.print(f"{folder.path} is finished; its {last} holds every number", markup=False, highlight=False)
        return None
    return folder


@contextlib.contextmanager
def going_on(
    folder: RunFolder,
    options: ResumableOptions,
    record: Mapping[str, Any],
    console: Console,
    settings: Mapping[str, Any] | None = None,
    data: Sequence[DataSet] = (),
) -> Iterator[tuple[Checkpoint | None, Checkpoints, Interruption]]:
    """Hold the folder while a run that begins or goes on is in it.

    Gives the checkpoint that it goes on from, none where it begins, with a word on that, and its checkpoints, which
    are gone after a good end. Nothing in the folder may be open before.

    ``record``, a :func:`~agents.run_folder.provenance` and the ``options`` among it, is what ``config.json`` is to
    hold; where the run goes on, what has changed is added. ``settings`` is what checkpoints must agree with, by default
    the options; so must the content of ``data``. A run that is stopped by a signal or a loss of its workers says how to
    go on. Raises ``ValueError``, in one line, where it would go on differently, and where the checkpoint does not fit.
    """
    if settings is None:
        settings = dict(_decisive(record["options"]))

    def say(problem: str) -> None:
        console.print(problem, style="yellow", markup=False, highlight=False)

    place, every = folder.path / "checkpoints", options.checkpoint_every
    checkpoints = Checkpoints(place, {**settings, **fingerprints(data)}, every, growing=folder.growing)
    if options.resume is None:
        folder.create()
        folder.write_json(CONFIG, record)
    with folder.hold(), Interruption() as interruption:
        if options.resume is not None:
            _check(folder, record)
            again = {name: value for name, value in record.items() if name in PROVENANCE}
            folder.note_continuation(again, say)
        saved = checkpoints.load(say)
        if options.resume is not None:
            begins = "no checkpoint was saved yet: beginning anew"
            console.print(begins if saved is None else f"going on from step {saved.step}", highlight=False)
        try:
            with naming(saved):
                yield saved, checkpoints, interruption
        except (KeyboardInterrupt, GivenUpError):
            again_by = f"stopped; go on with: python {sys.argv[0]} --resume {folder.path}"
            console.print(again_by, markup=False, highlight=False, soft_wrap=True)
            raise
        checkpoints.clear()


def _check(folder: RunFolder, record: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where what options do not say is another than when the run was begun."""
    begun, now = folder.read_json(CONFIG), json.loads(json.dumps(dict(record), default=str))
    names = [name for name in now if name not in (*PROVENANCE, "options")]
    missing = [name for name in names if name not in begun]
    if missing:
        script = Path(sys.argv[0]).name
        raise ValueError(f"{folder.path} is no run folder of {script}: its {CONFIG} has no {missing[0]}")
    changed = [name for name in names if _decisive(begun[name]) != _decisive(now[name])]
    if changed:
        raise ValueError(
            f"this program's defaults are no longer those that {folder.path} was begun with ({', '.join(changed)}); "
            f"go on with its version {begun.get('git_commit')}, or begin another run"
        )


def _decisive(value: Any) -> Any:
    return {name: part for name, part in value.items() if name not in FREE} if isinstance(value, dict) else value
