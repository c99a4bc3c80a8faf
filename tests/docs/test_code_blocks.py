"""What a page tells the reader to type works: Python blocks run, commands exist and take their options."""

import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("run_blocks.py")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
LANGUAGES = {"python", "bash", "text"}
MODULES = {"pip", "venv", "rl_zoo3.train"}
"""What ``python -m`` is told to run."""
blocks = runpy.run_path(str(RUNNER), run_name="run_blocks")["blocks"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def run_page(path, name, folder, cache):
    """The page's Python blocks, in a process and a folder of their own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GANBALANCE_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(RUNNER), str(path), name]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("page", "name"),
    [pair for pair in zip(PAGES, NAMES, strict=True) if "\n```python\n" in pair[0].read_text()],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_python_blocks_run(page, name, tmp_path, session_cache):
    done = run_page(page, name, tmp_path, session_cache)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("block", "line", "message"),
    [
        ("x = 1\n\nunknown", 8, "NameError"),
        ("import json\n\njson.loads('')", 8, "JSONDecodeError"),
        ("x =", 6, "Syntax"),
    ],
)
def test_a_block_that_fails_names_page_and_line(block, line, message, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n```python\n```\n```python\n{block}\n```\n")
    done = run_page(page, "docs/page.md", tmp_path, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"docs/page.md:{line}: {message}")


def test_blocks_share_a_namespace(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 1\n```\n\n```text\nnot code\n```\n\n```python\nopen('out', 'w').write(str(x + 1))\n```\n"
    )
    assert run_page(page, "page.md", tmp_path, tmp_path).returncode == 0
    assert (tmp_path / "out").read_text() == "2"


@pytest.mark.parametrize(("page", "name"), list(zip(PAGES, NAMES, strict=True)), ids=lambda value: str(value)[-20:])
def test_every_block_says_what_it_is(page, name):
    assert page.read_text().count("```") == 2 * len(blocks(page.read_text())), "a fence that nothing closes"
    for language, line, _ in blocks(page.read_text()):
        assert language in LANGUAGES, f"{name}:{line}: write one of {LANGUAGES} after the fence, not {language!r}"


def commands():
    """``(place, command)`` of every line of a shell block, and of every script's or target's call within a sentence."""
    for page, name in zip(PAGES, NAMES, strict=True):
        text = page.read_text()
        for language, line, source in blocks(text):
            if language == "bash":
                lines = enumerate(source.replace("\\\n", "\0").splitlines(), start=line)
                yield from ((f"{name}:{number}", one.replace("\0", " ")) for number, one in lines if one.strip())
        prose = re.sub(r"^```.*?^```$", lambda match: "\n" * match[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
        for match in re.finditer(r"`((?:python scripts/|make |tensorboard )[^`]+)`", prose):
            yield f"{name}:{prose.count(chr(10), 0, match.start()) + 1}", match[1]
    for script in sorted((ROOT / "scripts").glob("*.py")):
        for match in re.finditer(r"^(?:Example: |    )(python scripts/.+)$", script.read_text(), re.MULTILINE):
            yield f"scripts/{script.name}", match[1]


COMMANDS = list(commands())


def check(command, monkeypatch, script_parses):
    """Raise AssertionError unless a command is one that works here."""
    words = [word for word in shlex.split(command, comments=True) if not word.startswith("PYTHONPATH=")]
    for word in words:
        assert not word.startswith("examples/") or (ROOT / word).is_file(), f"{word} does not exist"
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        assert set(words[1:]) <= TARGETS, f"targets are {TARGETS}"
    elif program == "tensorboard":
        assert importlib.util.find_spec("tensorboard") is not None
    elif program == "python" and words[1].startswith("scripts/"):
        script_parses(words[1], words[2:])
    elif program == "python" and words[1] == "-c":
        subprocess.run([sys.executable, "-c", words[2]], cwd=ROOT, check=True, capture_output=True, timeout=60)
    elif program == "python" and words[1].startswith("path/to/"):
        pass  # somebody else's script
    elif program == "python" and words[1].startswith("examples/"):
        compile((ROOT / words[1]).read_text(), words[1], "exec")
    else:
        assert program == "python" and words[1] == "-m" and words[2] in MODULES, "no check knows this kind of command"


class Parsed(Exception):
    """The options were taken; nothing else has happened."""


@pytest.fixture
def script_parses(monkeypatch):
    """``script_parses(path, arguments)``: run a script up to and with the parsing of its command line."""
    real = tyro.cli

    def parse(*args, **kwargs):
        real(*args, **kwargs)
        raise Parsed

    def run(path, arguments):
        monkeypatch.setattr(tyro, "cli", parse)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        monkeypatch.syspath_prepend(str((ROOT / path).parent))  # as for a script that is run
        try:
            runpy.run_path(str(ROOT / path), run_name="__main__")
        except Parsed:
            return
        except SystemExit as stop:
            if stop.code in (0, None) and "--help" in arguments:
                return
        raise AssertionError(f"{path} does not take {arguments}")

    return run


@pytest.mark.parametrize(("place", "command"), COMMANDS, ids=[place for place, _ in COMMANDS])
def test_commands_exist_and_take_their_options(place, command, monkeypatch, script_parses):
    check(command, monkeypatch, script_parses)


@pytest.mark.parametrize(
    "command",
    [
        "make nothing",
        "python scripts/train_agent.py --algorithm dqn",
        "python scripts/train_agent.py --seed one",
        "python -m nothing",
        "curl x",
    ],
)
def test_commands_that_do_not_work_are_found(command, monkeypatch, script_parses):
    with pytest.raises(AssertionError):
        check(command, monkeypatch, script_parses)


def test_there_are_commands_of_every_kind():
    assert len(COMMANDS) > 10
    for start in ("make ", "python scripts/train_agent.py", "tensorboard", "python -c", ".venv/bin/python -m pip"):
        assert any(command.startswith(start) for _, command in COMMANDS), start
