"""What codes are worth under noise, and how close bandits come to the best of them."""

import numpy as np
import pytest

from agents.bandit_regret import mean_rewards, measure_regret
from agents.bandit_training import make_bandit_env


def test_without_noise_a_code_is_worth_what_it_pays(checkpoint):
    envs = make_bandit_env(12, {"gan": str(checkpoint), "codes": 12})
    envs.reset(seed=0)
    _, rewards, *_ = envs.step(np.arange(12))
    np.testing.assert_allclose(mean_rewards(envs, draws=3), rewards, rtol=1e-6)


def test_shares_are_of_the_best_code(checkpoint):
    options = {"gan": str(checkpoint), "reward": "discriminator=1"}
    found = measure_regret(options, codes=6, pulls=320, seeds=2, draws=4, noise=0.1, bandits=["ema"])
    assert set(found["bandits"]) == {"ema"}
    for reached, greedy in zip(*(found["bandits"]["ema"][name] for name in ("reached", "greedy")), strict=True):
        assert found["random"] < reached <= greedy <= 1


@pytest.mark.parametrize("reward", ["calibrated", "diverse", "discriminator=2", "discriminator=1,diversity=1"])
def test_another_reward_is_refused(reward, checkpoint):
    with pytest.raises(ValueError, match="valued by the reward discriminator, not by"):
        measure_regret({"gan": str(checkpoint), "reward": reward}, 6, 64, 1, 2, 0.1)
