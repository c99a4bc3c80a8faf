"""What builds the documentation lies in ``docs/tools``, outside the packages."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / "docs" / "tools"


@pytest.fixture
def docs_tool(monkeypatch: pytest.MonkeyPatch):
    """``docs_tool(name)`` imports a module of ``docs/tools``."""
    monkeypatch.syspath_prepend(TOOLS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load
