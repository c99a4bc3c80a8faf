"""Markup, numbers and charts, by themselves."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.page.charts import Axis, Chart, around, plot, standalone, whisker
from agents.page.markup import Markup, join, tag
from agents.page.numbers import count, duration, fixed, percent, short, significant, with_interval
from agents.report.figures import median_curve
from agents.statistics.crossed import Estimate


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "a<b & c", tag("b", ">")) == "<p>a&lt;b &amp; c<b>&gt;</b></p>"
    assert tag("img", alt='"x"', data_label=None, class_="y", aria_hidden="true") == (
        '<img alt="&quot;x&quot;" class="y" aria-hidden="true">'
    )
    assert join(["<", Markup("<br>")]) == "&lt;<br>" and isinstance(join([]), Markup)
    assert tag("line", x1=1.0, x2=0.126, y1=3) == '<line x1="1" x2="0.13" y1="3"></line>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fixed(-0.004), "0.00"),
        (fixed(-1.255, 1), "\u22121.3"),
        (significant(0.01234), "0.0123"),
        (significant(1234.5), "1234"),
        (significant(0.99996), "1.00"),
        (significant(12.345), "12.3"),
        (significant(0), "0"),
        (significant(1.5e-7), "1.50e\u22127"),
        (percent(0), "0\u00a0%"),
        (percent(0.001), "<1\u00a0%"),
        (percent(1), "100\u00a0%"),
        (count(1234567), "1\u202f234\u202f567"),
        (short(1.5e6), "1.5M"),
        (short(200), "200"),
        (short(-0.5), "\u22120.5"),
        (duration(75), "75\u00a0s"),
        (duration(720), "12\u00a0min"),
        (duration(12240), "3.4\u00a0h"),
        (with_interval(Estimate(0.5, -0.25, 1)), "0.50\u00a0[\u22120.25,\u00a01.00]"),
    ],
)
def test_numbers_are_written_as_on_paper(text, expected):
    assert text == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_and_within(low, width):
    high = low + width
    if not low < high or width < 1e-9 * abs(low):
        return
    axis = Axis(low, high, "x")
    values = [value for value, _ in axis.ticks()]
    assert 2 <= len(values) <= 11
    assert all(low - 1e-6 * width <= value <= high + 1e-6 * width for value in values)
    assert values == sorted(values)


def test_ticks_of_logarithmic_axes():
    assert [text for _, text in Axis(0.02, 300, "x", logarithmic=True).ticks()] == ["0.1", "1", "10", "100"]
    assert [text for _, text in Axis(0.2, 11, "x", logarithmic=True).ticks()] == ["0.3", "1", "3", "10"]
    assert [text for _, text in Axis(0.9, 6, "x", logarithmic=True).ticks()] == ["1", "2", "5"]
    assert [text for _, text in Axis(0.9, 1.3, "x", logarithmic=True).ticks()] == ["0.9", "1", "1.1", "1.2", "1.3"]
    powers = [text for _, text in Axis(-4.4, -0.8, "x", powers_of_ten=True).ticks()]
    assert powers == ["10\u207b\u2074", "10\u207b\u00b3", "10\u207b\u00b2", "10\u207b\u00b9"]
    assert [text for _, text in Axis(5e-5, 2e-3, "x", logarithmic=True).ticks()] == [
        "10\u207b\u2074",
        "3\u00d710\u207b\u2074",
        "0.001",
    ]
    assert Axis(1, 100, "x", logarithmic=True).share(10) == pytest.approx(0.5)


def test_axes_hold_their_values():
    axis = around([3.0, math.nan, 5.0, math.inf], "x")
    assert axis.low < 3 and 5 < axis.high < 6
    assert around([], "x").low < around([], "x").high and around([2.0], "x").low < 2
    logarithmic = around([0.0, 0.1, 10], "x", logarithmic=True)
    assert 0 < logarithmic.low < 0.1 and logarithmic.high > 10
    with pytest.raises(ValueError, match="cannot go from 1 to 1"):
        Axis(1, 1, "x")


def test_a_line_is_broken_where_it_is_not_finite():
    chart = Chart("t", "d", Axis(0, 4, "x"), Axis(0, 1, "y"))
    chart.line([(0, math.nan), (1, 0.0), (2, 1.0), (3, math.inf), (4, 0.5)], "s0", "name")
    (path,) = re.findall(r'd="([^"]+)"', chart.render())
    assert re.sub(r"[\d. ]+", "", path) == "MLM"
    first, second = re.match(r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)", path).groups()[1::2]
    assert float(first) > float(second), "up is more"


def test_charts_say_what_they_show():
    svg = Chart("Title <1>", "What it shows", Axis(0, 1, "x label"), Axis(0, 1, "y label")).render()
    assert "<title>Title &lt;1&gt;</title><desc>What it shows</desc>" in svg
    assert ">x label<" in svg and ">y label<" in svg


def test_a_plot_holds_its_curves_from_zero_up():
    chart, key = plot("t", {"a": iter([(1, 2.0), (10, math.nan)]), "b": [(4, 1.0)]}, "x", "y", references={"c": 4.0})
    assert key == [("s0", "a"), ("s1", "b"), ("reference", "c")]
    svg = chart.render()
    assert "<desc>y against x: a, b, c.</desc>" in svg and ">0<" in svg and ">10<" in svg
    (level,) = re.findall(r'd="M[\d.]+ ([\d.]+)L[\d.]+ \1" class="line reference"', svg)
    assert float(level) < 236 / 4, "the reference is near the top"
    plot("nothing", {"a": []}, "x", "y")[0].render()


def test_a_chart_is_a_file_of_its_own():
    chart, key = plot("t", {"a <1>": [(1, 2.0)], "b": [(4, 1.0)]}, "x", "y")
    root = ElementTree.fromstring(standalone(chart, key))
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("viewBox") == "0 0 360 272"
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-2:] == ["a <1>", "b"], "the legend is in it"
    assert "var(" not in standalone(chart) and "@media" not in standalone(chart), "any program can show it"


def test_a_whisker_lies_where_its_numbers_are():
    svg = whisker(Axis(0, 1, "p"), 0.5, 0.25, 2.0, (0.5,), "said")
    (line,) = re.findall(r"<line ([^>]*whisker-line[^>]*)>", svg)
    x1, x2 = (float(re.search(rf'{name}="([\d.]+)"', line)[1]) for name in ("x1", "x2"))
    assert (x1, x2) == (6 + 188 / 4, 194), "an end beyond the axis lies on its border"
    assert 'cx="100"' in svg and "<title>said</title>" in svg


def test_the_median_curve_is_that_of_logarithms_where_all_runs_are():
    curves = [[(0, 1.0), (10, 1.0)], [(0, 100.0), (10, 100.0)], [(5, 10.0), (20, 10.0)]]
    median = median_curve(curves)
    assert [x for x, _ in median] == [5, 10] and [y for _, y in median] == pytest.approx([10, 10])
    assert median_curve([[(0, 4.0), (2, 16.0)], [(0, 1.0), (1, 1.0), (2, 1.0)]])[1] == pytest.approx((1, math.sqrt(8)))
    assert median_curve([[(0, 1.0)], [(5, 1.0)]]) == []
