"""The comparison as a person types it: whole, interrupted, continued, mistaken."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agents.clusters import FakeCluster

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare.py"


def finished(run: Path) -> set[str]:
    return {str(path.parent.relative_to(run / "cells")) for path in run.glob("cells/*/*/[0-9]*/cell.json")}


def test_a_comparison_goes_on_where_it_stopped(tiny_suite, run_script, capsys, tmp_path: Path) -> None:
    common = ["--suite", tiny_suite, "--budget", "300", "--run-dir", "run"]
    assert run_script("compare", *common, "--methods", "noop,ada", "--seeds", "1") == 0
    run = tmp_path / "run"
    assert finished(run) == {"rescue/noop/0", "rescue/ada/0"}
    before = {path: path.stat().st_mtime_ns for path in run.glob("cells/*/*/[0-9]*/cell.json")}
    more = ["--methods", "noop,ada,best_static", "--table", "rescue,free", "--seeds", "2"]
    assert run_script("compare", *common, *more) == 0
    cells = {
        f"{table}/{name}/{seed}"
        for table in ("rescue", "free")
        for name in ("noop", "ada", "best_static")
        for seed in (0, 1)
    }
    assert finished(run) == cells
    assert all(path.stat().st_mtime_ns == written for path, written in before.items()), "never run again"
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 12 * 3 and {f"{row['table']}/{row['method']}/{row['seed']}" for row in rows} == cells
    config = json.loads((run / "config.json").read_text())
    assert config["options"]["methods"] == "noop,ada" and config["options"]["budget"] == 300 and config["versions"]
    assert config["continued"][0]["options"]["seeds"] == 2
    assert run_script("compare", "--resume", "run", "--methods", "noop,random", "--table", "free") == 0
    assert finished(run) == cells | {"free/random/0", "free/random/1"}, "as many seeds as before"
    capsys.readouterr()
    for change in (["--budget", "301"], ["--suite", "ring"], ["--env", "decisions=4"]):
        for known in (common, ["--resume", "run"]):
            assert run_script("compare", *known, *change) == 2
            assert f"run was begun with {change[0]}" in capsys.readouterr().err
    assert finished(run) == cells | {"free/random/0", "free/random/1"}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--suite", "rings"], ["rings", "ring"]),
        (["--table", "rescued"], ["rescued", "rescue, free"]),
        (["--methods", "noop,ppp"], ["ppp", "ppo"]),
        (["--methods", "noop,noop"], ["'noop' twice"]),
        (["--methods", "ppo[reward=gold]"], ["gold", "terminal"]),
        (["--seeds", "0"], ["--seeds"]),
        (["--jobs", "0"], ["--jobs"]),
        (["--env", "reward=terminal"], ["reward", "decisions"]),
        (["--budget", "3", "--methods", "noop,ada", "--seeds", "1"], ["a budget of 3 GAN updates is too small"]),
        (["--run-dir", "used"], ["used", "in use"]),
        (["--run-dir", "other"], ["other", "no run folder of compare.py"]),
        (["--resume", "other"], ["other", "no run folder of compare.py"]),
        (["--resume", "used"], ["used", "config.json"]),
    ],
    ids=lambda value: "_".join(value) if value[0].startswith("-") else None,
)
def test_a_mistake_is_one_line_and_status_2(arguments, names, run_script, capsys, tmp_path: Path) -> None:
    for folder, file in (("used", "precious.txt"), ("other", "config.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("{}")
    assert run_script("compare", "--no-progress", *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1 and all(name in lines[0] for name in names), lines
    assert not (tmp_path / "runs").exists()


def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["--suite", "ring", "--env", "decisions=2", "updates_per_step=1", "--jobs", "1", "--seeds", "1"]
    command = [sys.executable, str(SCRIPT), *arguments, "--methods", "noop,oracle,ttur", "--run-dir", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not finished(tmp_path / "run") and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130 and "Go on with: python" in printed and "--resume run" in printed
    assert {"rescue/noop/0"} <= finished(tmp_path / "run") < {"rescue/noop/0", "rescue/oracle/0", "rescue/ttur/0"}
    assert not list((tmp_path / "run" / "cells").glob("*/*/.*"))
    assert (tmp_path / "run" / "results.jsonl").read_text().count("\n") == 64 * len(finished(tmp_path / "run"))


def test_all_methods_are_listed(run_script, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run_script("compare", "--list") == 0
    printed = capsys.readouterr().out
    from agents.methods import METHODS

    for name, method in METHODS.items():
        assert name in printed and method.kind in printed
    assert "E[sign D(real)]" in printed


def test_cells_on_a_cluster_are_the_same_and_count_once(tiny_suite, run_script, capsys, monkeypatch, tmp_path) -> None:
    stopped = FakeCluster(lose=lambda cell, attempt: os.kill(os.getpid(), signal.SIGTERM))
    lost = FakeCluster(lose=lambda cell, attempt: attempt == 1 and cell.method != "noop")
    clusters = {None: iter([None]), "local": iter([stopped, lost])}
    monkeypatch.setattr("agents.cluster.connected", lambda address: contextlib.nullcontext(next(clusters[address])))
    common = ["--suite", tiny_suite, "--budget", "300", "--methods", "noop,random,ada", "--seeds", "2"]
    assert run_script("compare", *common, "--run-dir", "here") == 0
    assert run_script("compare", *common, "--run-dir", "there", "--cluster", "local") == 143
    assert "Go on with: python compare.py --resume there" in capsys.readouterr().out
    assert finished(tmp_path / "there") == {"rescue/random/0"}
    assert run_script("compare", "--resume", "there") == 0
    assert "3 cells were lost with the machines that ran them" in capsys.readouterr().err
    here, there = tmp_path / "here", tmp_path / "there"
    files = sorted(path.relative_to(here) for path in here.glob("cells/**/*") if path.is_file())
    assert files == sorted(path.relative_to(there) for path in there.glob("cells/**/*") if path.is_file())
    for path in files:
        if path.name != "cell.json":  # that holds seconds
            assert (here / path).read_bytes() == (there / path).read_bytes(), path
    rows = [
        [json.loads(line) | {"seconds": 0} for line in (run / "results.jsonl").read_text().splitlines()]
        for run in (here, there)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 3 * 2 * 3
