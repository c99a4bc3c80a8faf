"""train_gan.py, train_ral.py and latent_report.py, stopped in the middle: they leave what a whole run leaves."""

import contextlib
import dataclasses
import functools
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from agents.latent_gans import GanSizes
from agents.latent_study import looking
from agents.latent_study.experiments import write_exploit
from agents.latent_study.lab import quick
from agents.latent_study.study import PARTS
from gan_env.quality import cached_data

GAN = ["--data", "digits", "--resolution", "16", "--batch-size", "4", "--updates", "16", "--updates-per-decision", "2"]
GAN += ["--snapshots", "2", "--snapshot-samples", "32", "--samples", "40", "--real", "60", "--metrics", "fd"]
GAN += ["--extractor", "efficientnet-lite0@32/2", "--backbone", "mspg", "--grow", "0.5", "--controller", "apfl"]
GAN += ["--backbone-options", "width=2", "latent_size=4", "lite=True", "--ema-halflife", "8", "--no-progress"]


class Killed(BaseException):
    """Nothing is done about it."""


@pytest.fixture
def compare(run_script, load_script, after_save, tmp_path):
    """``compare(script, arguments, stops)``: run whole, and stopped after each of the checkpoints ``stops``, or, where
    it is negative, killed before that one; both must leave the same, which is returned."""
    return functools.partial(_compare, run_script, load_script("chaos"), after_save, tmp_path)


def _compare(run_script, chaos, after_save, tmp_path, script, arguments, stops):
    assert run_script(script, *arguments, "--run-dir", "whole") == 0

    def stop(at, number, step):
        if number == at:
            os.kill(os.getpid(), signal.SIGTERM)

    def kill(at, number, step):
        if number == -at:
            raise Killed

    again = [*arguments, "--run-dir", "broken"]
    for at in stops:
        after_save(functools.partial(stop, at), functools.partial(kill, at))
        with contextlib.nullcontext() if at > 0 else pytest.raises(Killed):
            assert run_script(script, *again) == 143
        again = ["--resume", "broken", "--no-progress"]
        if (tmp_path / "broken" / "stats.jsonl").exists():
            (tmp_path / "broken" / "stats.jsonl").open("a").write('{"update": 9999}\n{"up')
    after_save(lambda number, step: None)
    assert run_script(script, *again) == 0
    whole, broken = (chaos.artefacts(tmp_path / name) for name in ("whole", "broken"))
    assert chaos.differing(whole, broken) == []
    assert not (tmp_path / "broken" / "checkpoints").exists(), "nothing is left to go on from"
    return {name.removeprefix("tensorboard/"): content for name, content in whole.items()}


@pytest.mark.parametrize("arguments", [GAN], ids=["growing"])
def test_a_gan_s_training(compare, run_script, capsys, arguments):
    whole = compare("train_gan", arguments, [3, 2, 3])
    assert {"gan.safetensors", "gan-ema.safetensors", "evaluation.json", "gan/loss_d", "raw/samples"} <= whole.keys()
    assert len(whole["gan/loss_d"]) == 8 and len(whole["raw/samples"]) == 2
    capsys.readouterr()
    assert run_script("train_gan", "--resume", "broken") == 0
    assert "broken is finished" in " ".join(capsys.readouterr().out.split())
    assert run_script("train_gan", "--resume", "broken", "--seed", "7") == 2
    assert "begun with --seed 0, not 7" in capsys.readouterr().err


BANDIT = ["--algo", "bandit", "--total-timesteps", "320", "--num-envs", "16", "--data", "digits", "--no-progress"]
BANDIT += ["--env", "gan_updates=6", "gan_width=2", "gan_batch_size=4", "gan_latent_size=4", "codes=24", "noise=0.1"]


def test_a_bandit_over_a_gan_that_is_trained_for_it(compare, run_script, monkeypatch, capsys):
    monkeypatch.setattr("agents.bandit_run._GRADES", 2)
    monkeypatch.setattr("agents.bandit_run._GRADE_IMAGES", 8)
    # In the training of the GAN, in the middle of the pulls, and after the last one.
    whole = compare("train_agent", BANDIT, [3, 8, 15])
    printed = capsys.readouterr().out
    for told in ("go on with: python train_agent.py --resume broken", *(f"from step {at}" for at in (3, 86, 326))):
        assert told in printed
    assert {"gan.safetensors", "policy.safetensors", "evaluation.json", "draws/bandit"} <= whole.keys()
    assert len(whole["reward/last_1000"]) == len(whole["stats.jsonl"]) == 20
    assert run_script("train_agent", "--resume", "broken") == 0
    assert "broken is finished" in " ".join(capsys.readouterr().out.split())
    assert run_script("train_agent", "--resume", "broken", "--env", "codes=8") == 2
    assert "begun with --env" in capsys.readouterr().err


