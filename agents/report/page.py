"""One page for a whole comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agents import decision
from agents.decision import Verdict
from agents.kinds import LEARNED
from agents.page import Markup, Page, tag
from agents.page.numbers import DASH, significant
from agents.report import figures, html_tables
from agents.report.analysis import Analysis, across
from agents.report.folder import Comparison, Method, Source, Table
from agents.statistics.crossed import RESAMPLES
from agents.statistics.reliable import STRATIFIED_RESAMPLES

TITLE = "Does learned balancing beat what a practitioner would use instead?"
_TERMS = {
    "rescue": "Every method starts at the bad learning rates of the instance and is limited to the same moves.",
    "free": "Every method may set the learning rates at its first step.",
}
_SIGNS = {"met": "\u2713", "not met": "\u2717", "undecided": "?"}


def render_page(comparison: Comparison, analyses: Sequence[Analysis]) -> str:
    """The HTML of :func:`~agents.report.analysis.analyse`'s results, in the order of the tables."""
    page = Page(f"GanBalance comparison: {', '.join(comparison.suites)}", TITLE)
    page.section("Verdict", *_verdicts(analyses))
    if comparison.notices:
        page.section("What is missing", tag("ul", *(tag("li", one) for one in comparison.notices)), class_="notices")
    for one in analyses:
        page.section(_name(one.table), *_table(one))
    page.section("How to read this", _reading())
    page.section("Provenance", *_provenance(comparison.sources))
    return page.render()


def _verdicts(analyses: Sequence[Analysis]) -> list[Markup]:
    parts = [
        tag(
            "p",
            "The rule was written down in ",
            tag("code", "agents/decision.py"),
            " before there were data, and is applied here as it stands.",
            class_="lead",
        )
    ]
    for one in analyses:
        parts.append(tag("h3", _name(one.table)))
        if one.policy is None:
            parts.append(tag("p", "Nothing to judge: no learned method has a validation curve."))
        elif not one.verdicts:
            parts.append(tag("p", "The rule says nothing of this table."))
        else:
            met = sum(verdict.outcome == "met" for verdict in one.verdicts)
            told = f", the learner that validation prefers. Claims that hold: {met} of {len(one.verdicts)}."
            parts.append(tag("p", "Judged is ", tag("b", one.policy), told))
        if one.verdicts:  # what was prepared elsewhere has its own, though nobody is judged
            parts.append(_claims(one.verdicts))
    overall = across(analyses)
    if overall is not None:
        parts += [tag("h3", "All suites, free"), _claims([overall])]
    return parts


def _claims(verdicts: Sequence[Verdict]) -> Markup:
    items = (
        tag(
            "li",
            tag("span", _SIGNS[one.outcome], class_="sign", aria_hidden="true"),
            tag("p", tag("b", one.claim), " ", tag("em", one.outcome), tag("br"), one.finding),
            class_=one.outcome.replace(" ", "-"),
        )
        for one in verdicts
    )
    return tag("ul", *items, class_="claims")


def _table(one: Analysis) -> list[Markup]:
    table = one.table
    parts = [
        tag("p", _TERMS.get(table.name, ""), class_="lead"),
        tag("p", _sizes(table)),
        html_tables.standings_table(one),
        _scale_note(one),
    ]
    duels = html_tables.duels_table(one)
    if duels is not None:
        parts += [
            tag("h3", "One against one"),
            tag(
                "p",
                "Both play the same test instance; the probability is that ",
                tag("b", str(one.policy)),
                " ends with the lower grade, over all pairs of their runs, averaged over instances. A tie counts "
                f"half. Lines are drawn at {decision.EVEN:g} (no difference) and at {decision.IMPROVEMENT:g} (the "
                "rule's threshold).",
            ),
            duels,
        ]
    for heading, text, content in (
        (
            "Performance profiles",
            "How many of all runs on all instances end above a score. Higher is better at every point; where lines "
            "cross, neither method is better throughout. Grey lines are noop and oracle"
            + (f"; {one.policy} is in each panel, with its pointwise 95\u00a0% band." if one.policy else "."),
            figures.profiles(one),
        ),
        (
            "Learning curves",
            "What training or tuning has brought: grade on validation instances against the GAN updates charged until "
            "then, learners first. Test instances play no part here.",
            figures.learning_curves(one),
        ),
        (
            "What each policy does with the knobs",
            f"One GAN, test instance {table.instances[0] if table.instances else DASH}, under every method; the dot is "
            "the start. The instance and the run (each method's lowest seed) are taken by number, not by looks.",
            figures.knob_trajectories(one),
        ),
        (
            "Samples",
            "Test instances 0 to 3 at the end of training, from the same latents, by each method's run of lowest "
            "seed; best score first.",
            figures.sample_grids(one),
        ),
    ):
        if content is not None:
            parts += [tag("h3", heading), tag("p", text), content]
    parts += [
        tag("h3", "Cost"),
        tag(
            "p",
            "GAN updates are those of tuning, training and validation together; playing the test instances is not "
            "charged. Times are wall-clock on the machine named under provenance, play included.",
        ),
        html_tables.costs_table(one),
    ]
    intervals = html_tables.intervals_table(one)
    if intervals is not None:
        parts += [
            tag("h3", "How much the interval depends on what is resampled"),
            tag(
                "p",
                "The wider of the two answers the harder question: what if policies were trained anew and played "
                "other instances? The other one holds the instances fixed and treats every score as independent.",
            ),
            intervals,
        ]
    return parts


