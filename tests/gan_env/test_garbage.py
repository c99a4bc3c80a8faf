"""Actions and resets that nobody means, in every environment of a GAN in training."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.gan_env.environments import SMALL, every_action_type

GARBAGE = {
    "nothing": lambda sample: None,
    "text": lambda sample: "up",
    "object": lambda sample: object(),
    "not numbers": lambda sample: np.full(sample.shape, np.nan),
    "infinite": lambda sample: np.full(sample.shape, np.inf),
    "complex": lambda sample: sample.astype(np.complex64),
    "dates": lambda sample: np.zeros(sample.shape, "m8[s]"),
    "in training": lambda sample: torch.ones(sample.shape, requires_grad=True),
    "ragged": lambda sample: [[1, 2], [3]],
    "too many": lambda sample: np.concatenate([sample.reshape(-1)] * 2),
    "another shape": lambda sample: np.zeros((*sample.shape, 2), sample.dtype),
    "far away": lambda sample: np.full(sample.shape, 10**6),
}
RESETS = [{"seed": -1}, {"seed": "x"}, {"seed": 2.5}, {"seed": [1]}, {"options": 3}, {"options": {"x": 1}}]
RESETS += [{"options": {"instance": 5}}, {"options": {"instance": "x"}}]


@pytest.fixture(params=[None, 2], ids=["one", "two"])
def env(request, action_type):
    options = SMALL | {"action_type": action_type}
    made = gym.make("gan_env:GanBalanceEnv-v0", disable_env_checker=True, **options) if request.param is None else None
    made = made.unwrapped if made is not None else gym.make_vec("gan_env:GanBalanceEnv-v0", request.param, **options)
    yield made
    made.close()


@every_action_type
def test_garbage_is_refused_and_changes_nothing(env):
    env.action_space.seed(0)
    sample = np.asarray(env.action_space.sample())
    env.reset(seed=0)
    expected = env.step(sample)[0]
    env.reset(seed=0)
    for make in GARBAGE.values():
        with pytest.raises(ValueError, match=r"\w") as caught:
            env.step(make(sample))
        assert "\n" not in str(caught.value)
    for wrong in RESETS:
        with pytest.raises((ValueError, gym.error.Error), match=r"\w"):
            env.reset(**wrong)
    np.testing.assert_array_equal(env.step(sample)[0], expected)
