"""The only evaluator: any predictor x instances -> records."""

import dataclasses
import math

import numpy as np
import pytest

from agents.evaluation import EpisodeRecord, Evaluator, finals, typical_grade, with_rates
from agents.predictors import NoopPredictor, RandomPredictor
from agents.sb3 import build_model, make_training_env
from gan_env import SUITES, ActionCodec, EnvConfig, GanBalanceEnv, Suite
from gan_env.knobs import ACTION_TYPES, NAMING_VALUES
from gan_env.spaces import action_space

OPTIONS = {"suite": "ring", "updates_per_step": 2, "decisions": 4, "knobs": ("lr_g", "lr_d")}
SMALL = EnvConfig(**OPTIONS)


@pytest.fixture
def evaluator():
    evaluator = Evaluator(SMALL, 4)
    yield evaluator
    evaluator.close()


@pytest.fixture
def instances(evaluator):
    """Six, from moderate rates, which is more than there are rows."""
    return with_rates(evaluator.suite.instances("test")[:6], 1e-3, 1e-3)


class Script:
    """Plays the same list of actions in every row, and notes how it was asked."""

    def __init__(self, *actions):
        self.actions, self.asked = actions, []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.asked.append((state, episode_start.tolist(), deterministic, observation.shape))
        state = 0 if state is None else state
        return np.full(len(observation), self.actions[state]), state + 1


class Saboteur(NoopPredictor):
    """Ruins one row's GAN at one decision."""

    def __init__(self, core, row, decision):
        super().__init__(core.codec)
        self._core, self._row, self._left = core, row, decision

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        if self._left == 0:
            population = self._core.population
            saved, data = population.state_dict(), self._core.data_of(self._row)
            saved["tensors"][0][self._row, 0] = math.nan
            population.load_state_dict(saved, {data.fingerprint: data})
        self._left -= 1
        return super().predict(observation, state, episode_start, deterministic)


def test_records_say_what_happened(evaluator, instances):
    up, down = 1, 6  # lr_g up 1.5, lr_d down 1.5
    records = evaluator.evaluate(Script(up, down, 0, up), instances)
    assert [record.instance for record in records] == instances
    step = math.log10(1.5)
    path = [(-3 + step, -3), (-3 + step, -3 - step), (-3 + step, -3 - step), (-3 + 2 * step, -3 - step)]
    for record in records:
        assert record.decisions == 4 and not record.failed
        assert record.actions == (up, down, 0, up)
        np.testing.assert_allclose(record.log10_knobs, path, atol=1e-9)
        assert 0 < record.final < evaluator.suite.tasks[0].worst_grade and math.isfinite(record.episode_return)
    assert len(set(finals(records))) == 6 and finals(records).tolist() == [record.final for record in records]


def test_a_record_is_what_the_environment_does(evaluator, instances):
    """A second derivation, decision by decision, in the single environment."""
    records = evaluator.evaluate(Script(1, 2, 3, 4), instances[:3])
    env = GanBalanceEnv(**OPTIONS)
    for record in records:
        env.reset(options={"instance": record.instance})
        steps = [env.step(action) for action in (1, 2, 3, 4)]
        assert steps[-1][2]
        assert record.episode_return == pytest.approx(sum(step[1] for step in steps), abs=1e-3)
        assert record.final_proxy == pytest.approx(steps[-1][4]["fid_proxy"], rel=1e-3)
        assert record.final == pytest.approx(float(env.core.grade([0])[0]), rel=1e-3)
    env.close()


def test_the_grade_is_not_the_proxy(evaluator, instances):
    records = evaluator.evaluate(NoopPredictor(evaluator.codec), instances)
    assert all(record.final != record.final_proxy for record in records)
    assert all(record.final == pytest.approx(record.final_proxy, rel=0.5) for record in records), "but alike"


