"""Small charts as SVG. Colours are classes of the page's style: one drawing serves light, dark and print.

A chart is as wide as a phone and is laid out in a grid, so its text stays readable everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from agents.page.markup import Markup, join, tag
from agents.page.numbers import TIMES, short

WIDTH, HEIGHT = 360.0, 236.0
COMPACT = (270.0, 172.0)
"""For panels of which there are many."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 12.0, 10.0, 40.0

_FEW = 25
"""Up to so many points of a plot are shown each."""

SERIES = 8
"""Styles ``s0`` to ``s7``: colour and dash both tell them apart."""

Point = tuple[float, float]
Key = Sequence[tuple[str, str]]
"""Of a legend: style and name of each line."""


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` along one side of a chart."""

    low: float
    high: float
    label: str
    logarithmic: bool = False
    powers_of_ten: bool = False
    """Ticks are exponents and are written as 10 to their power."""

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.logarithmic and self.low <= 0):
            raise ValueError(f"axis {self.label!r} cannot go from {self.low} to {self.high}")

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1; what is outside lies on the border."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def ticks(self) -> list[tuple[float, str]]:
        """Three to seven round values within the axis, and how they are written."""
        decades = math.log10(self.high / self.low) if self.logarithmic else 0.0
        if decades < 0.5:
            step = _round_step((self.high - self.low) / 5)
            if self.powers_of_ten:
                step = max(1.0, math.ceil(step))
            first = math.ceil(self.low / step - 1e-9)
            values = [round(n * step, 10) + 0.0 for n in range(first, math.floor(self.high / step + 1e-9) + 1)]
        else:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            within = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 3 else (1,)
            values = [m * 10.0**power for power in powers for m in within]
            values = [value for value in values if self.low <= value * (1 + 1e-9) and value <= self.high * (1 + 1e-9)]
        return [(value, self._written(value)) for value in values]

    def _written(self, value: float) -> str:
        if self.logarithmic and value < 1e-3:
            mantissa, power = f"{value:.0e}".split("e")
            return ("" if mantissa == "1" else f"{mantissa}{TIMES}") + _power_of_ten(int(power))
        return _power_of_ten(value) if self.powers_of_ten else short(float(f"{value:.10g}"))


def around(values: Iterable[float], label: str, *, logarithmic: bool = False, powers_of_ten: bool = False) -> Axis:
    """An axis that holds all finite values, with a little room."""
    finite = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
    low, high = (min(finite), max(finite)) if finite else (0.1, 1.0)
    if logarithmic:
        room = max((high / low) ** 0.05, 1.15)
        return Axis(low / room, high * room, label, logarithmic=True)
    room = 0.06 * (high - low) or 0.5
    return Axis(low - room, high + room, label, powers_of_ten=powers_of_ten)


class Chart:
    """Lines over two axes. ``title`` and ``description`` are what a screen reader says."""

    def __init__(
        self, title: str, description: str, x: Axis, y: Axis, size: tuple[float, float] = (WIDTH, HEIGHT)
    ) -> None:
        self._title, self._description, self._x, self._y = title, description, x, y
        self.size = self._width, self._height = size
        self._marks: list[Markup] = []

    def line(self, points: Iterable[Point], style: str, name: str = "") -> None:
        """A line, broken where a value is not finite."""
        parts, pen = [], "M"
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                parts.append(f"{pen}{self._place_x(x):.1f} {self._place_y(y):.1f}")
                pen = "L"
            else:
                pen = "M"
        if parts:
            label = [tag("title", name)] if name else []
            self._marks.append(tag("path", *label, d="".join(parts), class_=f"line {style}"))

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], style: str) -> None:
        """The area between two lines."""
        there = zip(x, low, strict=True)
        back = reversed(list(zip(x, high, strict=True)))
        corners = " ".join(f"{self._place_x(a):.1f},{self._place_y(b):.1f}" for a, b in (*there, *back))
        self._marks.append(tag("polygon", points=corners, class_=f"band {style}"))

    def dot(self, x: float, y: float, style: str) -> None:
        if math.isfinite(y):
            self._marks.append(tag("circle", cx=self._place_x(x), cy=self._place_y(y), r=3.2, class_=f"dot {style}"))

    def upright(self, x: float, style: str = "mark") -> None:
        """A vertical line across the chart."""
        place = self._place_x(x)
        self._marks.append(tag("line", x1=place, x2=place, y1=_TOP, y2=self._height - _BOTTOM, class_=style))

    def drawing(self) -> list[Markup]:
        """What is within the SVG element."""
        return [tag("title", self._title), tag("desc", self._description), *self._grid(), *self._marks]

    def render(self) -> Markup:
        """The SVG element of a page."""
        return tag(
            "svg",
            *self.drawing(),
            viewBox=f"0 0 {self._width:g} {self._height:g}",
            class_="chart",
            role="img",
        )

    def _place_x(self, value: float) -> float:
        return _LEFT + self._x.share(value) * (self._width - _LEFT - _RIGHT)

    def _place_y(self, value: float) -> float:
        return self._height - _BOTTOM - self._y.share(value) * (self._height - _TOP - _BOTTOM)

    def _grid(self) -> list[Markup]:
        floor, end = self._height - _BOTTOM, self._width - _RIGHT
        parts = []
        for value, text in self._y.ticks():
            y = self._place_y(value)
            parts += [
                tag("line", x1=_LEFT, x2=end, y1=y, y2=y, class_="grid"),
                tag("text", text, x=_LEFT - 6, y=y + 4, class_="tick end"),
            ]
        for value, text in self._x.ticks():
            x = self._place_x(value)
            parts += [
                tag("line", x1=x, x2=x, y1=floor, y2=floor + 4, class_="axis"),
                tag("text", text, x=x, y=floor + 17, class_="tick middle"),
            ]
        middle = (_TOP + floor) / 2
        return [
            *parts,
            tag("line", x1=_LEFT, x2=end, y1=floor, y2=floor, class_="axis"),
            tag("text", self._x.label, x=(_LEFT + end) / 2, y=self._height - 5, class_="label middle"),
            tag("text", self._y.label, x=11, y=middle, class_="label middle", transform=f"rotate(-90 11 {middle:g})"),
        ]


def whisker(axis: Axis, value: float, low: float, high: float, marks: Sequence[float], said: str) -> Markup:
    """A dot with its interval, one line of a table high; ``marks`` are values to compare with, ``said`` the text."""
    width, middle = 200.0, 10.0

    def place(number: float) -> float:
        return 6 + axis.share(number) * (width - 12)

    lines = [tag("line", x1=place(mark), x2=place(mark), y1=0, y2=20, class_="mark") for mark in marks]
    return tag(
        "svg",
        tag("title", said),
        *lines,
        tag("line", x1=place(low), x2=place(high), y1=middle, y2=middle, class_="whisker-line"),
        tag("circle", cx=place(value), cy=middle, r=4, class_="whisker-dot"),
        viewBox=f"0 0 {width:g} 20",
        class_="whisker",
        role="img",
    )


def whisker_scale(axis: Axis, marks: Sequence[float]) -> Markup:
    """The numbers above a column of whiskers."""
    texts = [tag("text", short(mark), x=6 + axis.share(mark) * 188, y=12, class_="tick middle") for mark in marks]
    return tag("svg", *texts, viewBox="0 0 200 16", class_="whisker", aria_hidden="true")


def plot(
    title: str,
    series: Mapping[str, Iterable[Point]],
    x_label: str,
    y_label: str,
    *,
    references: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    logarithmic: bool = False,
) -> tuple[Chart, Key]:
    """Curves by name over axes that hold them, and horizontal lines to compare with.

    The y axis goes from 0 up, or between ``limits``, or is ``logarithmic``.
    """
    references = references or {}
    lines = {name: list(points) for name, points in series.items()}
    places = [place for points in lines.values() for place, _ in points]
    values = [*(value for points in lines.values() for _, value in points), *references.values()]
    x_axis = Axis(min([0.0, *places]), max(places, default=0.0) or 1.0, x_label)
    if limits is not None:
        y_axis = Axis(*limits, y_label)
    elif logarithmic:
        y_axis = around(values, y_label, logarithmic=True)
    else:
        y_axis = Axis(0.0, 1.06 * max([value for value in values if 0 < value < math.inf], default=1.0), y_label)
    chart = Chart(title, f"{y_label} against {x_label}: {', '.join((*lines, *references))}.", x_axis, y_axis)
    key = [("reference", name) for name in references]
    for name, value in references.items():
        chart.line([(x_axis.low, value), (x_axis.high, value)], "reference", name)
    styles = [f"s{index % SERIES}" for index in range(len(lines))]
    for style, (name, points) in zip(styles, lines.items(), strict=True):
        chart.line(points, style, name)
        if len(points) <= _FEW:
            for place, value in points:
                chart.dot(place, value, style)
    return chart, [*zip(styles, lines, strict=True), *key]


def standalone(chart: Chart, key: Key = ()) -> str:
    """An SVG file of its own, in the light colours, the legend below: for papers and slides."""
    palette, rules = (
        resources.files("agents.page").joinpath(name).read_text(encoding="utf-8")
        for name in ("palette.css", "chart.css")
    )
    colours = dict(re.findall(r"--(\w+): ([^;]+);", palette[: palette.index("@media")]))
    style = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], rules)
    (width, height), line = chart.size, 18
    entries = [
        tag(
            "g",
            tag("path", d="M1 5H23", class_=f"line {style}"),
            tag("text", name, x=30, y=9),
            transform=f"translate({_LEFT:g} {height + line * index:g})",
        )
        for index, (style, name) in enumerate(key)
    ]
    whole = f"{width:g} {height + line * len(key):g}"
    return tag(
        "svg",
        tag("style", Markup(style)),
        tag("rect", width="100%", height="100%", fill=colours["paper"]),
        *chart.drawing(),
        *entries,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {whole}",
    )


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """``(style, name)`` as a list of swatches."""
    items = (
        tag(
            "li",
            tag("svg", tag("path", d="M1 5H23", class_=f"line {style}"), viewBox="0 0 24 10", aria_hidden="true"),
            name,
        )
        for style, name in entries
    )
    return tag("ul", join(items), class_="legend")


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))


def _power_of_ten(power: float) -> str:
    digits = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    return f"10{f'{power:g}'.translate(digits)}"