def _sizes(table: Table) -> str:
    learned = table.of_kind(LEARNED)
    others = [method for method in table.methods.values() if method.kind != LEARNED]
    parts = [f"n = {len(table.instances)} held-out test instances, which every run plays"]
    if learned:
        parts.append(f"{_runs(learned)} of each learned method")
    if others:
        parts.append(f"{_runs(others)} of each other method")
    return f"{'; '.join(parts)}. Grade: {table.metric}; lower is better."


def _runs(methods: Sequence[Method]) -> str:
    """``1 run``, ``10 runs`` or ``1 to 10 runs``."""
    counts = sorted({len(method.runs) for method in methods})
    span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return span + (" run" if counts == [1] else " runs")


def _scale_note(one: Analysis) -> Markup:
    if one.scale is None:
        return tag("p", "There are no scores: they need noop and an oracle that is better.", class_="note")
    zero, unit = (significant(math.exp(log)) for log in (one.scale.log_noop, one.scale.log_oracle))
    return tag(
        "p",
        f"Score 0 is a grade of {zero}, the median of noop; score 1 is {unit}, the median of the oracle (the best of "
        "32 constant pairs of rates for each instance, in hindsight); logarithmic between and beyond. The line between "
        f"them is the rule's threshold, {decision.SCORE:g}.",
        class_="note",
    )


def _reading() -> Markup:
    entries = (
        (
            "Score",
            "The log of the final grade, so placed that 0 is the median of GANs left alone (noop) and 1 that of the "
            "oracle. Both medians are over the suite's test instances and stay fixed under resampling. The table "
            "shows the interquartile mean (IQM): the mean of the middle half of all runs on all instances.",
        ),
        (
            "Optimality gap",
            "How far scores fall short of 1 on average, where more than 1 counts as 1. Unlike the IQM it feels the "
            "worst quarter.",
        ),
        (
            "Worst tenth",
            "The grade that one in ten exceeds, runs and instances together. A run that diverges or collapses has the "
            "suite's worst grade, so failures are counted in every number.",
        ),
        (
            "Intervals",
            f"95\u00a0% percentile bootstrap, {RESAMPLES} draws. A draw takes whole runs with replacement, for each "
            "method by itself, and instances with replacement, the same for all methods: comparisons are paired over "
            "instances. It speaks of other training seeds and of other instances of the same suite, not of other "
            "suites. With a single run, an interval knows nothing of the luck of training; with three to five runs it "
            "is still too narrow. Intervals are not corrected for the number of rivals.",
        ),
        (
            "rliable",
            f"IQM, optimality gap, profiles and probabilities are rliable's estimates. Its own stratified intervals "
            f"({STRATIFIED_RESAMPLES} draws) stand in the last table: they draw each score by itself, but here one "
            "run plays all instances, so its scores share their luck.",
        ),
        (
            "Which policy is judged",
            "The learned method whose runs are best on validation: the lowest point of each run's curve, the median "
            "over its runs. Test grades have no say.",
        ),
        (
            "What is charged",
            "Every GAN update that tuning, training and validation made, those of discarded trials included, and what "
            "a method needs beyond one GAN when it plays. Not charged is whatever was settled before the comparison, "
            "such as presets. The oracle is no rival: it has seen how each test instance ends.",
        ),
    )
    items = (part for term, text in entries for part in (tag("dt", term), tag("dd", text)))
    return tag("dl", *items)


def _provenance(sources: Sequence[Source]) -> list[Markup]:
    parts = []
    for source in sources:
        rows = [("folder", source.path.resolve().name), ("SHA-256 of the results", source.digest)]
        for name in ("command", "git_commit", "hardware", "python", "versions"):
            if source.config.get(name):
                rows.append((name.replace("_", " "), _flat(source.config[name])))
        later = source.config.get("continued")
        if isinstance(later, list) and later:
            rows.append(("continued", f"{len(later)} times, by the commands in config.json"))
        made = sorted((commit or "not on record", count) for commit, count in source.commits.items())
        rows.append(("commits of the cells", ", ".join(f"{commit} ({count})" for commit, count in made)))
        parts.append(
            tag("dl", *(part for name, text in rows for part in (tag("dt", name), tag("dd", text))), class_="facts")
        )
    return parts


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items() if entry is not None)
    return str(value)


def _name(table: Table) -> str:
    return f"{table.suite}, {table.name}"
