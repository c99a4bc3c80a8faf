"""The main command, as a person types it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from agents.presets import ALGORITHMS, get_preset
from agents.training import PolicyTraining
from tests.agents.clusters import FakeCluster, FakeHosts

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_agent.py"
TINY = ["--num-envs", "4", "--total-timesteps", "64", "--env", "decisions=4", "updates_per_step=2"]


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_a_run_leaves_a_whole_folder(algorithm: str, run_script, capsys, tmp_path: Path) -> None:
    assert run_script("train_agent", "--algo", algorithm, "--suite", "ring", "--run-dir", "run", *TINY) == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "run"
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert set(evaluation) == {"suite", "metric", "instances", "methods"}
    validation = json.loads((folder / "validation.json").read_text())
    best = min(validation["trials"], key=lambda trial: trial["grade"])
    assert validation["chosen_at"] == best["timesteps"]
    # No best_static: the recorded rates are the best for the suite's own budget, not for this one.
    assert {algorithm, "noop", "random"} == set(evaluation["methods"])
    for method in evaluation["methods"].values():
        assert set(method) == {"final", "median", "iqm", "ci95", "p90"}
        assert len(method["final"]) == len(evaluation["instances"]) == 64
        assert method["ci95"][0] <= method["iqm"] <= method["ci95"][1]
    assert algorithm in printed
    assert "one training run" in " ".join(printed.split())
    config = json.loads((folder / "config.json").read_text())
    assert config["versions"]["torch"]
    assert config["environment"]["decisions"] == 4
    assert (folder / "policy.zip").stat().st_size > 0
    assert [json.loads(line)["step"] for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert list(folder.glob("events.*"))


@pytest.mark.filterwarnings("ignore:`n_steps=8` is ignored")  # said when a saved model is loaded
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_learns_by_the_same_command(name, tiny_suite, run_script, tmp_path: Path) -> None:
    brief = {"learning_starts": 20, "batch_size": 16, "gradient_steps": 1, "n_steps": 8, "n_epochs": 2}
    changes = [f"{key}={value}" for key, value in brief.items() if key in get_preset(name, tiny_suite).algorithm]
    arguments = ["--algo", name, "--suite", tiny_suite, "--num-envs", "2", "--total-timesteps", "120"]
    assert run_script("train_agent", *arguments, "--run-dir", "run", "--algo-options", *changes) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    assert any(key.startswith("train/") and key.endswith("loss") for row in rows for key in row)
    assert any("rollout/ep_rew_mean" in row for row in rows)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["environment"]["action_type"] == ALGORITHMS[name].action_types[0]
    assert (tmp_path / "run" / "teacher.json").is_file() == ALGORITHMS[name].taught
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert len(evaluation["methods"][name]["final"]) == 3
    policy = ALGORITHMS[name].cls.load(tmp_path / "run" / "policy.zip", device="cpu")
    assert policy.action_space.contains(policy.predict(policy.observation_space.sample())[0])


def test_a_teacher_of_another_run_is_not_searched_again(
    tiny_suite, run_script, capsys, monkeypatch, tmp_path: Path
) -> None:
    arguments = ["--suite", tiny_suite, "--num-envs", "2", "--total-timesteps", "60", "--algo-options", "n_steps=8"]
    assert run_script("train_agent", "--algo", "student_ppo", *arguments, "--run-dir", "first") == 0
    found = (tmp_path / "first" / "teacher.json").read_bytes()
    given = ["--teacher", "first/teacher.json"]
    assert run_script("train_agent", "--algo", "student_ppo", *arguments, *given, "--run-dir", "second") == 0
    assert (tmp_path / "second" / "teacher.json").read_bytes() == found
    first, second = ((tmp_path / name / "evaluation.json").read_text() for name in ("first", "second"))
    one, other = (json.loads(text)["methods"]["student_ppo"]["final"] for text in (first, second))
    assert one == other, "the training is that which follows a search"
    with monkeypatch.context() as patch:
        patch.setattr(PolicyTraining, "imitate", lambda *given: (os.kill(os.getpid(), signal.SIGTERM), given[2](0)))
        assert run_script("train_agent", "--algo", "student_ppo", *arguments, *given, "--run-dir", "third") == 143
    (tmp_path / "first").rename(tmp_path / "gone")
    assert run_script("train_agent", "--resume", "third") == 0, "it has a teacher of its own"
    assert (tmp_path / "third" / "evaluation.json").read_text() == second
    (tmp_path / "gone").rename(tmp_path / "first")
    content = json.loads(found)
    capsys.readouterr()
    for change in ({"curve": []}, {"values": content["values"] | {"lr_g": 5.0}}, {"plan": 3}, {"updates": None}):
        (tmp_path / "other.json").write_text(json.dumps(content | change))
        assert run_script("train_agent", "--algo", "taught_ppo", *arguments, "--teacher", "other.json") == 2
        error = capsys.readouterr().err
        assert "other.json is no teacher.json" in error and error.count("\n") == 1
    assert run_script("train_agent", "--algo", "ppo", *arguments, *given) == 2
    assert "ppo has no teacher" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--algo", "dqm"], ["dqm", "dqn", "ppo"]),
        (["--suite", "rings"], ["rings", "ring", "faces"]),
        (["--backbone", "stylegan9"], ["stylegan9", "dcgan", "mlp"]),
        (["--data", "cats"], ["cats", "faces", "folder:PATH"]),
        (["--data", "folder:nowhere"], ["nowhere"]),
        (["--data", "folder:empty"], ["empty"]),
        (["--data", "folder", "--data-dir", "empty"], ["no image", "empty"]),
        (["--data", "faces", "--data-dir", "empty"], ["--data-dir", "cifar10"]),
        (["--data", "cifar10"], ["cifar10:PATH"]),
        (["--data", "faces+ring"], ["ring", "points"]),
        (["--data", "digits", "--resolution", "24"], ["24", "16"]),
        (["--reward", "gold"], ["gold", "default"]),
        (["--observation", "everything"], ["everything", "absolute"]),
        (["--action-type", "analog"], ["analog", "continuous"]),
        (["--action-type", "continuous"], ["dqn", "discrete"]),
        (["--algo", "sac", "--action-type", "discrete"], ["sac", "continuous"]),
        (["--algo", "td3", "--algo-options", "action_noise=-1"], ["action_noise", "-1"]),
        (["--knobs", "lr_g"], ["lr_d"]),
        (["--knobs", "lr_g,lr_d,warp"], ["warp", "fm_weight"]),
        (["--num-envs", "0"], ["0"]),
        (["--total-timesteps", "-3"], ["-3"]),
        (["--device", "cuda"], ["cuda"]),
        (["--device", "tpu"], ["tpu", "cpu"]),
        (["--run-dir", "used"], ["used", "in use"]),
        (["--env", "colour=3"], ["colour", "decisions"]),
        (["--env", "decisions"], ["NAME=VALUE"]),
        (["--algo-options", "learning_speed=3"], ["learning_speed"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_status_2(arguments, names, run_script, capsys, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "precious.txt").write_text("keep")
    suite = [] if "--suite" in arguments or "--data" in arguments else ["--suite", "ring"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run_script("train_agent", *suite, *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert all(name in lines[0] for name in names), lines[0]
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "used" / "precious.txt").read_text() == "keep"


def test_list_names_everything_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--list"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    for name in ("dqn", "ppo", "ring", "faces", "folder:PATH", "dcgan", "mlp", "lr_g", "discrete", "absolute"):
        assert name in done.stdout


def test_a_run_on_a_cluster_gives_the_same_and_reports_what_it_lost(
    tiny_suite, run_script, capsys, monkeypatch, tmp_path: Path
) -> None:
    def lose(hosts):
        def before_ask(host, method, arguments):
            host.alive = host is not hosts.opened[0] or len(host.asked) < 12

        hosts.before_ask = before_ask

    clusters = [None, FakeCluster(), FakeCluster()]
    lose(clusters[2].hosts)
    given = iter(clusters)
    monkeypatch.setattr("agents.cluster.connected", lambda address: contextlib.nullcontext(next(given)))
    common = ["--suite", tiny_suite, "--algo", "dqn", "--num-envs", "16", "--total-timesteps", "96", "--no-progress"]
    for name in ("here", "there", "lossy"):
        assert run_script("train_agent", *common, "--run-dir", name) == 0
    here, there = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("here", "there"))
    assert here == there
    none, some = (json.loads((tmp_path / name / "lost.json").read_text()) for name in ("there", "lossy"))
    assert none == {"workers": 0, "training_episodes": 0, "evaluations": 0}
    assert some["workers"] == 1 and some["training_episodes"] + some["evaluations"] > 0
    assert "1 workers were lost" in capsys.readouterr().out


def test_a_run_goes_on_when_the_cluster_has_changed(
    tiny_suite, run_script, after_save, capsys, monkeypatch, tmp_path: Path
) -> None:
    hosts = {"local": FakeHosts(4), "10.0.0.1:6379": FakeHosts(1), "10.0.0.2:6379": FakeHosts(2)}
    clusters = {None: None} | {address: FakeCluster(one) for address, one in hosts.items()}
    monkeypatch.setattr("agents.cluster.connected", lambda address: contextlib.nullcontext(clusters[address]))
    common = ["--suite", tiny_suite, "--algo", "dqn", "--num-envs", "32", "--total-timesteps", "192", "--no-progress"]
    assert run_script("train_agent", *common, "--run-dir", "whole") == 0

    after_save(lambda number, step: os.kill(os.getpid(), signal.SIGTERM) if number in (2, 3) else None)
    assert run_script("train_agent", *common, "--run-dir", "run", "--cluster", "local") == 143
    run = tmp_path / "run"
    assert json.loads((run / "config.json").read_text())["environment"]["workers"] == 4
    (run / "lost.json").write_text('{"workers": "three"}')
    assert run_script("train_agent", "--resume", "run", "--cluster", "10.0.0.1:6379") == 2
    assert "lost.json does not hold the losses of a run" in capsys.readouterr().err
    lost = {"workers": 3, "training_episodes": 5, "evaluations": 1}
    (run / "lost.json").write_text(json.dumps(lost))
    assert run_script("train_agent", "--resume", "run", "--cluster", "10.0.0.2:6379") == 143
    assert [len(one.opened) for one in hosts.values()] == [4, 1, 2]
    assert json.loads((run / "lost.json").read_text()) == lost, "nothing more, nothing less"
    capsys.readouterr()
    assert run_script("train_agent", "--resume", "run", "--cluster", "None") == 0
    assert "going on from step" in capsys.readouterr().out
    assert (run / "evaluation.json").read_bytes() == (tmp_path / "whole" / "evaluation.json").read_bytes()


@pytest.mark.parametrize(
    ("given", "backbone"),
    [
        ({"device": "cuda"}, "mspg"),
        ({"device": "cuda:1", "backbone": "dcgan"}, "dcgan"),
        ({"device": "cuda", "suite": "ring"}, None),
        ({"device": "cuda", "suite": "varied"}, None),
        ({"device": "cuda", "suite": "mixed"}, None),
        ({}, None),
    ],
)
def test_images_have_another_backbone_on_a_gpu(load_script, given, backbone) -> None:
    script = load_script("train_agent")
    assert script.env_options(script.Options(**given), {}).get("backbone") == backbone
