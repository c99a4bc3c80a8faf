"""Small environments and the policies that play them."""

import pytest

from agents.policies.export import export_policy
from agents.presets import ALGORITHMS, get_preset
from agents.sb3 import build_model, make_training_env

SMALL = {"suite": "ring", "updates_per_step": 1, "decisions": 4}


@pytest.fixture
def make_model():
    """make_model(algorithm, **options) -> an untrained model and the configuration of its environments."""
    made = []

    def make_model(name, **options):
        env = make_training_env(2, SMALL | {"action_type": ALGORITHMS[name].action_types[0]} | options)
        made.append(env)
        return build_model(name, env, 0, get_preset(name, "ring").algorithm), env.env.config

    yield make_model
    for env in made:
        env.close()


@pytest.fixture
def make_policy(make_model):
    """make_policy(algorithm, **options) -> an untrained policy, exported."""

    def make_policy(name="ppo", **options):
        model, config = make_model(name, **options)
        return export_policy(model.policy, config)

    return make_policy