def test_predictors_are_asked_as_sb3_is(evaluator, instances):
    script = Script(0, 0, 0, 0)
    evaluator.evaluate(script, instances[:4])
    states, starts, deterministic, shapes = zip(*script.asked, strict=True)
    assert states == (None, 1, 2, 3), "the state is handed back"
    assert starts == ([True] * 4, *[[False] * 4] * 3) and all(deterministic)
    assert set(shapes) == {(4, *evaluator.core(instances[0]).observer.vector.shape[1:])}


def test_a_run_that_ends_early_is_graded_at_the_worst(evaluator, instances):
    calm = evaluator.evaluate(NoopPredictor(evaluator.codec), instances[:4])
    records = evaluator.evaluate(Saboteur(evaluator.core(instances[0]), row=1, decision=2), instances[:4])
    failed = records[1]
    assert failed.failed and failed.decisions == 3 and len(failed.actions) == len(failed.log10_knobs) == 3
    (task,) = evaluator.suite.tasks
    assert failed.final == task.worst_grade and failed.final_proxy == task.worst_proxy
    assert failed.episode_return < -2
    others = [0, 2, 3]
    assert [records[row] for row in others] == [calm[row] for row in others], "nobody else notices"


def test_results_do_not_depend_on_the_order_of_calls(evaluator, instances):
    noop = NoopPredictor(evaluator.codec)
    first = evaluator.evaluate(noop, instances)
    evaluator.evaluate(Saboteur(evaluator.core(instances[0]), row=0, decision=1), instances[::-1])
    assert evaluator.evaluate(noop, instances) == first


def test_results_do_not_depend_on_the_order_or_number_of_rows(evaluator, instances):
    noop = NoopPredictor(evaluator.codec)
    expected = finals(evaluator.evaluate(noop, instances))
    np.testing.assert_allclose(finals(evaluator.evaluate(noop, instances[::-1]))[::-1], expected, rtol=1e-3)
    alone = Evaluator(SMALL, 1)
    np.testing.assert_allclose(finals(alone.evaluate(noop, instances)), expected, rtol=1e-3)
    alone.close()


def test_instances_of_different_lengths(evaluator, instances):
    lengths = (1, 3, 2, 4, 2)
    mixed = [dataclasses.replace(i, decisions=n) for i, n in zip(instances, lengths, strict=False)]
    updates = []
    records = evaluator.evaluate(Script(1, 1, 1, 1), mixed, updates.append)
    assert tuple(record.decisions for record in records) == lengths
    assert tuple(len(record.actions) for record in records) == lengths
    assert sum(updates) == 2 * sum(lengths), "told the GAN updates, padding excluded"


def test_no_instances_no_records(evaluator):
    assert evaluator.evaluate(NoopPredictor(evaluator.codec), []) == []


def test_with_rates_changes_the_rates_alone():
    originals = SUITES["ring"].instances("test")[:3]
    changed = with_rates(originals, 1e-2, 3e-3)
    assert [(i.lr_g, i.lr_d) for i in changed] == [(1e-2, 3e-3)] * 3
    for old, new in zip(originals, changed, strict=True):
        assert dataclasses.replace(new, lr_g=old.lr_g, lr_d=old.lr_d) == old


