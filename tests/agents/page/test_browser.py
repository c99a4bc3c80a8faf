"""Pages in a browser: they render without errors, show their pictures and fit; marked, and run where Chromium is."""

import html
import itertools
import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]
WIDTHS = (1280, 390)
PAGES = ("comparison", "specimen")
IMAGES, CHARTS = {"comparison": 18, "specimen": 8}, {"comparison": 32, "specimen": 1}
PROBE = """
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const visible = one => one.getBoundingClientRect().width > 0 && one.getBoundingClientRect().height > 0;
    return {
      width: frame.contentWindow.innerWidth,
      overflow: root.scrollWidth - root.clientWidth,
      images: [...page.images].map(one => one.complete && one.naturalWidth > 0 && visible(one)),
      charts: [...page.querySelectorAll("svg.chart")].map(visible),
      tiny: [...page.querySelectorAll("svg.chart text")].filter(one => one.getBoundingClientRect().height < 9).length,
      loaded: frame.contentWindow.performance.getEntriesByType("resource").map(one => one.name)
        .filter(name => !name.startsWith("data:")),
    };
  });
  document.body.replaceChildren(Object.assign(document.createElement("pre"), {textContent: JSON.stringify(frames)}));
});
"""


@pytest.fixture(scope="module")
def seen(page, specimen, tmp_path_factory):
    """What the browser made of each page at each width, and what it said."""
    folder = tmp_path_factory.mktemp("browser")
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(one)}"></iframe>'
        for one, width in itertools.product((page, specimen), WIDTHS)
    )
    (folder / "harness.html").write_text(f'<!DOCTYPE html><meta charset="utf-8"><script>{PROBE}</script>{frames}')
    command = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --virtual-time-budget=25000 --enable-logging=stderr --dump-dom"
    )
    done = subprocess.run(
        [BROWSER, *command.split(), f"--user-data-dir={folder / 'profile'}", (folder / "harness.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), done.stderr


def test_there_are_no_errors(seen):
    assert "CONSOLE" not in seen[1]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_everything_is_there_and_fits(seen, name, width):
    frame = seen[0][len(WIDTHS) * PAGES.index(name) + WIDTHS.index(width)]
    assert frame["width"] == width
    assert frame["overflow"] <= 0, "nothing scrolls sideways"
    assert len(frame["images"]) == IMAGES[name] and all(frame["images"])
    assert len(frame["charts"]) == CHARTS[name] and all(frame["charts"])
    assert frame["tiny"] == 0
    assert frame["loaded"] == []
