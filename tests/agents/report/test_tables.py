"""The table, evaluation.json and the warning."""

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from agents.evaluation import EpisodeRecord
from agents.report import comparison_table, evaluation_json, one_sided_warning
from agents.statistics import summarise
from gan_env import SUITES

INSTANCES = SUITES["ring"].instances("test")[:8]
FINALS = {"dqn": np.arange(1.0, 9.0), "noop": np.arange(2.0, 10.0), "random": np.array([3.0, 900.0] * 4)}


def test_evaluation_json_has_its_schema():
    summaries = summarise(FINALS)
    content = json.loads(json.dumps(evaluation_json("ring", "SW2", INSTANCES, summaries)))
    assert set(content) == {"suite", "metric", "instances", "methods"}
    assert content["suite"] == "ring" and content["metric"] == "SW2"
    assert [instance["seed"] for instance in content["instances"]] == [instance.seed for instance in INSTANCES]
    assert list(content["methods"]) == ["dqn", "noop", "random"]
    for name, method in content["methods"].items():
        assert set(method) == {"final", "median", "iqm", "ci95", "p90"}
        assert method["final"] == FINALS[name].tolist() and len(method["final"]) == len(content["instances"])
        assert method["ci95"] == list(summaries[name].ci95) and method["ci95"][0] <= method["iqm"] <= method["ci95"][1]
        assert method["median"] == np.median(FINALS[name]) and method["p90"] == np.quantile(FINALS[name], 0.9)


def test_the_table_says_what_was_measured():
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(comparison_table("dqn", "ring", "SW2, n=7", summarise(FINALS), FINALS))
    text = console.export_text()
    lines = {words[1]: line for line in text.splitlines() if len(words := line.split()) > 2}
    assert "SW2, n=7" in text and "lower is better" in text and "8 held-out instances" in text
    assert "4.5" in lines["dqn"] and "-1 [-1, -1]" in lines["noop"]
    assert "-1" not in lines["dqn"], "an agent is not compared with itself"
    assert "900" in lines["random"]


def record(path, start=(1e-3, 1e-3)):
    """A record whose knobs took this path of log10 values."""
    instance = INSTANCES[0].__class__(**(vars(INSTANCES[0]) | {"lr_g": start[0], "lr_d": start[1]}))
    return EpisodeRecord(
        instance=instance,
        final=1.0,
        failed=False,
        decisions=len(path),
        episode_return=0.0,
        final_proxy=1.0,
        actions=(0.0,) * len(path),
        log10_knobs=tuple(path),
    )


BOTH = ("lr_g", "lr_d")
ONE_SIDED = {
    "only down": ([[(-3.2, -3.0), (-3.2, -3.5)]], BOTH, 2),
    "down and up": ([[(-3.2, -3.0), (-3.2, -2.5)]], BOTH, None),
    "up in another episode": ([[(-3.2, -3.0)], [(-3.0, -2.9)]], BOTH, None),
    "only up": ([[(-2.8, -3.0)]], BOTH, None),
    "still": ([[(-3.0, -3.0)] * 3], BOTH, None),
    "down in two episodes": ([[(-3.2, -3.0)], [(-3.2, -3.2)]], BOTH, 3),
    "another knob goes up": ([[(-3.2, -3.0, 1.0)]], (*BOTH, "fm_weight"), 1),
    "another knob goes down": ([[(-3.0, -3.0, -2.0)]], (*BOTH, "fm_weight"), None),
    "another knob first": ([[(-1.0, -3.2, -3.0), (1.0, -3.2, -3.3)]], ("fm_weight", *BOTH), 2),
}


@pytest.mark.parametrize("case", ONE_SIDED)
def test_the_warning_is_for_policies_that_only_lower_the_rates(case):
    paths, knobs, moves = ONE_SIDED[case]
    warning = one_sided_warning("dqn", [record(path) for path in paths], knobs)
    if moves is None:
        assert warning is None
    else:
        assert (
            warning is not None and "'dqn' only ever lowers" in warning and f"({moves} moves down, none up)" in warning
        )
        assert "\n" not in warning


def test_each_knob_is_compared_with_its_own_start():
    """Whatever the order of the knobs: here both rates fall, though lr_d ends above the start of lr_g."""
    start = (1e-5, 1e-2)
    falling = record([(-2.5, -5.0), (-2.5, -5.5)], start)
    assert one_sided_warning("dqn", [falling], ("lr_d", "lr_g")) is not None
    rising = record([(-1.5, -5.0), (-1.5, -5.0)], start)
    assert one_sided_warning("dqn", [rising], ("lr_d", "lr_g")) is None


def test_rounding_is_no_move():
    assert one_sided_warning("dqn", [record([(-3.0 - 1e-15, -3.0)])], BOTH) is None
    assert math.log10(1e-3) == pytest.approx(-3.0)
