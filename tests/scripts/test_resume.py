"""Runs that are stopped by signals or killed, and go on: what they leave is what an undisturbed run leaves."""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import torch

from agents.tree_file import read_tree, write_tree

BRIEF = ["--total-timesteps", "120", "--num-envs", "4", "--algo-options", "n_steps=5", "batch_size=10", "n_epochs=1"]


def test_signals_save_and_the_run_goes_on(
    tiny_suite, run_script, load_script, after_save, capsys, tmp_path: Path
) -> None:
    arguments = ["--algo", "ppo", "--suite", tiny_suite, "--no-progress", *BRIEF]
    assert run_script("train_agent", *arguments, "--run-dir", "whole") == 0

    def stop(number: int, step: int) -> None:
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        elif step == 120:
            os.kill(os.getpid(), signal.SIGINT)

    after_save(stop)
    assert run_script("train_agent", *arguments, "--run-dir", "broken") == 143
    assert "go on with: python train_agent.py --resume broken" in capsys.readouterr().out
    assert len(list((tmp_path / "broken" / "checkpoints").iterdir())) == 2
    # In the middle of something, as after a kill; then one more stop, when only the grading is left.
    (tmp_path / "broken" / "stats.jsonl").open("a").write('{"step": 9999}\n{"st')
    assert run_script("train_agent", "--resume", "broken", "--checkpoint-every", "0") == 130
    assert "going on from step 40" in capsys.readouterr().out
    assert not (tmp_path / "broken" / "evaluation.json").exists()
    after_save(lambda number, step: None)
    assert run_script("train_agent", "--resume", "broken", "--no-progress") == 0
    printed = capsys.readouterr().out
    assert "going on from step 120" in printed and "of the time" in printed

    chaos = load_script("chaos")
    found = chaos.artefacts(tmp_path / "broken")
    assert chaos.differing(chaos.artefacts(tmp_path / "whole"), found) == []
    assert {"stats.jsonl", "policy.zip/policy.pth", "tensorboard/gan/loss_d", "tensorboard/hparam/iqm"} <= set(found)
    assert len(found["tensorboard/time/fps"]) == 6 and not any("iterations" in name for name in found)
    assert chaos.differing(found, found | {"stats.jsonl": found["stats.jsonl"][:-1]}) == ["stats.jsonl"]
    assert not (tmp_path / "broken" / "checkpoints").exists(), "nothing is left to go on from"
    cost = json.loads((tmp_path / "broken" / "validation.json").read_text())["checkpoints"]
    assert cost["count"] == 1 and cost["seconds"] > 0 and 0 < cost["share"] < 1
    assert len(json.loads((tmp_path / "broken" / "config.json").read_text())["continued"]) == 2

    assert run_script("train_agent", "--resume", "broken") == 0
    assert "broken is finished" in " ".join(capsys.readouterr().out.split())


