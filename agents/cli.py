"""What the command lines share: options as NAME=VALUE, lists of what is known, errors in one line."""

from __future__ import annotations

import ast
import functools
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from agents.interruption import Interrupted
from agents.presets import ALGORITHMS
from gan_backbones import BACKBONES, LOSSES
from gan_backbones.data import DATA_SETS, PATH_SETS
from gan_env import KNOBS, SUITES
from gan_env.knobs import ACTION_TYPES
from gan_env.observation import groups
from gan_env.reward import PRESETS as REWARDS
from gan_env.reward import TERMS
from gan_env.shards import GivenUpError


def fail_in_one_line(main: Callable[[], None]) -> None:
    """Run ``main``; a user's mistake (``ValueError``), or a disk or file that fails (``OSError``), becomes one line on
    standard error and exit status 2; processes or machines that were lost (``GivenUpError``) one line and status 1,
    since the same command may well succeed another time; a signal gives 128 and its number."""
    try:
        main()
    except (ValueError, OSError, GivenUpError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1 if isinstance(error, GivenUpError) else 2)
    except KeyboardInterrupt as interruption:
        print("interrupted", file=sys.stderr)
        sys.exit(interruption.exit_status if isinstance(interruption, Interrupted) else 130)


def run_subcommand(parts: Mapping[str, tuple[ModuleType, type]], description: str | None) -> None:
    """Run the part that the command line names: its module's ``run`` with options of its type.

    ``parts`` are a module, whose docstring is the help, and the dataclass of its options, by name.
    """
    kinds: list[Any] = [
        Annotated[options, tyro.conf.subcommand(name, description=module.__doc__)]
        for name, (module, options) in parts.items()
    ]
    chosen = tyro.cli(functools.reduce(operator.or_, kinds), description=description)
    (module,) = (module for module, options in parts.values() if options is type(chosen))
    module.run(chosen)


def parse_overrides(items: Iterable[str], flag: str) -> dict[str, Any]:
    """``NAME=VALUE`` items as a dictionary; values are Python literals, or else strings.

    Raises ``ValueError`` for an item of another form.
    """
    overrides: dict[str, Any] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator or not name.isidentifier():
            raise ValueError(f"{flag} takes NAME=VALUE, not {item!r}")
        try:
            overrides[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            overrides[name] = text
    return overrides


def join_data_dir(data: str | None, data_dir: Path | None) -> str | None:
    """``data`` with the folder given beside it: ``cifar10`` and ``DIR`` give ``cifar10:DIR``, in unions too.

    Raises ``ValueError`` when the folder belongs to nothing.
    """
    if data_dir is None:
        return data
    members = [] if data is None or ":" in data else data.split("+")
    if not set(members) & set(PATH_SETS):
        given = "no --data" if data is None else f"--data {data}"
        raise ValueError(f"--data-dir goes with --data {' or '.join(PATH_SETS)}, not with {given}")
    return "+".join(f"{member}:{data_dir}" if member in PATH_SETS else member for member in members)


def print_known() -> None:
    """Every name that an option takes."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    data = [f"{source.name}: {source.description}" for source in DATA_SETS.values()]
    data += [f"{source.name}:PATH: {source.description}" for source in PATH_SETS.values()]
    rows = {
        "--algo": [*ALGORITHMS, "bandit: over the latents of a frozen GAN (docs/latent.md)"],
        "--suite": [f"{suite.name}: {suite.description}" for suite in SUITES.values()],
        "--data": [*data, "IMAGES+IMAGES: several image sets as one, e.g. faces+photos"],
        "--backbone": list(BACKBONES),
        "--action-type": list(ACTION_TYPES),
        "--knobs": [f"{knob.name}: {knob.description}" for knob in KNOBS.values()],
        "--observation": list(groups()),
        "--reward": [*REWARDS, *(f"{term.name}=WEIGHT: {term.description}" for term in TERMS.values())],
        "--loss": list(LOSSES),
    }
    for option, values in rows.items():
        for index, value in enumerate(values):
            table.add_row(option if index == 0 else "", value)
    Console().print(table, highlight=False)
