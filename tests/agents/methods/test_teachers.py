"""The teacher: one schedule for all, and for each kind of GAN its own peaks."""

import dataclasses

import numpy as np
import pytest

from agents.evaluation import Evaluator, finals
from agents.methods.method import updates_of
from agents.methods.rules import find_schedule, open_loop_config, schedule
from agents.methods.teachers import REACH, find_teacher, smallest_teaching
from agents.statistics import interquartile_mean
from gan_env import SUITES, EnvConfig, Suite, instances


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
    assert teacher.iqm <= teacher.shared.curve[-1][1]
    shared = teacher.shared.values
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


def test_the_smallest_teaching_is_enough_and_less_is_told(two_kinds):
    cell = two_kinds()
    smallest = smallest_teaching(cell)
    assert find_teacher(cell, smallest).updates <= smallest
    with pytest.raises(ValueError, match=r"a budget of .* GAN updates is too small"):
        find_teacher(cell, smallest - updates_of(cell.validation) - 40)


def test_rows_of_a_vector_environment_meet_the_teacher_of_their_kind(two_kinds):
    cell = two_kinds()
    teacher = find_teacher(cell, smallest_teaching(cell))
    config = EnvConfig("two", kind=None, knobs=("lr_g", "lr_d"), action_type="target", workers=1)
    names = config.observer().names
    seen = np.zeros((5, len(names)), np.float32)
    seen[:, names.index("budget_left")] = 1
    actions, _ = teacher.build(config).predict(seen)
    for row, action in enumerate(actions):
        alone, _ = schedule(config, teacher.schedules[row % 2]).predict(seen[row : row + 1])
        np.testing.assert_array_equal(action, alone[0])
