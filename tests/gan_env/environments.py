"""What the tests of the environments share."""

import math

import numpy as np
import pytest

from gan_env import ENVIRONMENTS, GanInstance
from gan_env.knobs import ACTION_TYPES

SMALL = {"suite": "ring", "updates_per_step": 2, "decisions": 20}

LATENT = {"GanLatentBandit-v0", "GanLatentBox-v0"}
"""Ids over a frozen GAN; they have tests of their own."""
every_id = pytest.mark.parametrize("env_id", [env_id for env_id in ENVIRONMENTS if env_id not in LATENT])
every_action_type = pytest.mark.parametrize("action_type", ACTION_TYPES)


def play(env, actions, **reset):
    """Everything that an episode returns, in plain values."""
    observation, info = env.reset(**reset)
    trace = [(observation.tolist(), info)]
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        trace.append((observation.tolist(), reward, terminated, truncated, info))
    return trace


def draw(env, count, seed=0):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def pinned(env, **changes):
    """An instance of the environment's own suite, with changes."""
    return GanInstance(**(vars(env.core.suite.sample(np.random.default_rng(0))) | changes))


def poison(env, value=math.nan, tensor=0):
    """Put one bad number into the GAN's weights (or another of its tensors)."""
    population, data = env.core.population, env.core.data_of(0)
    state = population.state_dict()
    state["tensors"][tensor].view(-1)[3] = value
    population.load_state_dict(state, {data.fingerprint: data})
