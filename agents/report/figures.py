"""The figures of one table: performance profiles, learning curves, knob trajectories, grids of samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from agents.decision import NOOP, ORACLE
from agents.kinds import ELSEWHERE, KINDS, LEARNED
from agents.page import Chart, Markup, figure, image, join, legend, panels, tag
from agents.page.charts import COMPACT, SERIES, Axis, around
from agents.report.analysis import THRESHOLDS, Analysis
from agents.report.cell import Trajectory, read_picture, read_trajectory

Curve = Sequence[tuple[float, float]]


def profiles(analysis: Analysis) -> Markup | None:
    """A panel for each kind; the references and the judged policy are in all of them. None without scores."""
    if not analysis.profiles:
        return None
    table, policy = analysis.table, analysis.policy
    x = Axis(float(THRESHOLDS[0]), float(THRESHOLDS[-1]), "normalised score")
    y = Axis(0.0, 1.0, "share of runs above it")
    drawn = []
    for kind in KINDS[1:]:
        shown = [method.name for method in table.of_kind(kind) if method.name != policy]
        if not shown:
            continue
        chart = Chart(
            f"Performance profiles: {kind}",
            f"Share of all runs and instances whose score is above a threshold, for {', '.join(shown)}.",
            x,
            y,
        )
        for name in (NOOP, ORACLE):
            chart.upright(float(name == ORACLE))
            chart.line(_profile(analysis, name), "reference", name)
        entries = [(_style(index), name) for index, name in enumerate(shown)]
        for style, name in entries:
            chart.line(_profile(analysis, name), style, name)
        if policy and analysis.policy_band:
            low, high = (bound.tolist() for bound in analysis.policy_band)
            chart.band(THRESHOLDS.tolist(), low, high, "ours")
            chart.line(_profile(analysis, policy), "ours", policy)
            entries = [("ours", policy), *entries]
        key = legend([*entries, ("reference", f"{NOOP} (left), {ORACLE} (right)")])
        drawn.append(figure(chart.render(), tag("b", _heading(kind)), key=key))
    return panels(drawn) if drawn else None


def learning_curves(analysis: Analysis) -> Markup | None:
    """A panel for each method that was trained or tuned: its runs, their median, and the medians of the others.

    What was prepared elsewhere has other validation instances, and no panel. None without curves.
    """
    here = [method for method in analysis.table.methods.values() if method.kind != ELSEWHERE]
    learned_first = sorted(here, key=lambda method: method.kind != LEARNED)
    methods = {method.name: [run.curve for run in method.runs if run.curve] for method in learned_first}
    methods = {name: curves for name, curves in methods.items() if curves}
    if not methods:
        return None
    points = [point for curves in methods.values() for curve in curves for point in curve]
    x = Axis(0.0, max(updates for updates, _ in points) or 1.0, "GAN updates charged so far")
    y = around((grade for _, grade in points), "validation grade", logarithmic=True)
    medians = {name: median_curve(curves) for name, curves in methods.items()}
    shown = []
    for name, curves in methods.items():
        chart = Chart(
            f"Learning curve of {name}",
            f"Validation IQM of the grade against GAN updates, {len(curves)} runs and their median; lower is better.",
            x,
            y,
        )
        for other, median in medians.items():
            if other != name:
                chart.line(median, "ghost", other)
        for curve in curves:
            chart.line(curve, "thin s0")
        chart.line(medians[name], "ours", f"{name}, median")
        for updates, grade in medians[name]:
            chart.dot(updates, grade, "ours")
        runs = f"{len(curves)} run" + "s" * (len(curves) > 1)
        shown.append(figure(chart.render(), tag("b", name), f", {runs}" + _judged(analysis, name)))
    key = legend([("ours", "median of the runs"), ("thin s0", "each run"), ("ghost", "medians of the others")])
    return join([key, panels(shown)])


def median_curve(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """Median over runs of log-linear interpolation, at every point of any run that lies within all of them.

    A median of fewer runs at the ends would jump where a run begins or ends.
    """
    first, last = max(curve[0][0] for curve in curves), min(curve[-1][0] for curve in curves)
    at = sorted({updates for curve in curves for updates, _ in curve if first <= updates <= last})
    rows = [
        np.interp(at, [updates for updates, _ in curve], np.log([max(grade, 1e-300) for _, grade in curve]))
        for curve in curves
    ]
    return list(zip(at, np.exp(np.median(rows, axis=0)).tolist(), strict=True)) if at else []


def knob_trajectories(analysis: Analysis) -> Markup | None:
    """A panel for each method, all on the first test instance and its lowest seed. None without records."""
    instance = analysis.table.instances[0]
    paths: dict[str, Trajectory] = {}
    for name in analysis.ranking:
        path = read_trajectory(analysis.table.methods[name].runs[0], instance)
        if path is not None:
            paths[name] = path
    if not paths:
        return None
    knobs = list(dict.fromkeys(knob for path in paths.values() for knob in path.knobs))
    x = Axis(0.0, float(max(len(path.log10) for path in paths.values()) - 1) or 1.0, "decision")
    values = (value for path in paths.values() for value in path.log10.ravel().tolist())
    y = around(values, "value of the knob", powers_of_ten=True)
    shown = []
    for name, path in paths.items():
        chart = Chart(
            f"Knobs under {name}",
            f"{', '.join(path.knobs)} over the decisions of one episode on test instance {instance}.",
            x,
            y,
            COMPACT,
        )
        for column, knob in enumerate(path.knobs):
            style, line = _style(knobs.index(knob)), path.log10[:, column].tolist()
            chart.line(enumerate(line), style, knob)
            chart.dot(0, line[0], style)
        seed = analysis.table.methods[name].runs[0].seed
        ended = ", failed" if path.failed else ""
        shown.append(figure(chart.render(), tag("b", name), f", seed {seed}{ended}" + _judged(analysis, name)))
    return join([legend((_style(index), knob) for index, knob in enumerate(knobs)), panels(shown, "many")])


def sample_grids(analysis: Analysis) -> Markup | None:
    """The picture of each method at its lowest seed, best score first. None where no cell has one."""
    shown = []
    for name in analysis.ranking:
        run = analysis.table.methods[name].runs[0]
        picture = read_picture(run)
        if picture is not None:
            alt = f"Samples of the GANs trained under {name} on test instances 0 to 3, seed {run.seed}"
            content = image(picture.content, alt, (picture.width, picture.height))
            shown.append(figure(content, tag("b", name), f", seed {run.seed}" + _judged(analysis, name)))
    return panels(shown) if shown else None


def _profile(analysis: Analysis, name: str) -> Iterable[tuple[float, float]]:
    return zip(THRESHOLDS.tolist(), analysis.profiles[name].tolist(), strict=True)


def _style(index: int) -> str:
    return f"s{index % SERIES}"


def _heading(kind: str) -> str:
    return kind[0].upper() + kind[1:]


def _judged(analysis: Analysis, name: str) -> str:
    return " (judged)" if name == analysis.policy else ""
