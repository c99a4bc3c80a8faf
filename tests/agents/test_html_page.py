"""One page in one file: what is in it, and that it asks nobody for anything."""

import numpy as np
import pytest
from PIL import Image

from agents.html_page import Page, drawing, picture


@pytest.fixture
def page(tmp_path):
    page = Page("A <title>")
    page.section("First & last")
    page.text("Some <b>bold</b> text.")
    page.note("Mind this.")
    page.table(("name", "value"), [["a<b", 3], ["c", 4.5]], "What they are.")
    curve = drawing(lambda axes: axes.plot([0, 1], [2, 3], label="it"), 'A "curve".', tmp_path / "f" / "curve.svg")
    image = picture(np.full((4, 6, 3), 200, np.uint8), "Grey.", tmp_path / "f" / "grey.png", width=60)
    page.row(curve, image)
    page.lead(["found <i>this</i>"], "Preliminary.")
    page.write(tmp_path / "page.html")
    return (tmp_path / "page.html").read_text()


def test_it_holds_what_was_said(page):
    for part in ("A &lt;title&gt;", "First &amp; last", "<b>bold</b>", "a&lt;b", "What they are.", "<i>this</i>"):
        assert part in page, part
    assert page.index("Preliminary.") < page.index("<nav") < page.index("Mind this."), "the lead comes first"
    assert 'href="#s0"' in page and 'id="s0"' in page


def test_it_needs_nobody(page):
    assert "<script" not in page and "@import" not in page and "url(" not in page.replace("url(#", "")
    sources = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)


def test_drawings_take_the_colour_of_the_text_and_the_width_of_the_page(page):
    svg = page[page.index("<svg") : page.index("</svg>")]
    assert "currentColor" in svg and "#010203" not in page and 'aria-label="A &quot;curve&quot;."' in svg
    head = svg[: svg.index(">")]
    assert "viewBox" in head and " width=" not in head and " height=" not in head
    assert "<text" in svg, "text stays text"


def test_figures_are_files_too(page, tmp_path):
    assert Image.open(tmp_path / "f" / "grey.png").size == (6, 4) and 'width="60"' in page
    standalone = (tmp_path / "f" / "curve.svg").read_text()
    assert standalone.startswith("<svg") and "#000000" in standalone and "#010203" not in standalone


def test_equal_content_is_equal_to_the_byte(tmp_path):
    pages = [drawing(lambda axes: axes.plot([0, 1], [2, 3]), "C.", tmp_path / "a.svg") for _ in range(2)]
    assert pages[0] == pages[1]
