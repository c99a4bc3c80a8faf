"""One HTML file that needs nothing else, neither network nor scripts: sections, panels of figures, pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from importlib import resources

from agents.page.markup import Markup, join, tag

_STYLES = ("palette.css", "chart.css", "page.css")


class Page:
    """What is asked, links to the sections, and the sections in order. Text that is no :class:`Markup` is escaped."""

    def __init__(self, title: str, question: str) -> None:
        self._title, self._question = title, question
        self._sections: list[tuple[str, list[str], str | None]] = []

    def section(self, title: str, *parts: str, class_: str | None = None) -> list[str]:
        """Begin a section, under a title of its own; gives its parts, to which more can be added at any time."""
        content = list(parts)
        self._sections.append((title, content, class_))
        return content

    def add(self, *parts: str, section: str | None = None) -> None:
        """More of the section that was begun last, or of the one with this title."""
        own = self._sections[-1] if section is None else next(one for one in self._sections if one[0] == section)
        own[1].extend(parts)

    def get_state(self) -> list[tuple[str, list[tuple[bool, str]], str | None]]:
        """All sections so far, in plain values: of each part, whether it is markup, and its text."""
        return [
            (title, [(isinstance(part, Markup), str(part)) for part in parts], class_)
            for title, parts, class_ in self._sections
        ]

    def set_state(self, state: Iterable[tuple[str, Iterable[tuple[bool, str]], str | None]]) -> None:
        """Go on from what :meth:`get_state` gave."""
        self._sections = [
            (title, [Markup(text) if markup else text for markup, text in parts], class_)
            for title, parts, class_ in state
        ]

    def render(self) -> str:
        """The file."""
        styles = (resources.files("agents.page").joinpath(name).read_text(encoding="utf-8") for name in _STYLES)
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("link", rel="icon", href="data:,"),
            tag("title", self._title),
            tag("style", Markup("".join(styles))),
        )
        links = (tag("a", title, href=f"#{_anchor(title)}") for title, _, _ in self._sections)
        header = tag(
            "header",
            tag("p", self._title, class_="kicker"),
            tag("h1", self._question),
            tag("nav", *links, aria_label="Contents"),
        )
        sections = (
            tag("section", tag("h2", title), *parts, id=_anchor(title), class_=class_)
            for title, parts, class_ in self._sections
        )
        skip = tag("a", "Skip to the results", href=f"#{_anchor(self._sections[0][0])}", class_="skip")
        body = tag("body", skip, header, tag("main", *sections))
        return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def figure(drawn: str, *caption: str, key: str = "") -> Markup:
    """A chart or an image with its legend and its caption, which stands on top."""
    return tag("figure", drawn, key, tag("figcaption", *caption))


def panels(figures: Iterable[str], class_: str = "") -> Markup:
    """Figures side by side, as many as fit; ``many`` are smaller, ``wide`` ones larger."""
    return tag("div", join(figures), class_=f"panels {class_}".strip())


def image(content: bytes, alt: str, size: tuple[int, int], kind: str = "png") -> Markup:
    """A picture within the page; ``content`` is a file of MIME type image/``kind``, ``size`` its pixels (x, y)."""
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return tag("img", src=source, alt=alt, width=size[0], height=size[1], loading="lazy")


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
