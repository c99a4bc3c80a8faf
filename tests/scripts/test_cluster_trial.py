"""The trial of a cluster, but for what takes two nodes."""

import contextlib
import json
import sys

from tests.agents.clusters import FakeCluster

SMALL = ["--env", "updates_per_step=1", "decisions=3"]


def test_the_cost_of_a_learner_is_recorded(run_script, tmp_path) -> None:
    learner = ["--parts", "learner", "--algos", "dqn", "--learner-steps", "256", "--learner-turns", "1"]
    assert run_script("cluster_trial", *learner, *SMALL, "--json", "trial.json") == 0
    cost = json.loads((tmp_path / "trial.json").read_text())["learner"]["dqn"]
    assert cost["turns"] == [[cost["learner_seconds"], cost["environment_seconds"]]]
    assert 0 < cost["learner_seconds"] < cost["environment_seconds"]
    for wrong in (["--parts", "gain"], ["--algos", "dpn"], ["--turns", "0"], ["--suite", "rings"]):
        assert run_script("cluster_trial", *wrong) == 2

    trial = sys.modules["cluster_trial"]
    trial.two_nodes = lambda: contextlib.nullcontext(("address", lambda: None))
    trial.connected = lambda address: contextlib.nullcontext(FakeCluster())
    options = trial.Options(num_envs=16, seconds=0.01, turns=2, env=("updates_per_step=1",))
    record = trial.throughput(options)
    assert [len(rates) for rates in record["steps_per_second"].values()] == [2, 2]
    assert record["passed"] == (record["ratio"] >= trial.BAR) and min(record["ratios"]) <= record["ratio"]
