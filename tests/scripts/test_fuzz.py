"""Garbage in a small dose, and whether the judge of it would notice."""

import contextlib
import importlib
import json
import random
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def part(monkeypatch):
    """``part(name)``: a module of the fuzzer."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda name: importlib.import_module(name)


def test_every_case_of_a_small_dose_is_handled(part, tmp_path, capsys):
    fuzz = part("fuzz")
    options = fuzz.Options(cases=200, seed=1, memory=0, json=tmp_path / "fuzz.json", progress=False)
    assert fuzz.fuzz(options), capsys.readouterr().err
    record = json.loads((tmp_path / "fuzz.json").read_text())
    assert record["handled"] == record["cases"] == 200 and set(record["categories"]) == set(fuzz.CATEGORIES)
    refused = sum(counts.get("refused", 0) for counts in record["categories"].values())
    assert 50 < refused < 200, "some garbage is harmless, most is not"
    assert "200 of 200 cases handled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (lambda: None, "taken"),
        (lambda: int("x"), "refused"),
        (lambda: (_ for _ in ()).throw(ValueError("")), "failed"),
        (lambda: b"\xff".decode(), "failed"),
        (lambda: 1 / 0, "failed"),
        (lambda: {}["x"], "failed"),
        (lambda: sys.exit(1), "failed"),
        (lambda: time.sleep(5), "failed"),
    ],
)
def test_the_judge(part, run, outcome):
    verdict = part("fuzz_parts.verdict")
    found = verdict.judge(verdict.Case("a case", run), limit=0.2)
    assert found.outcome == outcome and found.seconds < 1


def test_a_hang_is_noticed_where_every_exception_is_swallowed(part):
    verdict = part("fuzz_parts.verdict")

    def swallow():
        for _ in range(100):
            with contextlib.suppress(Exception):
                time.sleep(0.1)

    assert "still running" in verdict.judge(verdict.Case("a case", swallow), limit=0.2).said


def test_spoilt_is_not_right(part):
    garbage = part("fuzz_parts.garbage")
    rng, content, tree = random.Random(0), bytes(range(200)), {"a": [1, {"b": 2}], "c": "x"}
    for _ in range(200):
        assert garbage.spoil(content, rng)[1] != content
        garbage.spoil_tree(tree, rng)
    assert tree == {"a": [1, {"b": 2}], "c": "x"}


@pytest.mark.parametrize("wrong", [{"cases": 0}, {"only": "cats"}, {"only": "images:x"}, {"seconds": float("nan")}])
def test_wrong_options_are_refused(part, wrong):
    fuzz = part("fuzz")
    with pytest.raises(ValueError, match="--"):
        fuzz.fuzz(fuzz.Options(**wrong))
