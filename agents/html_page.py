"""One self-contained HTML page: text, tables, drawings and pictures, for screen, phone and paper, light and dark."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from gan_backbones.files import write_atomically

COLOURS = ("#3b82d6", "#e0752d", "#2f9e62", "#c24f8b", "#8a6fd1", "#9a8433")
"""Of curves: told apart on white and on black."""

_INK = "#010203"  # stands for the colour of the text around the drawing
_STYLE: Any = {
    "font.size": 11,
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
}

_CSS = """
:root{color-scheme:light dark;--ink:#1c1f24;--soft:#5b6470;--line:#d9dde3;--paper:#fff;--card:#f6f7f9;--link:#1f5fb8}
@media (prefers-color-scheme:dark){:root{--ink:#e7e9ec;--soft:#a3abb6;--line:#363c45;--paper:#14171b;--card:#1d2127;
--link:#8ab8ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.6 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:.5rem 0 1rem}
h2{font-size:1.35rem;line-height:1.3;margin:3rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem}
p,li{max-width:46rem}
a{color:var(--link)}
nav{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;margin:1.5rem 0}
nav ol{margin:0;padding-left:1.4rem;columns:2 18rem}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:1.25rem 1.5rem;margin:1rem 0}
figure{margin:0;break-inside:avoid}
figure svg,figure img{display:block;max-width:100%;height:auto}
figure svg{width:100%}
figure img{border-radius:.25rem}
figcaption{color:var(--soft);font-size:.9rem;line-height:1.45;margin-top:.4rem}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;font-size:.95rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);font-size:.9rem;padding-bottom:.4rem}
th,td{padding:.35rem .75rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left;padding-left:0;white-space:nowrap}
th{font-weight:600}
.note{border-left:.25rem solid #e0752d;background:var(--card);padding:.6rem 1rem;margin:1rem 0;max-width:46rem}
code{background:var(--card);padding:.1em .3em;border-radius:.2rem;font-size:.9em;overflow-wrap:anywhere}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--card:#fff;--link:#000}
body{font-size:10pt}main{max-width:none;padding:0}nav{display:none}h2{break-after:avoid;margin-top:1.5rem}
.scroll{overflow:visible}tr{break-inside:avoid}.row{grid-template-columns:repeat(auto-fit,minmax(8cm,1fr))}}
"""


class Page:
    """Sections in order. Text may hold ``<b>``, ``<i>`` and ``<code>``; everything else is for the caller to escape."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._head: list[str] = []
        self._sections: list[tuple[str, list[str]]] = []

    @property
    def _parts(self) -> list[str]:
        return self._sections[-1][1]

    def lead(self, items: Sequence[str], note: str = "") -> None:
        """What stands above the table of contents, whenever it is told: a note and a list."""
        self._head = [f'<p class="note">{note}</p>'] if note else []
        self._head.append("<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>")

    def section(self, title: str) -> None:
        """Begin a section; everything that is added belongs to it."""
        self._sections.append((title, []))

    def heading(self, title: str) -> None:
        """A heading within the section."""
        self._parts.append(f"<h3>{html.escape(title)}</h3>")

    def text(self, *paragraphs: str) -> None:
        """Paragraphs."""
        self._parts.extend(f"<p>{paragraph}</p>" for paragraph in paragraphs)

    def note(self, text: str) -> None:
        """A paragraph that must not be overlooked."""
        self._parts.append(f'<p class="note">{text}</p>')

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> None:
        """The first column is on the left, numbers on the right; a wide table scrolls by itself."""
        above = f"<caption>{caption}</caption>" if caption else ""
        top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
        table = f"<table>{above}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
        self._parts.append(f'<div class="scroll" tabindex="0">{table}</div>')

    def row(self, *figures: str) -> None:
        """Figures of :func:`drawing` and :func:`picture`, beside each other where there is room, else below."""
        self._parts.append(f'<div class="row">{"".join(figures)}</div>')

    def get_state(self) -> dict[str, Any]:
        """All that was added so far, in plain values."""
        return {"head": list(self._head), "sections": [[title, list(parts)] for title, parts in self._sections]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`get_state` gave."""
        self._head = list(state["head"])
        self._sections = [(title, list(parts)) for title, parts in state["sections"]]

    def write(self, path: Path) -> None:
        """The page as one file."""
        links = "".join(
            f'<li><a href="#s{index}">{html.escape(title)}</a></li>' for index, (title, _) in enumerate(self._sections)
        )
        sections = "".join(
            f'<section id="s{index}"><h2>{html.escape(title)}</h2>{"".join(parts)}</section>'
            for index, (title, parts) in enumerate(self._sections)
        )
        content = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{html.escape(self._title)}</title><style>{_CSS}</style></head><body><main>"
            f"<h1>{html.escape(self._title)}</h1>{''.join(self._head)}"
            f'<nav aria-label="Contents"><ol>{links}</ol></nav>{sections}</main></body></html>\n'
        )
        write_atomically(path, content.encode())


def drawing(draw: Callable[[Axes], Any], caption: str, file: Path, *, size: tuple[float, float] = (5.6, 3.4)) -> str:
    """What ``draw`` puts on axes, as a figure of the page and as an SVG file of its own; ``size`` in inches."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": file.name}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    write_atomically(file, text.replace(_INK, "#000000").encode())
    label = html.escape(re.sub(r"<[^>]+>", "", caption), quote=True)
    inline = text.replace(_INK, "currentColor").replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    inline = re.sub(r"<metadata>.*?</metadata>", "", inline, flags=re.DOTALL)
    for side in ("width", "height"):  # the page decides how large it is; the view box keeps its proportions
        inline = re.sub(rf'(<svg [^>]*?) {side}="[^"]*pt"', r"\1", inline, count=1)
    return f"<figure>{inline}<figcaption>{caption}</figcaption></figure>"


def picture(pixels: NDArray[np.uint8], caption: str, file: Path, *, width: int | None = None) -> str:
    """``(height, width, 3)`` bytes as a figure of the page and as a PNG file; ``width`` in CSS pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    write_atomically(file, buffer.getvalue())
    label = html.escape(re.sub(r"<[^>]+>", "", caption), quote=True)
    shown = pixels.shape[1] if width is None else width
    source = base64.b64encode(buffer.getvalue()).decode()
    image = f'<img src="data:image/png;base64,{source}" alt="{label}" width="{shown}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
