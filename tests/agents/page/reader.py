"""HTML read with a parser."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Checks nesting and collects elements and text."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.problems = [], [], []
        self.text = ""

    def handle_starttag(self, name, attributes):
        names = [key for key, _ in attributes]
        if len(set(names)) < len(names):
            self.problems.append(f"{name} has an attribute twice")
        self.elements.append((name, dict(attributes), [one[0] for one in self.open]))
        if name not in VOID:
            self.open.append((name, self.getpos()))

    def handle_endtag(self, name):
        if not self.open or self.open[-1][0] != name:
            self.problems.append(f"</{name}> at {self.getpos()} closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1][0] != "style":
            self.text += data

    def named(self, name):
        return [attributes for one, attributes, _ in self.elements if one == name]


def read(page):
    """The elements of a page that is well formed, needs nothing from elsewhere and runs nothing."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open and not reader.problems
    assert page.startswith("<!DOCTYPE html>") and page.count("<html") == 1
    assert not re.search(r"https?://|@import|url\(", page), "nothing is loaded from anywhere"
    assert not reader.named("script")
    for attributes in reader.named("img"):
        assert attributes["src"].startswith("data:image/") and ";base64," in attributes["src"] and attributes["alt"]
    ids = [one["id"] for _, one, _ in reader.elements if "id" in one]
    assert len(ids) == len(set(ids))
    for attributes in reader.named("a"):
        assert attributes["href"].removeprefix("#") in ids
    return reader
