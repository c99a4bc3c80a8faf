"""Policies that begin as a teacher."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from agents import imitation
from agents.evaluation import finals
from agents.imitation import Classroom, aggregate, imitate
from agents.methods.rules import constant, schedule
from agents.statistics import interquartile_mean
from agents.training import LESSONS, PolicyTraining, lesson_updates
from gan_env import SUITES, EnvConfig, Suite, instances
from gan_env.knobs import RATE_KNOBS

DECISIONS = 4
GAMMA = 0.9
REWARDS = (1.0, 0.0, 2.0, -1.0)
RETURNS = (1 + 0.81 * 2 - 0.729, 0.9 * 2 - 0.81, 2 - 0.9, -1.0)
"""Of :data:`REWARDS` at :data:`GAMMA`, from each decision to the end."""


class Clock(gym.Env):
    """Shows the share of the time that is left, and noise; its rewards do not depend on what is done."""

    observation_space = gym.spaces.Box(-5, 5, (2,))
    action_space = gym.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.tried = 0, []
        return self._see(), {}

    def step(self, action):
        self.tried.append(action)
        reward = REWARDS[self.time]
        self.time += 1
        return self._see(), reward, self.time == DECISIONS, False, {}

    def _see(self):
        return np.float32([1 - self.time / DECISIONS, self.np_random.normal()])


class Teacher:
    """Opposite actions that move in a line with the time."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        action = observation[:, 0] - 0.4
        return np.stack([action, -action], axis=1).astype(np.float32), state


def make_model(seed=0, log_std=-2.0, envs=3):
    env = DummyVecEnv([Clock for _ in range(envs)])
    return PPO("MlpPolicy", env, gamma=GAMMA, seed=seed, device="cpu", policy_kwargs={"log_std_init": log_std})


def watch(model, teacher, decisions, on_step=lambda: None, **options):
    return Classroom(model, teacher, model.get_env(), [0, 1]).watch(decisions, on_step, **options)


def test_a_lesson_holds_what_the_teacher_did_and_what_that_was_worth():
    told = []
    lesson = watch(make_model(), Teacher(), DECISIONS + 1, lambda: told.append(1))
    assert len(told) == DECISIONS + 1 and len(lesson.observations) == 3 * (DECISIONS + 1)
    np.testing.assert_allclose(lesson.returns[: 3 * DECISIONS], np.repeat(RETURNS, 3), rtol=1e-6)
    assert np.isnan(lesson.returns[3 * DECISIONS :]).all(), "the end of the second episode was not seen"
    np.testing.assert_array_equal(lesson.actions, Teacher().predict(lesson.observations)[0])


@pytest.mark.parametrize("log_std", [-3.0, -1.0])
def test_a_teacher_is_tried_with_the_exploration_of_the_policy(log_std):
    model = make_model(log_std=log_std, envs=300)
    watch(model, Teacher(), 2)
    tried = np.array([env.tried for env in model.get_env().envs])
    off = tried[:, 1] - [0.35, -0.35]
    assert off.std() == pytest.approx(np.exp(log_std), rel=0.1) and abs(off.mean()) < 0.2 * np.exp(log_std)


def test_a_student_acts_and_is_told_what_the_teacher_would_have_done():
    model = make_model(log_std=-5.0, envs=2)
    lesson = watch(model, Teacher(), DECISIONS - 1, student=True)
    tried = np.stack([env.tried for env in model.get_env().envs], axis=1).reshape(-1, 2)
    meant, _ = model.predict(lesson.observations, deterministic=True)
    np.testing.assert_allclose(tried, meant, atol=0.05)
    np.testing.assert_array_equal(lesson.actions, Teacher().predict(lesson.observations)[0])


def test_what_a_model_does_not_see_is_not_in_its_lesson():
    class Hidden(Clock):
        observation_space = gym.spaces.Box(-5, 5, (3,))

        def _see(self):
            noise, left = self.np_random.normal(), 1 - self.time / DECISIONS
            return np.float32([left, 7.0, noise])

    env = DummyVecEnv([Hidden])
    lesson = Classroom(make_model(), Teacher(), env, [2, 0]).watch(DECISIONS, lambda: None)
    np.testing.assert_allclose(lesson.observations[:, 1], [1.0, 0.75, 0.5, 0.25])
    assert (lesson.observations != 7.0).all()


def test_a_later_lesson_goes_on_where_the_first_one_ended():
    model = make_model(envs=1)
    room = Classroom(model, Teacher(), model.get_env(), [0, 1])
    times = [1 - room.watch(3, lambda: None, student=student).observations[:, 0] for student in (False, True)]
    np.testing.assert_allclose(times, [[0.0, 0.25, 0.5], [0.75, 0.0, 0.25]])


