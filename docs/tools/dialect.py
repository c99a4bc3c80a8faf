"""From the dialect of this project's docstrings to Markdown."""

from __future__ import annotations

import re

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([\w.]+)`")
_ITEM = re.compile(r"^(``[\w, ]+``(?:, ``\w+``)*|[a-z_]+(?:, [a-z_]+)*): ")
_SECTION = re.compile(r"^(\w+)\n-{3,}\n", re.MULTILINE)


def to_markdown(docstring: str) -> str:
    """Cross-reference roles become code, underlined section names bold, lists of ``name: meaning`` lists.

    ``docstring`` comes without its indentation, as from ``inspect.cleandoc``.
    """
    text = _ROLE.sub(lambda match: f"`{_short(match)}`", docstring)
    text = _SECTION.sub(r"**\1**\n\n", text)
    return "\n\n".join(_with_items(paragraph) for paragraph in text.split("\n\n"))


def _short(match: re.Match[str]) -> str:
    return match[2].rpartition(".")[2] if match[1] else match[2]


def _with_items(paragraph: str) -> str:
    """A paragraph that begins with an item is a list of them; other lines carry on the item before."""
    lines = paragraph.split("\n")
    if not _ITEM.match(lines[0]):
        return paragraph
    return "\n".join(f"- {line}" if _ITEM.match(line) else f"    {line.strip()}" for line in lines)
