"""A balancer in a plain loop sees and does what its policy sees and does in the environment."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import torch

from agents.balancer import Balancer
from agents.policies.export import export_policy
from agents.presets import ALGORITHMS, get_preset
from agents.sb3 import build_model, make_training_env
from gan_env import EnvConfig, core
from gan_env.core import BalanceCore
from gan_env.knobs import ACTION_TYPES, RATE_KNOBS
from tests.agents.deployed import WIDE, adopted, varied

DECISIONS, UPDATES = 15, 10
SMALL = {"suite": "ring", "decisions": DECISIONS, "updates_per_step": UPDATES, "knobs": RATE_KNOBS, "moves": (1.1, 1.4)}
SMALL |= {"measure_quality": False, "reward": "stability"}  # the proxy has no part in what a balancer does


@pytest.fixture
def exact_core(monkeypatch):
    """exact_core(config) -> an environment of one GAN in float64, so that rounding stays out of sight."""
    monkeypatch.setattr(core, "GanPopulation", functools.partial(core.GanPopulation, dtype=torch.float64))

    def make(config):
        made = BalanceCore(config, 1)
        made._latents = made._latents.double()
        return made

    return make


def compare(core, policy, instance):
    """An episode, and its like by hand from the same weights, noise and data order; both say what they decided."""
    rows = [0]
    observation = core.reset(rows, [instance])
    generator, discriminator = core.population.networks(0)
    loop = adopted(generator, discriminator, instance.lr_g, instance.lr_d)
    rng = torch.Generator()
    rng.set_state(core.population.state_dict()["train_rng"][0])
    data = core.data_of(0).samples.double()

    balancer = Balancer(policy).attach(*loop.optimizers, total_updates=DECISIONS * UPDATES)
    same = 0 if policy.spec.action_type.endswith("discrete") else 1e-4
    memory = None
    actions = []
    for decision in range(DECISIONS):
        np.testing.assert_allclose(balancer.observation, observation[0], atol=2e-6)
        action, memory = policy.act(observation, memory)
        assert np.abs(balancer.action - action[0]).max() <= same
        # One action for both: a continuous one would feed the rounding of float32 observations back into the rates.
        result = core.step(rows, balancer.action[None])
        np.testing.assert_allclose(loop.rates, [value[0] for value in result.infos["knobs"].values()], rtol=1e-9)
        actions.append(tuple(np.atleast_1d(action[0]).tolist()))
        observation = result.observations
        shape = (UPDATES, core.task.batch_size)
        latents = torch.empty(*shape, core.population.latent_size, dtype=torch.float64).normal_(generator=rng)
        indices = torch.empty(shape, dtype=torch.int64).random_(0, len(data), generator=rng)
        for index, latent in zip(indices, latents, strict=True):
            balancer.update(*loop.step(data[index], latent))
        assert balancer.updates == (decision + 1) * UPDATES
    for mine, theirs in zip(loop.generator.parameters(), generator.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-7)
    return actions


@pytest.mark.parametrize("groups", ["default", "absolute"])
@pytest.mark.parametrize("action_type", ACTION_TYPES)
def test_an_episode_is_replayed_by_hand(exact_core, action_type, groups):
    config = EnvConfig(**SMALL, action_type=action_type, observation=groups)
    policy = varied(action_type=action_type, groups=config.groups, decisions=DECISIONS, moves=config.moves)
    core = exact_core(config)
    instance = dataclasses.replace(core.suite.sample(np.random.default_rng(0)), lr_g=2e-3, lr_d=5e-4)
    actions = compare(core, policy, instance)
    core.close()
    assert action_type != "discrete" or len(set(actions)) > 3
    assert len(set(itertools.chain(*actions))) > 1


@pytest.mark.parametrize("name", ["ppo", "dqn", "recurrentppo"])
def test_an_episode_of_a_learner_is_replayed_by_hand(exact_core, name):
    env = make_training_env(2, SMALL)
    model = build_model(name, env, 0, get_preset(name, "ring").algorithm)
    policy = export_policy(model.policy, env.env.config)
    env.close()
    policy.spec = dataclasses.replace(policy.spec, seen=dict.fromkeys(policy.spec.seen, WIDE))
    assert ALGORITHMS[name].action_types[0] == policy.spec.action_type
    core = exact_core(env.env.config)
    compare(core, policy, core.suite.sample(np.random.default_rng(1)))
    core.close()
