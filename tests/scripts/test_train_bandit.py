"""``train_agent.py --algo bandit``, as a person types it."""

import dataclasses
import json

import numpy as np
import pytest

from agents.bandit_run import _policies
from agents.bandits import BANDITS, make_bandit
from gan_backbones import load_gan, save_gan
from gan_backbones.tensor_file import read_tensors

TINY = ["--algo", "bandit", "--total-timesteps", "320", "--num-envs", "16", "--no-progress", "--run-dir", "run"]
GAN = ["gan_updates=6", "gan_width=2", "gan_batch_size=4", "gan_latent_size=4"]


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """Grades of a handful of images."""
    monkeypatch.setattr("agents.bandit_run._GRADES", 2)
    monkeypatch.setattr("agents.bandit_run._GRADE_IMAGES", 8)


def test_a_run_trains_a_gan_and_leaves_a_whole_folder(run_script, tmp_path, capsys):
    arguments = ["--data", "digits", "--env", *GAN, "codes=24", "noise=0.1"]
    assert run_script("train_agent", *TINY, *arguments) == 0
    folder = tmp_path / "run"
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert set(evaluation["methods"]) == {"bandit", "top", "some", "random"} and len(evaluation["instances"]) == 2
    for method in evaluation["methods"].values():
        assert set(method) == {"final", "median", "iqm", "ci95", "p90"} and len(method["final"]) == 2
    config = json.loads((folder / "config.json").read_text())
    assert config["gan"]["updates"] == 6 and config["algorithm"]["learner"] == "ema"
    rows = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 320 and {"reward/last_1000", "entropy/policy", "entropy/last_1000"} < set(rows[-1])
    assert list(folder.glob("events.*"))
    assert load_gan(folder / "gan.safetensors")[2].latent_size == 4
    tensors, _ = read_tensors(folder / "policy.safetensors")
    assert tensors["values"].shape == (24,) and tensors["codes"].shape == (24, 4)
    assert "bandit" in capsys.readouterr().out


def test_the_best_tenth_is_compared_with_as_many_codes_at_random():
    bandit = make_bandit("ema", 40, 0)
    arms = np.arange(40)
    bandit.learn(arms, np.cos(arms))
    policies = _policies(bandit, seed=1)
    assert np.flatnonzero(policies["top"]).tolist() == sorted(arms[np.cos(arms).argsort()][-4:])
    assert policies["top"].max() == policies["some"].max() == 1 / 4 and policies["some"].sum() == 1
    assert (policies["some"] != _policies(bandit, seed=2)["some"]).any()
    assert (policies["some"] == _policies(bandit, seed=1)["some"]).all()


@pytest.mark.parametrize("learner", BANDITS)
def test_every_learner_draws_from_a_gan_that_is_loaded(learner, run_script, tmp_path, checkpoint):
    assert (
        run_script(
            "train_agent", *TINY, "--env", f"gan={checkpoint}", "codes=20", "--algo-options", f"learner={learner}"
        )
        == 0
    )
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["codes"] == 20 and evaluation["curves"]["reward/last_1000"] > 0
    assert not (tmp_path / "run" / "gan.safetensors").exists()


def test_a_team_has_a_member_for_each_term(run_script, tmp_path, checkpoint):
    arguments = ["--env", f"gan={checkpoint}", "codes=20", "--reward", "discriminator=1,diversity=0.5"]
    assert run_script("train_agent", *TINY, *arguments, "--algo-options", "team=alternating") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["algorithm"]["team"] == "alternating"


@pytest.mark.parametrize("given", [["--data", "digits"], ["data=digits"]], ids=["data", "env"])
def test_data_are_named_once_for_rewards_and_grades(given, run_script, tmp_path, checkpoint):
    """Of a checkpoint that does not say what it was trained on."""
    generator, discriminator, meta = load_gan(checkpoint)
    save_gan(tmp_path / "silent.safetensors", generator, discriminator, dataclasses.replace(meta, notes={}))
    arguments = ["--reward", "calibrated", "--env", "gan=silent.safetensors", "codes=20", *given]
    assert run_script("train_agent", *TINY, *arguments) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["environment"]["data"] == "digits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "gan=nowhere"], "cannot load GAN 'nowhere'"),
        (["--env", "colour=3"], "--env: unknown option 'colour'; known: "),
        (["--env", "gan_updates=0"], "gan_updates must be a whole number"),
        (["--env", "gan=x", "gan_updates=3"], "leave them out beside gan=PATH"),
        (["--env", "codes=0"], "codes must be"),
        (["--algo-options", "learner=dqn"], "unknown bandit 'dqn'; known: ema"),
        (["--algo-options", "team=all"], "unknown team 'all'; known: weighted"),
        (["--algo-options", "team=weighted"], "a reward of at least two terms"),
        (["--algo-options", "alpha=3"], "bandit 'ema'"),
        (["--algo-options", "team_period=3"], "'team_period' is for a team; name one by team=, of weighted"),
        (["--reward", "diverse", "--algo-options", "team=alternating", "team_pace=3"], "team 'alternating': "),
        (["--data", "digits", "--env", "gan=x", "data=faces"], "--data digits and --env data=faces differ"),
        (["--reward", "quality"], "unknown reward 'quality'; presets: discriminator"),
        (["--knobs", "lr_g,lr_d"], "--knobs is not for --algo bandit"),
        (["--suite", "ring"], "--suite is not for --algo bandit"),
        (["--data", "ring"], "holds points"),
        (["--num-envs", "0"], "must be at least 1"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, run_script, tmp_path, capsys):
    assert run_script("train_agent", *TINY, *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / "run").exists()