@pytest.mark.parametrize("action_type", ACTION_TYPES)
def test_predictors_without_learning(action_type):
    codec, observations = ActionCodec(action_type, ("lr_g", "lr_d")), np.zeros((5, 3), np.float32)
    values = np.full((5, 2), -3.0)
    if action_type in NAMING_VALUES:
        with pytest.raises(ValueError, match="no action keeps them"):
            NoopPredictor(codec)
    else:
        actions, state = NoopPredictor(codec).predict(observations, state="mine")
        assert state == "mine" and len(actions) == 5
        assert np.array_equal(codec.apply(values, actions), values)

    draws = [RandomPredictor(action_space(codec), seed).predict(observations)[0] for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
    assert len(draws[0]) == 5 and not np.array_equal(codec.apply(values, draws[0]), values)


def test_random_actions_are_uniform():
    space = action_space(ActionCodec("discrete", ("lr_g", "lr_d")))
    actions, _ = RandomPredictor(space, 0).predict(np.zeros((9000, 1), np.float32))
    # 1,000 of each expected; the standard deviation is 30.
    assert np.abs(np.bincount(actions, minlength=9) - 1000).max() < 150


def test_continuous_decisions_are_recorded_as_tuples():
    config = dataclasses.replace(SMALL, action_type="continuous")
    evaluator = Evaluator(config, 2)
    space = action_space(evaluator.codec)
    (record,) = evaluator.evaluate(
        RandomPredictor(space, 3), with_rates(config.resolved_suite().instances("test")[:1], 1e-3, 1e-3)
    )
    assert len(record.actions) == 4 and all(len(action) == 2 for action in record.actions)
    moved = np.cumsum(np.array(record.actions), axis=0) * math.log10(5) - 3
    np.testing.assert_allclose(record.log10_knobs, np.clip(moved, -6, -1), atol=1e-5)
    evaluator.close()


def test_a_recurrent_policy_is_played_as_it_is_alone(instances):
    """Each row has a memory of its own, empty at the start of an episode, whoever plays beside it or played before."""
    env = make_training_env(2, OPTIONS)
    model = build_model("recurrentppo", env, 0, {})
    env.close()
    for weight in model.policy.parameters():  # a policy whose memory decides
        weight.data.mul_(10.0)
    alone = GanBalanceEnv(**OPTIONS)
    expected, forgetful = [], []
    for instance in instances:
        observation, _ = alone.reset(options={"instance": instance})
        state, first, terminated, actions = None, True, False, []
        while not terminated:
            action, state = model.predict(
                observation[None], state=state, episode_start=np.array([first]), deterministic=True
            )
            forgetful.append(model.predict(observation[None], deterministic=True)[0][0])
            actions.append(float(action[0]))
            observation, _, terminated, _, _ = alone.step(action[0])
            first = False
        expected.append(tuple(actions))
    alone.close()
    assert [action for actions in expected for action in actions] != forgetful, "memory matters here"
    for size in (4, 1):
        judge = Evaluator(SMALL, size)
        assert [record.actions for record in judge.evaluate(model, instances)] == expected
        judge.close()


RING = SUITES["ring"].tasks[0]
THREE = tuple(
    dataclasses.replace(RING, data=data, noop_tenth=tenth)
    for data, tenth in (("ring", 0.01), ("faces", 0.1), ("glyphs", 0.1))
)


def graded(*pairs):
    """Records of ``(data, grade)``."""
    tasks = {task.data: task for task in THREE}
    return [
        EpisodeRecord(tasks[data].instance(1e-3, 1e-3, seed), grade, False, 1, 0.0, 1.0, (), ())
        for seed, (data, grade) in enumerate(pairs)
    ]


def test_the_typical_grade_of_one_task_is_its_interquartile_mean():
    assert typical_grade(graded(*(("ring", grade) for grade in (9.0, 2.0, 4.0, 0.1))), SUITES["ring"]) == 3.0


def test_the_typical_grade_of_several_tasks_leaves_none_out():
    """An interquartile mean over all would hardly see the points; a plain geometric mean hardly anything else."""
    suite = Suite("three", "for tests", THREE)
    good = [("faces", 0.5), ("glyphs", 0.6), *[("ring", grade) for grade in (0.02, 0.03, 0.05, 100.0)]]
    # A logarithm counts half where good rates reach from 1 to 0.01 instead of 0.1.
    assert typical_grade(graded(*good), suite) == pytest.approx((0.5 * 0.6 * 0.04**0.5) ** (1 / 2.5))
    assert typical_grade(graded(*good[:3]), suite) == pytest.approx((0.5 * 0.6 * 0.02**0.5) ** (1 / 2.5))
    assert typical_grade(graded(*good[:2]), suite) == pytest.approx((0.5 * 0.6) ** (1 / 2))
    assert typical_grade(graded(*reversed(good)), suite) == pytest.approx(typical_grade(graded(*good), suite))
