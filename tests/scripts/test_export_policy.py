"""From a run folder to a balancer."""

import json

import pytest
import torch

from agents.balancer import Balancer
from agents.trained import load_run
from tests.agents.deployed import Loop

TINY = ["--num-envs", "4", "--total-timesteps", "64", "--env", "decisions=4", "updates_per_step=2"]


def test_a_run_is_exported_and_balances(run_script, capsys, tmp_path):
    assert run_script("train_agent", "--algo", "ppo", "--suite", "ring", "--run-dir", "run", *TINY) == 0
    seen = json.loads((tmp_path / "run" / "feature_ranges.json").read_text())
    assert all(low <= high for low, high in seen.values())
    assert run_script("export_policy", "run") == 0
    assert "lr_g, lr_d, discrete" in capsys.readouterr().out
    model = load_run(tmp_path / "run")[0]
    policy = Balancer.load(tmp_path / "run" / "policy.safetensors").policy
    assert policy.spec.decisions == 4 and policy.spec.training["options"]["suite"] == "ring"
    assert policy.spec.training["evaluation"]["methods"] and list(policy.spec.seen) == list(seen)
    low, high = policy.spec.seen["loss_d"]
    assert (low, high) == pytest.approx((seen["loss_d"][0] - 0.3, seen["loss_d"][1] + 0.3))
    assert policy.spec.seen["budget_left"] == (0, 1) and policy.spec.seen["lr_g_relative"] == (-2.5, 2.5)
    observations = torch.randn(200, len(policy.spec.observer().names)).clamp(-1, 1).numpy()
    assert (policy.act(observations)[0] == model.predict(observations, deterministic=True)[0]).all()

    loop, logits = Loop(), torch.linspace(-0.1, 0.1, 8)
    bounds = dict.fromkeys(("lr_g", "lr_d"), (9e-4, 1.1e-3))
    balancer = Balancer(policy).attach(*loop.optimizers, total_updates=80, decisions=80, bounds=bounds)
    assert not any(held(balancer, loop, logits))
    with pytest.warns(UserWarning, match=r"logit is .* \(in training .* holds its knobs still$"):
        assert all(held(balancer, loop, logits + 50))
    assert not any(held(balancer, loop, logits))

    (tmp_path / "run" / "feature_ranges.json").unlink()
    assert run_script("export_policy", "run", "--output", "out/other.safetensors") == 0
    assert "no feature_ranges.json" in capsys.readouterr().out
    assert Balancer.load(tmp_path / "out" / "other.safetensors").policy.spec.seen["loss_d"] == (-3, 3)

    (tmp_path / "run" / "feature_ranges.json").write_text('{"real_accuracy": 5}')
    assert run_script("export_policy", "run", "--output", "out/spoilt.safetensors") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "run/feature_ranges.json does not give" in error
    assert not (tmp_path / "out" / "spoilt.safetensors").exists()


def held(balancer, loop, logits):
    """Whether the balancer holds after each of a few steps of the loop, of which it sees these logits."""
    holding = []
    for _ in range(20):
        loop.step()
        balancer.update(0.0, 0.0, logits, logits)
        holding.append(balancer.holding)
    return holding


def test_mistakes_are_told_in_one_line(run_script, capsys, tmp_path):
    assert run_script("export_policy", "nowhere") == 2
    assert run_script("export_policy", "nowhere", "--output", "policy.zip") == 2
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    assert run_script("export_policy", "half") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 3 and "'nowhere' is no run folder" in errors and ".safetensors" in errors
