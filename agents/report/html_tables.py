"""The tables of the page of a comparison: a row for each method."""

from __future__ import annotations

from collections.abc import Sequence

from agents.decision import EVEN, IMPROVEMENT, ORACLE, SCORE
from agents.page import Column, Markup, table, tag
from agents.page.charts import Axis, whisker, whisker_scale
from agents.page.numbers import DASH, count, duration, fixed, interval, percent, significant, with_interval
from agents.report.analysis import Analysis
from agents.statistics.crossed import Estimate

Cell = str


def standings_table(analysis: Analysis) -> Markup:
    """Where each method stands, best first."""
    stand, methods = analysis.standings, analysis.table.methods
    columns = [_method(analysis)]
    if analysis.scale is not None:
        marks = (0.0, SCORE, 1.0)
        axis = Axis(*_span([one.score for one in stand.values() if one.score], (0.0, 1.0)), "score")
        columns += [
            Column("Score", lambda m: _value(stand[m].score), note="IQM"),
            Column("95\u00a0%", lambda m: _interval(stand[m].score), "number soft", "interval"),
            Column(
                "",
                lambda m: _whisker(axis, stand[m].score, marks),
                "picture",
                scale=whisker_scale(axis, (0.0, 1.0)),
            ),
            Column("Optimality gap", lambda m: _value(stand[m].optimality_gap), note="lower is better"),
        ]
    columns += [
        Column("Median grade", lambda m: significant(stand[m].median), note="lower is better"),
        Column("Worst tenth", lambda m: significant(stand[m].worst_tenth.value), note="lower is better"),
        Column("Failed", lambda m: percent(stand[m].failed)),
        Column("Runs", lambda m: str(len(methods[m].runs))),
    ]
    return _table("Where each method stands", analysis, analysis.ranking, columns)


def duels_table(analysis: Analysis) -> Markup | None:
    """The judged policy against each other method, the strongest rival first."""
    if not analysis.duels:
        return None
    duels = analysis.duels

    def gain(name: str) -> Cell:
        return _with_interval(duels[name].difference)

    def ratio(name: str) -> Cell:
        return with_interval(duels[name].worst_tenth_ratio)

    axis = Axis(-0.02, 1.02, "probability")
    columns = [
        _method(analysis, "Rival"),
        Column("Probability of improvement", lambda m: fixed(duels[m].improvement.value), "number wide"),
        Column("95\u00a0%", lambda m: interval(duels[m].improvement), "number soft wide", "interval"),
        Column(
            "",
            lambda m: _whisker(axis, duels[m].improvement, (EVEN, IMPROVEMENT)),
            "picture",
            scale=whisker_scale(axis, (0, EVEN, IMPROVEMENT, 1)),
        ),
    ]
    if analysis.scale is not None:
        columns.append(Column("Score, difference", gain, "number wide", "above 0 is better"))
    columns.append(Column("Worst tenth, ratio", ratio, "number wide", "below 1 is better"))
    rivals = sorted(duels, key=lambda m: (m == ORACLE, duels[m].improvement.value))
    return _table(f"{analysis.policy} against each of the others", analysis, rivals, columns)


def intervals_table(analysis: Analysis) -> Markup | None:
    """The score's interval under two ways of resampling. None without scores."""
    if analysis.scale is None:
        return None
    stand = analysis.standings

    def over_runs(name: str) -> Cell:
        return DASH if stand[name].runs == 1 else _interval(stand[name].score_over_runs)

    columns = [
        _method(analysis),
        Column("Score", lambda m: _value(stand[m].score), note="IQM"),
        Column("Runs and instances", lambda m: _interval(stand[m].score), "number wide", "crossed; decides"),
        Column("Single scores", over_runs, "number wide", "rliable; none of one run"),
    ]
    return _table("Two ways of resampling", analysis, analysis.ranking, columns)


def costs_table(analysis: Analysis) -> Markup:
    """What each method was charged, the dearest first."""
    methods = analysis.table.methods

    def updates(name: str) -> list[float]:
        return [run.updates for run in methods[name].runs]

    def seconds(name: str) -> list[float]:
        return [run.seconds for run in methods[name].runs]

    columns = [
        _method(analysis),
        Column("GAN updates a run", lambda m: count(sum(updates(m)) / len(updates(m))), "number wide"),
        Column("GAN updates, all runs", lambda m: count(sum(updates(m))), "number wide"),
        Column("Time a run", lambda m: duration(sum(seconds(m)) / len(seconds(m)))),
        Column("Time, all runs", lambda m: duration(sum(seconds(m)))),
        Column("Runs", lambda m: str(len(methods[m].runs))),
    ]
    return _table("What each method was charged", analysis, sorted(methods, key=lambda m: -sum(updates(m))), columns)


def _method(analysis: Analysis, heading: str = "Method") -> Column:
    def cell(name: str) -> Markup:
        parts = [tag("b", name), tag("small", analysis.table.methods[name].kind)]
        if name == analysis.policy:
            parts.append(tag("small", "judged", class_="badge"))
        return tag("span", *parts)

    return Column(heading, cell, "name")


def _table(caption: str, analysis: Analysis, names: Sequence[str], columns: Sequence[Column]) -> Markup:
    return table(caption, columns, names, marked=lambda name: name == analysis.policy)


def _span(estimates: Sequence[Estimate], marks: tuple[float, float]) -> tuple[float, float]:
    """From the lowest to the highest of all intervals, the marks included; what is far below is cut at -1."""
    low = max(-1.0, min([one.low for one in estimates] + [marks[0]]))
    high = min(2.0, max([one.high for one in estimates] + [marks[1]]))
    room = 0.04 * (high - low)
    return low - room, high + room


def _whisker(axis: Axis, one: Estimate | None, marks: Sequence[float]) -> Cell:
    return DASH if one is None else whisker(axis, one.value, one.low, one.high, marks, with_interval(one))


def _value(one: Estimate | None) -> Cell:
    return DASH if one is None else fixed(one.value)


def _interval(one: Estimate | None) -> Cell:
    return DASH if one is None else interval(one)


def _with_interval(one: Estimate | None) -> Cell:
    return DASH if one is None else with_interval(one)
