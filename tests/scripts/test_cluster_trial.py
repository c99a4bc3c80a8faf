"""The trial of a cluster, but for what takes two nodes."""

import contextlib
import json
import sys
from pathlib import Path

import pytest

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


class Comparisons:
    """What ``lose_a_node`` asks of ``subprocess``: comparisons of four cells with three instances each, the one on the
    cluster half done at first; ``spoil(run)`` changes what that leaves, and ``told`` is what it says."""

    PIPE = DEVNULL = returncode = None

    def __init__(self, told="", spoil=lambda run: None, status=0, at_first=2):
        self.told, self.spoil, self.status, self.at_first = told, spoil, status, at_first

    def run(self, command, check, stdout):
        self.leave(command, 4)

    def Popen(self, command, **streams):
        self.command, self.returncode = command, None
        self.leave(command, self.at_first)
        return self

    def poll(self):
        return self.returncode

    def communicate(self):
        self.spoil(self.leave(self.command, 4))
        self.returncode = self.status
        return "", self.told

    def leave(self, command, count):
        run, rows = Path(command[command.index("--run-dir") + 1]), []
        for seed in range(count):
            cell = run / "cells" / "rescue" / "ada" / str(seed)
            cell.mkdir(parents=True, exist_ok=True)
            (cell / "cell.json").write_text("{}")
            (cell / "records.json").write_text(json.dumps({"records": [seed, seed, seed]}))
            rows += [{"table": "rescue", "method": "ada", "seed": seed, "instance": index} for index in range(3)]
        (run / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return run


def count_twice(run):
    path = run / "results.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")


def leave_out(run):
    (run / "cells" / "rescue" / "ada" / "3" / "cell.json").unlink()


def grade_otherwise(run):
    (run / "cells" / "rescue" / "ada" / "1" / "records.json").write_text('{"records": [7, 7, 7]}')


SAID = "a warning\n2 cells were lost with the machines that ran them, and begun again\n"


@pytest.mark.parametrize(
    ("comparisons", "passed"),
    [
        (Comparisons(SAID), True),
        (Comparisons("a warning\n"), False),
        (Comparisons(""), False),
        (Comparisons(SAID, at_first=4), False),
        (Comparisons(SAID, status=1), False),
        (Comparisons(SAID, count_twice), False),
        (Comparisons(SAID, leave_out), False),
        (Comparisons(SAID, grade_otherwise), False),
    ],
    ids=[
        "good",
        "nothing lost",
        "nothing told",
        "killed too late",
        "failed",
        "counted twice",
        "left out",
        "other grades",
    ],
)
def test_the_loss_of_a_node_passes_only_where_all_is_well(comparisons, passed, load_script, monkeypatch) -> None:
    trial, killed = load_script("cluster_trial"), []
    monkeypatch.setattr(trial, "two_nodes", lambda: contextlib.nullcontext(("here:1", lambda: killed.append(1))))
    monkeypatch.setattr(trial, "subprocess", comparisons)
    monkeypatch.setattr(trial, "INTO_A_CELL", 0.0)
    record = trial.lose_a_node(trial.Options())
    assert record["passed"] == passed and killed == [1] and record["cells"] == 4
    assert comparisons.command[-2:] == ["--cluster", "here:1"]
    if passed:
        assert (record["attempts_lost"], record["cells_before_the_loss"], record["rows"]) == (2, 2, 12)
        assert record["rows_counted_twice"] == 0 and record["same_records"]

    monkeypatch.setattr(sys, "argv", ["cluster_trial.py", "--parts", "loss"])
    with contextlib.nullcontext() if passed else pytest.raises(SystemExit, match="1"):
        trial.main()