def test_of_earlier_lessons_the_acts_count_and_not_the_worth():
    model = make_model()
    one, two = (watch(model, Teacher(), DECISIONS) for _ in range(2))
    both = aggregate(one, two)
    np.testing.assert_array_equal(both.observations, np.concatenate([one.observations, two.observations]))
    np.testing.assert_array_equal(both.actions, np.concatenate([one.actions, two.actions]))
    assert np.isnan(both.returns[: len(one.returns)]).all()
    np.testing.assert_array_equal(both.returns[len(one.returns) :], two.returns)


def test_the_policy_does_what_the_teacher_did_and_knows_its_worth():
    model = make_model(envs=64)
    before = model.policy.log_std.clone()
    imitate(model, watch(model, Teacher(), DECISIONS))
    observations = np.float32([[1 - time / DECISIONS, 0.3] for time in range(DECISIONS)])
    actions, _ = model.predict(observations, deterministic=True)
    np.testing.assert_allclose(actions, Teacher().predict(observations)[0], atol=0.03)
    values = model.policy.predict_values(torch.as_tensor(observations))[:, 0].detach().numpy()
    np.testing.assert_allclose(values, RETURNS, atol=0.15)
    assert torch.equal(model.policy.log_std, before)


def test_the_seed_decides_the_lesson(monkeypatch):
    monkeypatch.setattr(imitation, "GRADIENT_STEPS", 30)
    policies = []
    for seed in (1, 1, 2):
        model = make_model(seed)
        imitate(model, watch(model, Teacher(), DECISIONS))
        policies.append(model.policy.state_dict())
    one, same, other = policies
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_what_was_taught_is_tried_before_it_is_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(imitation, "GRADIENT_STEPS", 300)
    config = EnvConfig(
        "ring",
        decisions=4,
        updates_per_step=2,
        knobs=RATE_KNOBS,
        action_type="target",
        observation="absolute",
        workers=1,
    )
    training = PolicyTraining("taught_ppo", config, 2, 0, {"n_steps": 4, "batch_size": 8, "learning_rate": 0.1})
    training.validation = training.validation[:3]
    try:
        training.imitate(lambda config: constant(config, {"lr_g": 1e-3, "lr_d": 1e-3}))
        taught = finals(training.evaluator.evaluate(training.model, training.validation))
        trials = training.learn(16, 3, tmp_path / "policy.zip")
    finally:
        training.close()
    assert [trial.timesteps for trial in trials] == [2, 14, 16]
    assert trials[0].grade == pytest.approx(float(interquartile_mean(taught)))


@pytest.mark.parametrize(("observation", "lessons"), [("default", 1 + LESSONS), ("absolute", 1)])
def test_a_student_that_does_not_see_the_rates_learns_to_reach_those_of_its_teacher(observation, lessons, monkeypatch):
    monkeypatch.setattr(imitation, "GRADIENT_STEPS", 600)
    config = EnvConfig(
        "ring",
        decisions=8,
        updates_per_step=2,
        knobs=RATE_KNOBS,
        action_type="continuous",
        observation=observation,
        measure_quality=False,
        reward="d_loss_delta",
        workers=1,
    )
    wanted = {"lr_g": 1e-3, "lr_d": 3e-3, "floor_g": 1.0, "floor_d": 1.0, "warm_up": 0.0, "shape": "constant"}
    training = PolicyTraining("student_ppo", config, 32, 0, {"n_steps": 4, "batch_size": 8})
    told = []
    try:
        training.imitate(lambda config: schedule(config, wanted), told.append)
        assert sum(told) == training.updates == lesson_updates(config, 32) == lessons * 8 * 2 * 32
        records = training.evaluator.evaluate(training.model, training.validation)
    finally:
        training.close()
    off = np.abs(np.array([record.log10_knobs[-1] for record in records]) - np.log10([1e-3, 3e-3]))
    assert np.median(off) < 0.25 and len(records) == len(training.validation)


def test_lessons_of_several_kinds_count_what_each_kind_makes(monkeypatch):
    monkeypatch.setattr(imitation, "GRADIENT_STEPS", 3)
    task = dataclasses.replace(SUITES["ring"].tasks[0], decisions=4, updates_per_step=2)
    tasks = (task, dataclasses.replace(task, data="grid"), dataclasses.replace(task, updates_per_step=6))
    monkeypatch.setitem(
        instances._SUITES, "two", Suite("two", "for tests", tasks, held_out={"validation": 2, "test": 2})
    )
    config = EnvConfig("two", knobs=RATE_KNOBS, action_type="continuous", workers=1)
    training = PolicyTraining("student_ppo", config, 5, 0, {"n_steps": 4, "batch_size": 10})
    core = training._lesson_env.env.core
    of_a_step = sum(core.place(row)[0].task.updates_per_step for row in range(5))
    told = []
    try:
        training.imitate(lambda config: constant(config, {"lr_g": 1e-3, "lr_d": 1e-3}), told.append)
    finally:
        training.close()
    assert of_a_step in (2 + 6 + 2 + 6 + 2, 6 + 2 + 6 + 2 + 6)
    assert sum(told) == training.updates == lesson_updates(config, 5) == (1 + LESSONS) * 4 * of_a_step
