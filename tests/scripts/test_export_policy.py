"""From a run folder to a balancer."""

import json

import numpy as np
import torch

from agents.balancer import Balancer
from agents.trained import load_run

TINY = ["--num-envs", "4", "--total-timesteps", "64", "--env", "decisions=4", "updates_per_step=2"]


def test_a_run_is_exported_and_balances(run_script, capsys, tmp_path):
    assert run_script("train_agent", "--algo", "ppo", "--suite", "ring", "--run-dir", "run", *TINY) == 0
    seen = json.loads((tmp_path / "run" / "features_seen.json").read_text())
    assert all(low <= high for low, high in seen.values())
    assert run_script("export_policy", "run") == 0
    assert "lr_g, lr_d, discrete" in capsys.readouterr().out
    model = load_run(tmp_path / "run")[0]
    policy = Balancer.load(tmp_path / "run" / "policy.safetensors").policy
    assert policy.spec.decisions == 4 and policy.spec.training["options"]["suite"] == "ring"
    assert policy.spec.training["evaluation"]["methods"] and list(policy.spec.seen) == list(seen)
    low, high = policy.spec.seen["loss_d"]
    assert low <= seen["loss_d"][0] < seen["loss_d"][1] <= high and high - low < 1.3 * np.ptp(seen["loss_d"])
    observations = torch.randn(200, len(policy.spec.observer().names)).clamp(-1, 1).numpy()
    assert (policy.act(observations)[0] == model.predict(observations, deterministic=True)[0]).all()

    (tmp_path / "run" / "features_seen.json").unlink()
    assert run_script("export_policy", "run", "--output", "out/other.safetensors") == 0
    assert "no features_seen.json" in capsys.readouterr().out
    assert Balancer.load(tmp_path / "out" / "other.safetensors").policy.spec.seen["loss_d"] == (-3, 3)


def test_mistakes_are_told_in_one_line(run_script, capsys, tmp_path):
    assert run_script("export_policy", "nowhere") == 2
    assert run_script("export_policy", "nowhere", "--output", "policy.zip") == 2
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    assert run_script("export_policy", "half") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 3 and "'nowhere' is no run folder" in errors and ".safetensors" in errors
