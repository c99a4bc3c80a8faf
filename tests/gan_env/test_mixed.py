"""Suites that mix kinds of GAN: several populations behind one row interface, and one table of grades."""

import dataclasses

import numpy as np
import pytest

from agents.evaluation import Evaluator
from agents.predictors import NoopPredictor
from gan_env import EnvConfig, GanBalanceEnv, GanBalanceVectorEnv, Suite, register_suite
from gan_env.core import BalanceCore
from gan_env.instances import SUITES
from gan_env.mixed import MixedCore, make_core
from gan_env.suites import DIGITS, GRID, RING

CALM = {"reward": "stability", "measure_quality": False, "updates_per_step": 1, "decisions": 3}


@pytest.fixture
def suite(monkeypatch):
    """Points, other points and images: three tasks, two kinds of GAN."""
    monkeypatch.setattr("gan_env.instances._SUITES", table := dict(SUITES))
    monkeypatch.setattr("gan_env.instances.SUITES", table)
    tasks = (dataclasses.replace(RING, noop_grade=2.0), dataclasses.replace(GRID, noop_grade=4.0), DIGITS)
    register_suite(Suite("three", "for tests", tasks, held_out={"validation": 4, "test": 12}))
    return table["three"]


@pytest.fixture
def make(suite):
    made = []

    def make(cls, *args, **options):
        made.append(cls(*args, suite="three", **(CALM | options)))
        return made[-1]

    yield make
    for env in made:
        env.close()


def test_one_kind_needs_one_population(suite):
    core = make_core(EnvConfig(suite="ring", **CALM), 3)
    assert isinstance(core, BalanceCore)
    core.close()


def test_rows_stay_in_their_population_and_in_their_order(make):
    env = make(GanBalanceVectorEnv, 5)
    assert isinstance(env.core, MixedCore) and [core.size for core in env.core.cores] == [3, 2]
    _, infos = env.reset(seed=0)
    for _ in range(4):  # over the end of an episode
        backbones = [instance.backbone for instance in infos["instance"]]
        assert backbones == ["mlp", "dcgan", "mlp", "dcgan", "mlp"]
        actions = np.array([1, 2, 0, 3, 5])
        before = infos["knobs"]["lr_g"].copy()
        *_, infos = env.step(actions)
        if "reward_terms" in infos:  # no episode begins
            np.testing.assert_allclose(
                infos["knobs"]["lr_g"] / before, np.minimum([1.5, 1 / 1.5, 1, 5, 1], 0.1 / before)
            )
    assert {env.picture(row).shape[2] for row in range(5)} == {3}


def test_a_row_does_what_a_single_environment_does(make):
    """Both kinds in turn, from the same seeds and instances."""
    vector, single = make(GanBalanceVectorEnv, 4), make(GanBalanceEnv)
    observations, infos = vector.reset(seed=3)
    for row in range(4):
        observation, info = single.reset(seed=3 + row, options={"instance": infos["instance"][row]})
        np.testing.assert_array_equal(observation, observations[row])
        assert info["instance"] == infos["instance"][row]
    actions = np.array([1, 5, 3, 0])
    observations, rewards, _, _, _ = vector.step(actions)
    observation, reward, _, _, _ = single.step(0)  # row 3 was the last that was reset
    np.testing.assert_allclose(observation, observations[3], atol=1e-4)
    assert reward == pytest.approx(rewards[3], abs=1e-4)


def test_the_single_environment_changes_its_population_with_the_instance(make):
    env = make(GanBalanceEnv)
    env.reset(seed=0)
    seen = {env.reset()[1]["instance"].data for _ in range(12)}
    assert seen == {"ring", "grid", "digits"}
    state = env.get_state()
    first = env.step(1)[0]
    env.reset(seed=5)
    env.set_state(state)
    np.testing.assert_array_equal(env.step(1)[0], first)


def test_state_is_that_of_all_populations(make):
    env = make(GanBalanceVectorEnv, 4)
    env.reset(seed=0)
    state = env.get_state()
    first = env.step(np.arange(4))[0]
    env.reset(seed=9)
    env.set_state(state)
    np.testing.assert_array_equal(env.step(np.arange(4))[0], first)


def test_too_few_rows_are_refused(suite):
    with pytest.raises(ValueError, match="suite 'three' trains 2 kinds of GAN; num_envs must be at least 2, not 1"):
        GanBalanceVectorEnv(1, suite="three", **CALM)


def test_grades_of_several_data_sets_count_in_units_of_doing_nothing(suite):
    """A third of the instances are images; here only the points are played, each against its own data."""
    config = EnvConfig(suite="three", **CALM)
    evaluator = Evaluator(config, 4)
    assert evaluator.metric.endswith("over that of GANs left alone")
    instances = [instance for instance in evaluator.suite.instances("test") if instance.backbone == "mlp"]
    assert {instance.data for instance in instances} == {"ring", "grid"}
    records = evaluator.evaluate(NoopPredictor(evaluator.codec), instances)
    assert [record.instance for record in records] == instances, "in order, whatever population played them"
    for data, scale in (("ring", 2.0), ("grid", 4.0)):
        alone = Evaluator(dataclasses.replace(config, suite=data), 4)
        own = [instance for instance in instances if instance.data == data]
        expected = [record.final / scale for record in alone.evaluate(NoopPredictor(alone.codec), own)]
        np.testing.assert_allclose([r.final for r in records if r.instance.data == data], expected, rtol=1e-3)
        alone.close()
    evaluator.close()
