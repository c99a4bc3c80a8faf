"""The teacher: one schedule for all, and for each kind of GAN its own peaks."""

import dataclasses

import numpy as np
import pytest

from agents.evaluation import Evaluator, finals
from agents.methods.rules import find_schedule, open_loop_config, schedule
from agents.methods.teachers import REACH, Teacher, find_teacher, smallest_teaching
from agents.statistics import interquartile_mean
from gan_env import SUITES, ActionCodec, GanBalanceVectorEnv, Suite, instances


@pytest.fixture
def two_kinds(monkeypatch, context):
    """context(**changes) of a suite with two kinds of perceptron, the second of three tasks."""
    task = dataclasses.replace(SUITES["ring"].tasks[0], updates_per_step=2, decisions=3, grade_samples=64)
    other = dataclasses.replace(task, decisions=4, loss="hinge")
    tasks = (task, *(dataclasses.replace(other, data="grid", noop_grade=unit) for unit in (1.0, 2.0)))
    tasks = (tasks[0], tasks[1], dataclasses.replace(tasks[2], data="ring"))
    suite = Suite("two", "for tests", tasks, held_out={"validation": 6, "test": 3})
    monkeypatch.setitem(instances._SUITES, suite.name, suite)
    return lambda **changes: context(**{"suite": "two"} | changes)


def test_one_kind_gets_the_best_schedule(context):
    cell = context()
    teacher, found = find_teacher(cell, 300), find_schedule(cell, 300)
    assert teacher.schedules == (found.values,) and teacher.updates == found.updates
    assert teacher.iqm == found.curve[-1][1] and smallest_teaching(cell) <= 300


def test_each_kind_gets_its_own_peaks_within_the_budget(two_kinds):
    told = []
    cell = two_kinds(on_step=told.append)
    budget = 2 * smallest_teaching(cell)
    teacher = find_teacher(cell, budget)
    assert sum(told) == teacher.updates <= budget
    shared = teacher.shared.values
    if teacher.iqm == teacher.shared.curve[-1][1]:
        assert teacher.schedules == (shared, shared)
    else:
        assert teacher.iqm < teacher.shared.curve[-1][1] and teacher.schedules != (shared, shared)
    for own in teacher.schedules:
        assert own.keys() == shared.keys()
        for name, value in own.items():
            if name in ("lr_g", "lr_d"):
                assert shared[name] / REACH <= value * (1 + 1e-9) and value <= shared[name] * REACH * (1 + 1e-9)
            else:
                assert value == shared[name]
    assert find_teacher(two_kinds(), budget) == teacher


def test_its_worth_is_that_of_each_kind_under_its_own_schedule(two_kinds):
    cell = two_kinds()
    teacher = find_teacher(cell, smallest_teaching(cell))
    config = open_loop_config(cell)
    kinds = [task.population_key() for task in cell.resolved_suite.kinds("train")]
    evaluator = Evaluator(config, 6)
    grades = []
    for one in cell.validation:
        own = schedule(config, teacher.schedules[kinds.index(one.population_key())])
        grades.append(finals(evaluator.evaluate(own, [one])))
    evaluator.close()
    assert teacher.iqm == pytest.approx(float(interquartile_mean(np.concatenate(grades))), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_teaching_is_enough_and_less_is_told_before_anything_is_spent(seed, two_kinds):
    told = []
    cell = two_kinds(seed=seed, on_step=told.append)
    smallest = smallest_teaching(cell)
    with pytest.raises(ValueError, match=rf"a budget of {smallest - 1} GAN updates .*takes {smallest} at least"):
        find_teacher(cell, smallest - 1)
    assert not told
    assert find_teacher(cell, smallest).updates == sum(told) <= smallest


def test_rows_of_a_vector_environment_meet_the_teacher_of_their_kind(two_kinds):
    cell = two_kinds()
    config = cell.config(action_type="target", decisions=3)
    rates = {task.loss: {"lr_g": 10.0**-power, "lr_d": 1e-2} for power, task in enumerate(cell.resolved_suite.tasks, 2)}
    constant = {"floor_g": 1.0, "floor_d": 1.0, "warm_up": 0.0, "shape": "constant"}
    kinds = cell.resolved_suite.kinds("train")
    found = find_schedule(context=cell, budget=smallest_teaching(cell))
    teacher = Teacher(tuple(rates[task.loss] | constant for task in kinds), found, 0.0, 0)
    env = GanBalanceVectorEnv(5, **dataclasses.asdict(config))
    seen, infos = env.reset(seed=0)
    actions, _ = teacher.build(config).predict(seen)
    named = ActionCodec("absolute", config.knobs).apply(np.zeros((5, 2)), actions)
    losses = [instance.loss for instance in infos["instance"]]
    assert set(losses) == {"nonsaturating", "hinge"}
    np.testing.assert_allclose(named, [np.log10(list(rates[loss].values())) for loss in losses], atol=1e-6)
    env.close()
