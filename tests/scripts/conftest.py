"""Scripts, run within this process as their command lines would run them."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """``run_script(name, *arguments)`` in an empty folder; gives the exit status."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *arguments: str) -> int:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        try:
            module.fail_in_one_line(module.main)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return call
