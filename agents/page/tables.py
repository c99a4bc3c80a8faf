"""Tables. On a phone each row becomes a card, so that nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from agents.page.markup import Markup, tag


@dataclass(frozen=True)
class Column:
    """A column: its heading, the cell of a row, and whether it is numbers, text, a picture or a name."""

    heading: str
    cell: Callable[[Any], str]
    class_: str = "number"
    """``number``, ``text``, ``picture`` or ``name``; also ``soft``, and ``wide``: a line of its own on a card."""
    note: str = ""
    """A second, smaller line of the heading."""
    scale: str = ""
    """Markup below the heading: the scale of a column of pictures."""


def table(
    caption: str, columns: Sequence[Column], rows: Iterable[Any], marked: Callable[[Any], bool] | None = None
) -> Markup:
    """One line for each of ``rows``, told apart where ``marked``.

    Roles are written out because the card layout takes them from the elements.
    """
    heads = [
        tag(
            "th",
            column.heading or tag("span", "drawn", class_="hidden"),
            *([tag("small", column.note)] if column.note else []),
            column.scale,
            scope="col",
            role="columnheader",
            class_=column.class_,
        )
        for column in columns
    ]
    lines = []
    for row in rows:
        cells = [
            tag(
                "th" if column.class_ == "name" else "td",
                column.cell(row),
                scope="row" if column.class_ == "name" else None,
                role="rowheader" if column.class_ == "name" else "cell",
                class_=column.class_,
                data_label=column.heading or None,
            )
            for column in columns
        ]
        lines.append(tag("tr", *cells, role="row", class_="marked" if marked is not None and marked(row) else None))
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *heads, role="row"), role="rowgroup"),
        tag("tbody", *lines, role="rowgroup"),
        role="table",
    )


def listing(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], class_: str = "number") -> Markup:
    """A table of cells as they stand: names in the first column, ``class_`` in the others."""
    names = Column(header[0], lambda row: tag("b", row[0]), "name")
    return table(caption, [names, *(Column(h, itemgetter(i), class_) for i, h in enumerate(header[1:], 1))], rows)
