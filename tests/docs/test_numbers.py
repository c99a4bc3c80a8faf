"""Numbers that the pages repeat are those of the records they link."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gan_env import get_suite

DOCS = Path(__file__).parents[2] / "docs"
COSTS = re.findall(
    r"^\| .*\]\((results/bench-env-.*)\) \| (.*) \| (.*) \| (.*) \|$", (DOCS / "cluster.md").read_text(), re.M
)


def test_the_page_of_the_cluster_has_every_record_of_the_environment():
    assert {DOCS / path for path, *_ in COSTS} == set((DOCS / "results").glob("bench-env-*.json"))


@pytest.mark.parametrize(("path", "rate", "updates", "milliseconds"), COSTS, ids=[row[0][8:-5] for row in COSTS])
def test_costs_of_the_environment_are_those_of_the_record(path, rate, updates, milliseconds):
    record = json.loads((DOCS / path).read_text())
    median = np.median(record["updates_per_second"]["environment with proxy, one core"])
    assert rate == f"{median:.0f}"
    assert int(updates) == get_suite(record["suite"]).tasks[0].updates_per_step
    assert milliseconds == f"{1e3 * int(updates) / median:.1f}"


def test_what_a_trial_of_the_cluster_told_is_that_of_its_record():
    page = (DOCS / "cluster.md").read_text()
    trial = json.loads((DOCS / "results" / "cluster" / "throughput.json").read_text())["throughput"]
    low, high = min(trial["ratios"]), max(trial["ratios"])
    assert f"| {trial['ratio']:.2f} times ({low:.2f} to {high:.2f};" in page
    cost = json.loads((DOCS / "results" / "cluster" / "learner.json").read_text())["learner"]
    dqn, ppo = cost["dqn"], cost["ppo"]
    assert (
        f"L is {1e3 * dqn['learner_seconds']:.2f} ms for DQN and\n{1e3 * ppo['learner_seconds']:.2f} ms for PPO" in page
    )
    outside = sorted(1e3 * one["environment_seconds"] for one in (dqn, ppo))
    assert f"and E {outside[0]:.1f} to {outside[1]:.1f} ms" in page
