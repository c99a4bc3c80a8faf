"""Exported policies decide as the ones that they come from."""

import numpy as np
import pytest
import torch
from sb3_contrib.common.torch_layers import BatchRenorm
from torch import nn

from agents.policies.export import export_policy
from agents.presets import ALGORITHMS
from agents.sb3 import make_model as make_sb3

EVERY = [(name, action_type) for name, algorithm in ALGORITHMS.items() for action_type in algorithm.action_types]


def shake(model):
    """Untrained networks answer almost the same to everything; larger weights do not."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
        for module in model.policy.modules():
            if isinstance(module, BatchRenorm):
                module.ra_mean.normal_(generator=generator)
                module.ra_var.uniform_(0.5, 2.0, generator=generator)


def draw(env, count=200):
    low, high = env.observation_space.low, env.observation_space.high
    return np.random.default_rng(0).uniform(low, high, (count, len(low))).astype(np.float32)


def agree(policy, model, observations):
    """Greedy actions, over a sequence of calls so that recurrent states count."""
    mine_state = their_state = None
    seen = []
    for start in range(0, len(observations), 20):
        part = observations[start : start + 20]
        mine, mine_state = policy.act(part, mine_state)
        first = np.full(len(part), start == 0)
        theirs, their_state = model.predict(part, their_state, episode_start=first, deterministic=True)
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, atol=2e-6 if theirs.dtype == np.float32 else 0)
        seen.append(theirs)
    return np.concatenate(seen)


@pytest.mark.parametrize(("name", "action_type"), EVERY)
def test_every_algorithm_gives_the_same_greedy_actions(make_model, name, action_type):
    model, config = make_model(name, action_type=action_type)
    shake(model)
    actions = agree(export_policy(model.policy, config), model, draw(model))
    assert len(np.unique(actions, axis=0)) > 3, "a policy that always says the same proves nothing"


@pytest.mark.parametrize("name", [name for name, one in ALGORITHMS.items() if name in ("ppo", "sac", "tqc", "a2c")])
def test_state_dependent_exploration_is_exported(make_model, name):
    model, config = make_model(name, action_type="continuous")
    env = model.get_env()
    squashed = {"squash_output": True} if name in ("ppo", "a2c") else {}
    model = make_sb3(name, env, 0, {"use_sde": True, "policy_kwargs": {"net_arch": [8]} | squashed})
    shake(model)
    agree(export_policy(model.policy, config), model, draw(model))


def test_other_activations_are_exported_and_odd_ones_refused(make_model):
    model, config = make_model("ppo")
    env = model.get_env()
    for activation in (nn.ReLU, nn.ELU, nn.SiLU):
        model = make_sb3("ppo", env, 0, {"policy_kwargs": {"activation_fn": activation}})
        shake(model)
        agree(export_policy(model.policy, config), model, draw(model))
    model = make_sb3("ppo", env, 0, {"policy_kwargs": {"activation_fn": nn.Softplus}})
    with pytest.raises(ValueError, match=r"layer Softplus.* cannot be exported"):
        export_policy(model.policy, config)


def test_a_policy_that_sees_the_proxy_is_refused(make_model):
    model, config = make_model("ppo", observation="quality")
    with pytest.raises(ValueError, match="quality proxy"):
        export_policy(model.policy, config)
