"""A page with one of everything, and with names and numbers as long as they get."""

import io

import pytest
from PIL import Image

from agents.page import Page, figure, image, legend, listing, panels, plot, tag

LONG = "a_method_with_a_name_that_is_longer_than_most[reward=terminal,observation=absolute]"


@pytest.fixture(scope="session")
def specimen():
    buffer = io.BytesIO()
    Image.new("RGB", (264, 264), "grey").save(buffer, "JPEG")
    picture = image(buffer.getvalue(), "Grey.", (264, 264), "jpeg")
    page = Page("A <title>", "What is asked?")
    opening = page.section("First & last")
    curves = {LONG: [(1, 0.5), (20_000, 0.1)], "<b>": [(1, 0.25), (20_000, 0.2)]}
    chart, key = plot("Two curves", curves, "pulls", "reward", references={"best": 0.6})
    page.section("Figures", panels([figure(chart.render(), "A ", tag("b", "caption"), key=legend(key))]))
    page.add(panels([figure(picture, "Grey.")] * 3, "wide"), panels([figure(picture, "Grey.")] * 5, "many"))
    header = ("method", "FD", "precision", "recall", "density", "coverage", "reward", "images per image kept")
    page.section("Tables", listing("Numbers", header, [[LONG, *["12345.678"] * 7], ["a<b", *["1"] * 7]]))
    cell = "80.1%, true positive: fake called fake"
    page.add(listing("Sentences", ("images", "called fake", "called real"), [["fake", cell, cell]], "text wide"))
    opening += [tag("p", "said last", class_="answer"), tag("p", "Mind this.", class_="alert")]
    return page.render()