RAL = ["--vqvae.width", "8", "--vqvae.codes", "8", "--prior.channels", "16", "--prior.layers", "1", "--samples", "32"]
RAL += ["--vqvae-updates", "3", "--prior-updates", "3", "--ral-updates", "3", "--ral.warm-up", "1"]
RAL += ["--data", "digits", "--resolution", "16", "--ral.batch-size", "4", "--no-progress"]
RAL += ["--decoder-learning-rate", "1e-3", "--against", "images"]


def test_reinforced_adversarial_learning(compare):
    # In the first stage; between its weights and the first checkpoint of the second; in the second and the third;
    # and when only the grading is left.
    whole = compare("train_ral", RAL, [2, -2, 1, 3, 3])
    assert {"vqvae.safetensors", "prior.safetensors", "ral.safetensors", "decoder.safetensors"} <= whole.keys()
    assert len(whole["vqvae/error"]) == 3 and len(whole["vqvae/reconstructions"]) == 1 and len(whole["ral/reward"]) == 4


def test_the_study_of_a_frozen_gan(compare, monkeypatch, tmp_path):
    sizes = GanSizes(latent_size=6, width=2, batch_size=4, updates=4)
    settings = dataclasses.replace(
        quick(), sizes=sizes, real=64, looks=2, samples=24, large_updates=2, codes=8, pulls=64, policy_pulls=1024
    )
    settings = dataclasses.replace(settings, noisy_codes=8, noisy_pulls=64, noisy_seeds=1, noisy_draws=2)
    monkeypatch.setattr("agents.latent_study.lab.quick", lambda: settings)
    monkeypatch.setattr("agents.latent_study.study._answer", lambda lab, quick: [])
    brief = {looking.write_pairs, looking.write_confusion, looking.write_reproducibility, write_exploit}
    monkeypatch.setattr("agents.latent_study.study.PARTS", [part for part in PARTS if part not in brief])
    arguments = ["--quick", "--data", "digits", "--resolution", "16", "--extractor", "efficientnet-lite0@32/2"]
    # In the first training, after a part, under noise, among the rivals, in the second of two trainings, and in the
    # learning of two agents.
    stops = [3, 4, 3, 7, 9, 26, 15]
    whole = compare("latent_report", [*arguments, "--no-progress"], stops)
    assert {"study.json", "gan.safetensors", "fd.svg", "reward.svg", "pixels-32.png", "policy-2.png"} <= whole.keys()
    pages = [
        (tmp_path / name / "report.html").read_text().split("How this was made</h2>") for name in ("whole", "broken")
    ]
    assert pages[0][0] == pages[1][0]


@pytest.mark.parametrize(("script", "arguments"), [("train_gan", GAN), ("train_ral", RAL)])
def test_kills_at_random_moments_change_nothing(run_script, tmp_path, script, arguments):
    given = [argument for argument in arguments if argument != "--no-progress"]
    assert run_script("chaos", "--script", script, "--kills", "2", "--run-dir", "chaos", "--", *given) == 0
    record = json.loads((tmp_path / "chaos" / "chaos.json").read_text())
    assert record["script"] == script and len(record["kills"]) == 2 and record["differences"] == []
    assert record["compared"] > 20 and "git_commit" in record


PHOTOS = ["--data", "folder:photos", "--resolution", "16", "--no-progress"]
BRIEF = ["--backbone-options", "width=2", "latent_size=4", "--batch-size", "4", "--updates", "4", "--snapshots", "1"]
BRIEF += ["--updates-per-decision", "2", "--snapshot-samples", "8", "--extractor", "efficientnet-lite0@32/2"]


@pytest.mark.parametrize(("script", "arguments"), [("train_gan", BRIEF), ("train_ral", RAL[:14])])
def test_a_run_does_not_go_on_with_other_data(run_script, after_save, tmp_path, capsys, script, arguments):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(25):
        Image.fromarray(rng.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(tmp_path / f"photos/{index}.png")
    (tmp_path / "photos" / "24.png").rename(tmp_path / "later.png")
    after_save(lambda number, step: os.kill(os.getpid(), signal.SIGTERM))
    assert run_script(script, *arguments, *PHOTOS, "--run-dir", "run") == 143
    (tmp_path / "later.png").rename(tmp_path / "photos" / "24.png")
    cached_data.cache_clear()
    capsys.readouterr()
    assert run_script(script, "--resume", "run") == 2
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert "is of a run with fingerprint of folder:photos" in told
    cached_data.cache_clear()
