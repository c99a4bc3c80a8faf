"""One page in one file: what is in it, and that it asks nobody for anything."""

from tests.agents.page.reader import read


def test_it_is_whole_and_alone(specimen):
    reader = read(specimen)
    headings = [name for name, _, _ in reader.elements if name in ("h1", "h2")]
    assert headings == ["h1", "h2", "h2", "h2"]
    assert len(reader.named("img")) == 8 and len(reader.named("table")) == 2


def test_text_is_escaped(specimen):
    reader = read(specimen)
    for text in ("A <title>", "First & last", "a<b", "<b>"):
        assert text in reader.text
    assert "<title>A &lt;title&gt;</title>" in specimen


def test_a_section_can_be_filled_when_the_others_are_written(specimen):
    text = read(specimen).text
    assert text.index("What is asked?") < text.index("said last") < text.index("A caption")


def test_links_lead_to_the_sections(specimen):
    reader = read(specimen)
    assert [one["href"] for one in reader.named("a")] == ["#first-last", "#first-last", "#figures", "#tables"]


def test_every_cell_knows_its_column(specimen):
    cells = read(specimen).named("td")
    assert len(cells) == 2 * 7 + 2 and all(one["data-label"] and one["role"] == "cell" for one in cells)


def test_dark_is_for_screens_alone(specimen):
    assert (
        specimen.count("prefers-color-scheme: dark") == specimen.count("@media screen and (prefers-color-scheme") == 1
    )
