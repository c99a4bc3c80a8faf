"""What is shipped: every policy loads, is small, has its card and its record, and decides from what every loop has."""

import numpy as np
import pytest

from agents.policies.policy import RECOMMENDED, SHIPPED, available, load_policy
from gan_env.knobs import RATE_KNOBS

every_policy = pytest.mark.parametrize("name", available())


def test_the_recommended_one_is_there_and_all_are_small():
    assert RECOMMENDED in available()
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.safetensors")) < 1_000_000


@every_policy
def test_a_policy_decides(name):
    policy = load_policy(name)
    assert policy.spec.knobs == RATE_KNOBS and policy.spec.groups == ("default",)
    names = policy.spec.observer().names
    assert set(policy.spec.seen) == {one.partition("[")[0] for one in names}
    actions, _ = policy.act(np.random.default_rng(0).normal(size=(64, len(names))).astype(np.float32))
    assert len(np.unique(actions, axis=0)) > 1


@every_policy
def test_a_policy_has_its_record_and_its_card(name):
    training = load_policy(name).spec.training
    card = (SHIPPED / f"{name}.md").read_text()
    graded = training["evaluation"]["methods"]
    learned = next(method for method in graded if method not in ("noop", "random", "best_static"))
    assert f"{graded[learned]['iqm']:.3f}" in card and f"{graded['noop']['iqm']:.3f}" in card
    assert f"--algo {learned}" in card and f"{training['total_timesteps']:,}" in card
    assert "/tmp" not in training["command"] and "/home" not in training["command"]
