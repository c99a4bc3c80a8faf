"""Command lines of the scripts, with one to four options spoilt, up to where the work would begin."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from fuzz_parts.garbage import shown, word
from fuzz_parts.verdict import Case, require, scripts_folder
from gan_backbones import BACKBONES, LOSSES
from gan_env import KNOBS, SUITES
from gan_env.knobs import ACTION_TYPES

_CHEAP_DATA = ("ring", "grid", "digits")


class BegunError(BaseException):
    """The options were taken."""


def _begin(*arguments: object, **options: object) -> None:
    raise BegunError


def _load_cheap(name: str, *arguments: Any, **options: Any) -> Any:
    """A data set that is there at once; any other one would take minutes."""
    from gan_env.quality import cached_data

    if name.partition(":")[0].split("+")[0] not in (*_CHEAP_DATA, "folder"):
        raise BegunError
    resolution = options.get("resolution", arguments[0] if arguments else None)
    return cached_data(name, resolution, None, False)


@dataclass(frozen=True)
class Script:
    """A command line that is right, and where its work begins."""

    name: str
    arguments: tuple[str, ...] = ()
    stand_ins: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    """By the name in the script: what is called in place of it."""


_PROVENANCE: dict[str, Callable[..., Any]] = {"provenance": lambda device: {}}
SCRIPTS = (
    Script("train_agent", ("--suite", "ring"), {"PolicyTraining": _begin, "train_bandit": _begin}),
    Script(
        "train_gan",
        ("--data", "ring", "--backbone", "mlp", "--updates", "40"),
        {"cached_data": _load_cheap, "run": _begin, **_PROVENANCE},
    ),
    Script(
        "train_ral",
        ("--data", "digits", "--resolution", "16"),
        {"load_data": _load_cheap, "Grader": lambda *a, **o: None, "run": _begin, **_PROVENANCE},
    ),
    Script("latent_report", ("--data", "digits", "--quick"), {"load_data": _begin}),
    Script("compare", ("--suite", "ring"), {"run_folder": _begin}),
    Script("evaluate", ("pictures",), {"Subject": _begin, "load_data": _load_cheap}),
    Script("report", ("nowhere",)),
    Script("export_policy", ("nowhere",)),
    Script("best_static", ("--suite", "ring"), {"Evaluator": _begin}),
)
_KNOWN = (
    *SUITES,
    *BACKBONES,
    *LOSSES,
    *KNOBS,
    *ACTION_TYPES,
    *_CHEAP_DATA,
    "dqn",
    "ppo",
    "sac",
    "bandit",
    "x=1",
    "noop",
)


class CommandLines:
    """``script --option garbage ...``: status 0 or 2, one sentence on standard error, no trace."""

    def __init__(self, place: Path) -> None:
        self._place = place
        sys.path.insert(0, str(scripts_folder()))
        self._modules = {script.name: importlib.import_module(script.name) for script in SCRIPTS}
        sys.path.pop(0)
        self._flags = {name: _flags_of(vars(module)["Options"]) for name, module in self._modules.items()}

    def case(self, rng: random.Random) -> Case:
        script = rng.choice(SCRIPTS)
        spoilt: list[str] = []
        for _ in range(rng.choice((1, 1, 2, 4))):
            if rng.random() < 0.07:
                spoilt.append(word(rng))
                continue
            values = [
                rng.choice(_KNOWN) if rng.random() < 0.3 else word(rng) for _ in range(rng.choice((1, 1, 1, 0, 2)))
            ]
            spoilt += [rng.choice(self._flags[script.name]), *values]
        number = rng.randrange(2**32)
        return Case(f"{script.name} {shown(spoilt)}", lambda: self._run(script, spoilt, number))

    def _run(self, script: Script, spoilt: list[str], number: int) -> None:
        module = self._modules[script.name]
        place = self._place / f"{number:08x}"
        place.mkdir(exist_ok=True)
        errors = io.StringIO()
        back = Path.cwd()
        os.chdir(place)
        try:
            with (
                contextlib.ExitStack() as stack,
                contextlib.redirect_stderr(errors),
                mock.patch.object(sys, "argv", [f"{script.name}.py", *script.arguments, *spoilt]),
            ):
                for name, stand_in in script.stand_ins.items():
                    stack.enter_context(mock.patch.object(module, name, stand_in))
                module.fail_in_one_line(module.main)
        except BegunError:
            return
        except SystemExit as stop:
            require(stop.code in (0, 2), f"exit status {stop.code}: {errors.getvalue()}")
            said = errors.getvalue()
            require(stop.code == 0 or said.strip(), "refused without a word")
            own = [line for line in said.splitlines() if line.startswith("error: ")]
            require("Traceback" not in said and len(own) <= 1, f"not one line: {said}")
            if stop.code == 2:
                raise ValueError(said[-1000:]) from None
        finally:
            os.chdir(back)


def _flags_of(options: Any, prefix: str = "--") -> list[str]:
    """Every option's name on the command line, nested ones included."""
    flags = []
    for field in dataclasses.fields(options):
        name = prefix + field.name.replace("_", "-")
        flags.append(name)
        if field.default_factory is not dataclasses.MISSING and dataclasses.is_dataclass(
            made := field.default_factory()
        ):
            flags += _flags_of(made, name + ".")
        elif isinstance(field.default, bool):
            flags.append(f"{prefix}no-{name.removeprefix(prefix)}")
    return flags
