"""Stable-Baselines3 on the environments over a frozen GAN, through the same adapter as everything else."""

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecMonitor

from agents.sb3 import make_model
from agents.vec_env import SB3VecEnv
from gan_env import GanLatentBanditVectorEnv, GanLatentBoxVectorEnv


def test_dqn_finds_the_best_code(checkpoint):
    envs = GanLatentBanditVectorEnv(8, autoreset_mode="SameStep", gan=checkpoint, codes=6, pulls=10)
    options = {"gamma": 0.0, "learning_starts": 64, "train_freq": 1, "gradient_steps": 4, "learning_rate": 5e-3}
    model = make_model("dqn", VecMonitor(SB3VecEnv(envs)), 0, options)
    model.learn(1200)
    rewards = envs.core.known_terms["discriminator"]
    actions, _ = model.predict(np.zeros(3, np.int64), deterministic=True)
    assert rewards[actions[0]] >= np.sort(rewards)[-2], "the best code, or one that can hardly be told from it"
    assert np.ptp(rewards) > 0.02, "codes differ, or the test says nothing"


@pytest.mark.parametrize("environment", [GanLatentBanditVectorEnv, GanLatentBoxVectorEnv])
def test_ppo_takes_both(checkpoint, environment):
    envs = environment(4, autoreset_mode="SameStep", gan=checkpoint, pulls=5)
    model = make_model("ppo", VecMonitor(SB3VecEnv(envs)), 0, {"gamma": 0.0, "n_steps": 16, "batch_size": 32})
    model.learn(128)
    observations, _ = envs.reset(seed=0)
    actions, _ = model.predict(observations)
    assert envs.action_space.contains(actions.astype(envs.single_action_space.dtype))
    assert np.isfinite(envs.step(actions)[1]).all()
