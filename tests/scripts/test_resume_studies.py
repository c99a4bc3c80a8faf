"""train_gan.py, train_ral.py and latent_report.py, stopped in the middle: they leave what a whole run leaves."""

import dataclasses
import functools
import json
import os
import signal
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.latent_gans import GanSizes
from agents.latent_study import looking
from agents.latent_study.experiments import write_exploit
from agents.latent_study.lab import quick
from agents.latent_study.study import PARTS
from gan_backbones.tensor_file import read_tensors

GAN = ["--data", "digits", "--resolution", "16", "--batch-size", "4", "--updates", "16", "--updates-per-decision", "2"]
GAN += ["--snapshots", "2", "--snapshot-samples", "32", "--samples", "40", "--real", "60", "--metrics", "fd"]
GAN += ["--extractor", "efficientnet-lite0@32/2", "--backbone", "mspg", "--grow", "0.5", "--controller", "apfl"]
GAN += ["--backbone-options", "width=2", "latent_size=4", "lite=True", "--ema-halflife", "8", "--no-progress"]


def left(folder: Path) -> dict[str, object]:
    """All that a run leaves, by name, without the seconds that it took and when it was."""
    found: dict[str, object] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors, about = read_tensors(path)
        found[path.name] = {name: tensor.tolist() for name, tensor in tensors.items()}, about
    for path in folder.glob("*.json"):
        if path.name != "config.json":
            found[path.name] = untimed(json.loads(path.read_text()))
    for path in folder.glob("figures/*"):
        found[path.name] = path.read_bytes()
    if (folder / "stats.jsonl").exists():
        found["stats.jsonl"] = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
        events = EventAccumulator(str(folder), {"scalars": 0, "images": 0}, purge_orphaned_data=False)
        for tag in events.Reload().Tags()["scalars"]:
            found[tag] = [(point.step, point.value) for point in events.Scalars(tag)]
        for tag in events.Tags()["images"]:
            found[tag] = [(point.step, point.encoded_image_string) for point in events.Images(tag)]
    return found


def untimed(content):
    if isinstance(content, list):
        return [untimed(item) for item in content]
    if isinstance(content, dict):
        return {key: untimed(value) for key, value in content.items() if "seconds" not in key and key != "command"}
    return content


def compare(run_script, after_save, tmp_path, script, arguments, stops):
    """Run whole, and stopped after each of the checkpoints ``stops``; both must leave the same."""
    assert run_script(script, *arguments, "--run-dir", "whole") == 0

    def stop(at, number, step):
        if number == at:
            os.kill(os.getpid(), signal.SIGTERM)

    again = [*arguments, "--run-dir", "broken"]
    for at in stops:
        after_save(functools.partial(stop, at))
        assert run_script(script, *again) == 143
        again = ["--resume", "broken", "--no-progress"]
        if (tmp_path / "broken" / "stats.jsonl").exists():
            (tmp_path / "broken" / "stats.jsonl").open("a").write('{"update": 9999}\n{"up')
    after_save(lambda number, step: None)
    assert run_script(script, *again) == 0
    whole, broken = (left(tmp_path / name) for name in ("whole", "broken"))
    assert whole.keys() == broken.keys() and [name for name in whole if whole[name] != broken[name]] == []
    assert not (tmp_path / "broken" / "checkpoints").exists(), "nothing is left to go on from"
    return whole


@pytest.mark.parametrize("arguments", [GAN], ids=["growing"])
def test_a_gan_s_training(run_script, after_save, tmp_path, capsys, arguments):
    whole = compare(run_script, after_save, tmp_path, "train_gan", arguments, [3, 2])
    assert {"gan.safetensors", "gan-ema.safetensors", "evaluation.json", "gan/loss_d", "raw/samples"} <= whole.keys()
    assert len(whole["gan/loss_d"]) == 8 and len(whole["raw/samples"]) == 2
    capsys.readouterr()
    assert run_script("train_gan", "--resume", "broken") == 0
    assert "broken is finished" in " ".join(capsys.readouterr().out.split())
    assert run_script("train_gan", "--resume", "broken", "--seed", "7") == 2
    assert "begun with --seed 0, not 7" in capsys.readouterr().err


BANDIT = ["--algo", "bandit", "--total-timesteps", "320", "--num-envs", "16", "--data", "digits", "--no-progress"]
BANDIT += ["--env", "gan_updates=6", "gan_width=2", "gan_batch_size=4", "gan_latent_size=4", "codes=24", "noise=0.1"]


def test_a_bandit_over_a_gan_that_is_trained_for_it(run_script, after_save, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("agents.bandit_run._GRADES", 2)
    monkeypatch.setattr("agents.bandit_run._GRADE_IMAGES", 8)
    # In the training of the GAN, in the middle of the pulls, and after the last one.
    whole = compare(run_script, after_save, tmp_path, "train_agent", BANDIT, [3, 8, 15])
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


def test_reinforced_adversarial_learning(run_script, after_save, tmp_path):
    # In each of the three stages.
    whole = compare(run_script, after_save, tmp_path, "train_ral", RAL, [2, 2, 3])
    assert {"vqvae.safetensors", "prior.safetensors", "ral.safetensors", "decoder.safetensors"} <= whole.keys()
    assert len(whole["vqvae/error"]) == 3 and len(whole["vqvae/reconstructions"]) == 1 and len(whole["ral/reward"]) == 4


def test_the_study_of_a_frozen_gan(run_script, after_save, monkeypatch, tmp_path):
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
    whole = compare(run_script, after_save, tmp_path, "latent_report", [*arguments, "--no-progress"], stops)
    assert {"study.json", "gan.safetensors", "fd.svg", "reward.svg", "pixels-32.png", "policy-2.png"} <= whole.keys()
    pages = [
        (tmp_path / name / "report.html").read_text().split("How this was made</h2>") for name in ("whole", "broken")
    ]
    assert pages[0][0] == pages[1][0]
