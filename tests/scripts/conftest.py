"""Scripts, run within this process as their command lines would run them."""

import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from agents import checkpoint, imitation
from agents.checkpoint import Checkpoints
from gan_env import SUITES, Suite, instances

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """``load_script(name)``: a script as a module."""

    monkeypatch.syspath_prepend(str(SCRIPTS))  # where a script finds its parts

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def tiny_suite(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a suite with hardly anything to train or to grade."""
    task = dataclasses.replace(SUITES["ring"].tasks[0], updates_per_step=1, decisions=3, grade_samples=128)
    suite = Suite("tiny", "for tests", (task,), held_out={"validation": 2, "test": 3})
    monkeypatch.setitem(instances._SUITES, suite.name, suite)
    monkeypatch.setattr(imitation, "GRADIENT_STEPS", 30)
    return suite.name


@pytest.fixture
def run_script(
    load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., int]:
    """``run_script(name, *arguments)`` in an empty folder; gives the exit status."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *arguments: str) -> int:
        module = load_script(name)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        try:
            module.fail_in_one_line(module.main)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return call


@pytest.fixture
def after_save(monkeypatch):
    """``after_save(act, before)``: ``act(number, step)`` after every checkpoint, as many as possible,
    and ``before(number, step)`` when its state is made and nothing is written."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", float("inf"))
    whole, saves = Checkpoints.save, []

    def after_save(act, before=lambda number, step: None) -> None:
        saves.clear()

        def save(self, step, state):
            def told():
                tree = state()
                before(len(saves) + 1, step)
                return tree

            path = whole(self, step, told)
            saves.append(step)
            act(len(saves), step)
            return path

        monkeypatch.setattr(Checkpoints, "save", save)

    return after_save
