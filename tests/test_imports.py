"""The rooms and the one direction between them, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("scripts", "agents", "gan_env", "gan_backbones")
"""Highest first: a room imports itself and lower ones."""
LONGEST_FILE = 350
FORBIDDEN = {"gan_backbones": {"gymnasium", "gym", "stable_baselines3"}, "gan_env": {"stable_baselines3"}}

FILES = sorted(file.relative_to(ROOT) for room in ROOMS for file in (ROOT / room).rglob("*.py"))


def imported_packages(source: str) -> set[str]:
    """Top-level packages of every import, wherever in the file it stands."""
    packages = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add("(relative)" if node.level else str(node.module).split(".")[0])
    return packages


def test_the_reader_finds_every_kind_of_import():
    source = "import a.b, c\nfrom d.e import f\ndef g():\n    from h import i\nfrom . import j\n"
    assert imported_packages(source) == {"a", "c", "d", "h", "(relative)"}


def test_every_room_has_files():
    assert {file.parts[0] for file in FILES} == set(ROOMS)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_go_down(file):
    packages = imported_packages((ROOT / file).read_text())
    room = file.parts[0]
    higher = set(ROOMS[: ROOMS.index(room)])
    assert not packages & (higher | FORBIDDEN.get(room, set()) | {"tests"})
    assert "(relative)" not in packages, "imports are absolute, so that this test can read them"


def test_scripts_do_not_import_each_other():
    names = {file.stem for file in FILES if file.parts[0] == "scripts"}
    for file in (ROOT / "scripts").rglob("*.py"):
        assert not imported_packages(file.read_text()) & (names | {"scripts"})


@pytest.mark.parametrize("file", FILES, ids=str)
def test_files_stay_short(file):
    assert len((ROOT / file).read_text().splitlines()) <= LONGEST_FILE