def test_a_wrong_resume_is_one_line_and_status_2(tiny_suite, run_script, after_save, capsys, tmp_path: Path) -> None:
    def stop(number: int, step: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    after_save(stop)
    arguments = ["--algo", "ppo", "--suite", tiny_suite, *BRIEF, "--run-dir", "run"]
    assert run_script("train_agent", *arguments) == 130
    (tmp_path / "bandit").mkdir()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    changes = {"bandit": config["options"] | {"algo": "bandit"}, "other": {"strange": 1}}
    for name, options in changes.items():
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.json").write_text(json.dumps(config | {"options": options}))
    (tmp_path / "changed").mkdir()
    (tmp_path / "changed" / "config.json").write_text(json.dumps(config | {"algorithm": {"n_steps": 6}}))
    capsys.readouterr()
    for wrong, names in [
        (["--resume", "run", "--seed", "1"], ["begun with --seed 0, not 1"]),
        (["--resume", "run", "--algo-options", "n_steps=6"], ["begun with --algo-options"]),
        (["--resume", "run", "--checkpoint-every", "-1"], ["at least 0, not -1"]),
        (["--resume", "nowhere"], ["nowhere", "config.json"]),
        (["--resume", "other"], ["other", "no run folder of train_agent.py"]),
        (["--resume", "bandit"], ["--algo bandit"]),
        (["--resume", "changed"], ["no longer those", "algorithm"]),
        (["--run-dir", "run"], ["in use", "--resume"]),
    ]:
        assert run_script("train_agent", *wrong) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and all(name in lines[0] for name in names), lines


def test_a_run_whose_processes_die_says_how_to_go_on(tiny_suite, run_script, after_save, capsys) -> None:
    def kill(number: int, step: int) -> None:
        [victim, *_] = multiprocessing.active_children()
        victim.kill()
        victim.join()

    after_save(kill)
    arguments = ["--algo", "dqn", "--suite", tiny_suite, "--num-envs", "16", "--total-timesteps", "64", "--no-progress"]
    assert run_script("train_agent", *arguments, "--env", "workers=2", "--run-dir", "run") == 1
    printed = capsys.readouterr()
    assert "go on with: python train_agent.py --resume run" in printed.out
    assert printed.err == "error: a process that trains GANs has died; was it killed, or out of memory?\n"


def test_a_checkpoint_that_fits_no_run_is_one_line_and_status_2(
    tiny_suite, run_script, after_save, capsys, tmp_path: Path
) -> None:
    after_save(lambda number, step: os.kill(os.getpid(), signal.SIGINT) if number == 2 else None)
    assert run_script("train_agent", "--algo", "ppo", "--suite", tiny_suite, *BRIEF, "--run-dir", "run") == 130
    config, path = tmp_path / "run" / "config.json", sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    tree, about = read_tree(path)
    learner, options = tree["learner"], json.loads(config.read_text())["options"]
    policy = learner["parameters"]["policy"]
    weights = {name: torch.full_like(tensor, torch.nan) for name, tensor in policy.items()}
    broken = learner | {"parameters": learner["parameters"] | {"policy": weights}}
    population = learner["environments"]["core"]["population"]
    population["tensors"][0][1] = torch.nan
    capsys.readouterr()
    for spoilt, name in [({}, "entries"), (tree | {"learner": broken}, "not finite"), (tree, "not finite")]:
        write_tree(path, spoilt, about)
        assert run_script("train_agent", "--resume", "run", "--no-progress") == 2
        (told,) = capsys.readouterr().err.strip().splitlines()
        assert f"{path.name} does not fit this run" in told and name in told
    for wrong in ({"total_timesteps": "abc"}, {"seed": True}, {"env": [1]}, {"resume": 3, "run_dir": {}, "list": None}):
        config.write_text(json.dumps({"options": options | wrong}))
        assert run_script("train_agent", "--resume", "run") == 2
        (told,) = capsys.readouterr().err.strip().splitlines()
        assert "no run folder of train_agent.py" in told and list(wrong)[-1] in told


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(
    tiny_suite, run_script, after_save, monkeypatch, capsys, tmp_path: Path
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    after_save(lambda number, step: monkeypatch.setattr(os, "fsync", full) if number == 2 else None)
    arguments = ["--algo", "ppo", "--suite", tiny_suite, *BRIEF]
    assert run_script("train_agent", *arguments, "--run-dir", "run", "--checkpoint-every", "0") == 2
    problem = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device" in problem and "step-000000000020.safetensors, is whole" in problem
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


def test_a_comparison_goes_on_in_the_middle_of_a_cell(
    tiny_suite, run_script, after_save, capfd, tmp_path: Path
) -> None:
    arguments = ["--suite", tiny_suite, "--methods", "a2c", "--budget", "2000", "--seeds", "1", "--no-progress"]
    assert run_script("compare", *arguments, "--run-dir", "whole") == 0

    def die(number: int, step: int) -> None:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    after_save(die)
    assert run_script("compare", *arguments, "--run-dir", "broken") == 1
    assert "was killed" in capfd.readouterr().err
    assert len(list((tmp_path / "broken" / "cells" / "rescue" / "a2c" / ".0.checkpoints").iterdir())) == 2
    steps = []
    after_save(lambda number, step: steps.append(step) or print(f"saved {step}", file=sys.stderr, flush=True))
    assert run_script("compare", *arguments, "--run-dir", "broken") == 0
    saved = [int(line.split()[1]) for line in capfd.readouterr().err.splitlines() if line.startswith("saved")]
    assert saved[0] == 960, "it did not begin anew"

    def rows(run: str) -> list:
        rows = [json.loads(line) for line in (tmp_path / run / "results.jsonl").read_text().splitlines()]
        return [{name: row[name] for name in row if name != "seconds"} for row in rows]

    def cell(run: str) -> dict:
        about = json.loads((tmp_path / run / "cells/rescue/a2c/0/cell.json").read_text())
        return {name: about[name] for name in ("updates", "curve", "notes")}

    assert rows("broken") == rows("whole") and cell("broken") == cell("whole")
    assert not list((tmp_path / "broken" / "cells").glob("*/*/.*"))


def test_kills_at_random_moments_change_nothing(tiny_suite, run_script, capsys, tmp_path: Path) -> None:
    arguments = ["--algo", "ppo", "--suite", tiny_suite, *BRIEF]
    assert run_script("chaos", "--kills", "2", "--run-dir", "chaos", "--", *arguments) == 0
    record = json.loads((tmp_path / "chaos" / "chaos.json").read_text())
    assert len(record["kills"]) == 2 and record["runs"] >= 1 and record["differences"] == []
    assert record["compared"] > 20 and {"git_commit", "hardware", "versions"} <= record.keys()
    assert run_script("chaos", "--kills", "0") == 2
