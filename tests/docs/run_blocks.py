"""Runs the Python blocks of one page in order in one namespace: ``python run_blocks.py PAGE NAME``.

Tracebacks name the page and its line. A block that fails ends the run with status 1.
"""

import ast
import importlib.util
import re
import sys
import traceback
from pathlib import Path

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[tuple[str, int, str]]:
    """Language, line number of the first line of code, and code of every fenced block."""
    return [(match[1], text[: match.start(2)].count("\n") + 1, match[2]) for match in FENCE.finditer(text)]


OTHERS = {"ray", "torchrl"}
"""Packages that are no dependencies; a block that needs one is run where it is installed and compiled elsewhere."""


def absent(source: str) -> set[str]:
    """Those of :data:`OTHERS` that the code imports and that are not installed."""
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    needed = {name.split(".")[0] for name in imported} & OTHERS
    return {name for name in needed if importlib.util.find_spec(name) is None}


def run(text: str, name: str) -> None:
    """Run the blocks of ``text``; lines are counted as in the page."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for language, line, source in blocks(text):
        if language == "python":
            code = compile("\n" * (line - 1) + source, name, "exec")
            if not absent(source):
                exec(code, namespace)


if __name__ == "__main__":
    page, name = sys.argv[1:]
    text = Path(page).read_text(encoding="utf-8")
    try:
        run(text, name)
    except BaseException as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
        lines += [error.lineno] if isinstance(error, SyntaxError) and error.filename == name else []
        traceback.print_exc()
        sys.exit(f"{name}:{lines[-1] if lines else '?'}: {type(error).__name__}: {error}")
