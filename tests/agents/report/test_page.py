"""The page, read with a parser: it is whole, safe and says what was computed."""

import html
import itertools
import json
import re

import numpy as np
import pytest

from agents.report.analysis import THRESHOLDS, analyse
from agents.report.folder import read_comparison
from agents.report.page import render_page
from tests.agents.comparisons import INSTANCES, KINDS, grades, write_comparison
from tests.agents.page.reader import read


@pytest.fixture(scope="module")
def reader(page):
    return read(page)


def rendered(folder):
    comparison = read_comparison([folder])
    return render_page(comparison, [analyse(table) for table in comparison.tables])


def test_every_picture_has_words(reader):
    assert len(reader.named("img")) == 2 * len(KINDS)
    children = {}
    for index, (name, attributes, above) in enumerate(reader.elements):
        if name == "svg" and attributes.get("aria-hidden") != "true":
            following = reader.elements[index + 1]
            assert attributes["role"] == "img" and following[0] == "title" and following[2][-1] == "svg"
            children.setdefault(attributes["class"], []).append(above)
    # In each table: whiskers of 9 standings and 8 duels; charts of 4 kinds, 3 learners and 9 methods' knobs.
    assert len(children["whisker"]) == 2 * (9 + 8) and len(children["chart"]) == 2 * (4 + 3 + 9)


def test_headings_go_down_one_by_one(reader):
    levels = [int(name[1]) for name, _, _ in reader.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_tables_are_complete(reader, analyses):
    rows = [above for name, _, above in reader.elements if name == "tr" and "tbody" in above]
    assert len(rows) == len(analyses) * (9 + 8 + 9 + 9)  # standings, duels, costs, intervals
    for name, attributes, _ in reader.elements:
        if name in ("table", "tr", "td", "th", "thead", "tbody"):
            assert attributes["role"], "the card layout takes the roles from the elements"


def test_the_page_says_what_was_computed(reader, analyses):
    for one in analyses:
        assert one.policy == "ppo"
        for verdict in one.verdicts:
            assert verdict.finding in reader.text and verdict.claim in reader.text
        assert f"{one.standings['sac'].score.value:.2f}" in reader.text
    for needed in (
        f"n = {INSTANCES} held-out test instances, which every run plays; 3 runs of each learned method; 1 run of each",
        "Grade: SW2, n=512; lower is better",
        "python scripts/compare.py --suite ring",
        "4000 draws",
        "What is charged",
    ):
        assert needed in reader.text
    assert "What is missing" not in reader.text


def test_numbers_are_the_known_ones(analyses):
    rescue = analyses[0]
    assert rescue.standings["noop"].score.value == pytest.approx(0, abs=0.1)
    assert rescue.standings["oracle"].score.value == pytest.approx(1, abs=0.1)
    scores = rescue.scale.score(grades("ppo", 3))
    np.testing.assert_allclose(
        rescue.profiles["ppo"], [(scores > threshold).mean() for threshold in THRESHOLDS], atol=1e-12
    )
    low, high = rescue.policy_band
    assert (low <= rescue.profiles["ppo"] + 1e-12).all() and (rescue.profiles["ppo"] <= high + 1e-12).all()
    assert rescue.ranking[0] in ("oracle", "ppo") and rescue.ranking[-1] == "noop"


def test_text_from_outside_is_escaped(tmp_path):
    method, suite, command = "<i>&'\"<x>", "<b>ring", "<img src=x onerror=alert(1)>"
    folder = tmp_path / "run"
    write_comparison(folder, suite=suite, methods=("noop", "oracle", method), finals={method: grades("ppo", 2)})
    (folder / "config.json").write_text(json.dumps({"command": command}))
    page = rendered(folder)
    reader = read(page)
    for text in (method, suite, command):
        assert text in reader.text and text not in page and html.escape(text, quote=False) in page
    assert not reader.named("i") and not reader.named("x")


REMAINS = {
    "no cells": lambda folder: [path.unlink() for path in folder.glob("cells/*/*/*/*")],
    "no results": lambda folder: (folder / "results.jsonl").unlink(),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "no pictures": lambda folder: [path.unlink() for path in folder.glob("cells/*/*/*/samples.png")],
}


@pytest.mark.parametrize("case", REMAINS)
def test_an_incomplete_comparison_is_shown(tmp_path, case):
    folder = write_comparison(tmp_path / "run", methods=("noop", "oracle", "best_static", "ppo"))
    REMAINS[case](folder)
    text = read(rendered(folder)).text
    assert "What is missing" in text and "Where each method stands" in text


@pytest.mark.parametrize(
    ("methods", "absent", "present"),
    [
        (("ppo", "sac"), "Performance profiles", "There are no scores"),
        (("noop", "oracle"), "One against one", "Nothing to judge"),
        (("noop",), "Learning curves", "Nothing to judge"),
        (("noop", "oracle", "ppo"), "Nothing to judge", "There is no score of best_static"),
    ],
)
def test_what_lacks_its_methods_is_left_out(tmp_path, methods, absent, present):
    folder = write_comparison(tmp_path / "run", methods=methods, tables=("free",))
    reader = read(rendered(folder))
    headings = reader.text
    assert present in headings and f">{absent}<" not in rendered(folder)


def test_what_was_prepared_elsewhere_is_judged_by_what_it_keeps(tmp_path, monkeypatch):
    away = "ppo[suite=faces]"
    monkeypatch.setitem(KINDS, away, "prepared elsewhere")
    better = {away: grades("ppo", 1) / 2}  # by far the best, and its validation grades would be, too
    folder = write_comparison(tmp_path / "run", methods=("noop", "oracle", "ppo", away), finals=better)
    (rescue, free) = (analyse(table) for table in read_comparison([folder]).tables)
    assert rescue.policy == free.policy == "ppo" and away in rescue.duels
    *others, last = rescue.verdicts
    assert last.claim == f"{away} keeps at least 80% of the score of ppo" and last.outcome == "met"
    assert not any(away in verdict.finding for verdict in others)
    page = read(rendered(folder))
    assert last.claim in page.text and "Prepared elsewhere" in page.text
    assert f"Learning curve of {away}" not in page.text
    monkeypatch.setitem(KINDS, "ppo", "open loop")
    nobody = write_comparison(tmp_path / "nobody", methods=("noop", "oracle", "ppo", away), finals=better)
    page = read(rendered(nobody))
    assert "Nothing to judge" in page.text and last.claim in page.text


def test_a_table_of_another_name_has_no_verdict(tmp_path):
    folder = write_comparison(tmp_path / "run", methods=("noop", "oracle", "ppo"), tables=("transfer",))
    assert "The rule says nothing of this table" in read(rendered(folder)).text
