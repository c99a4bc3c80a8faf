"""Tuning: how the budget is spent, and what is found."""

import dataclasses

import numpy as np
import pytest

from agents.methods.method import VALIDATION_SHARE, updates_of
from agents.methods.search import LOOKS, TRIALS, Plan, search, smallest_budget
from agents.predictors import NoopPredictor
from agents.rules import Gain
from gan_env import SUITES, EnvConfig, Suite, instances

SPACE = {"height": Gain(0.01, 1.0, 0.1, True), "shape": ("round", "square")}


class Mark(NoopPredictor):
    """Leaves the knobs alone; the evaluator below grades it by its values."""

    def __init__(self, values):
        super().__init__(EnvConfig(suite="ring").codec())
        self.values = values


@pytest.fixture
def grades(monkeypatch):
    """What is played: (values, instances); a round height of 0.3 is the best."""
    asked = []

    class Judge:
        def __init__(self, config, num_envs):
            self.suite = config.resolved_suite()

        def evaluate(self, predictor, instances, on_step):
            asked.append((predictor.values, list(instances)))
            on_step(6 * len(instances))
            return abs(np.log10(predictor.values["height"] / 0.3)) + (predictor.values["shape"] == "square")

        def close(self):
            asked.append("closed")

    monkeypatch.setattr("agents.methods.search.Evaluator", Judge)
    monkeypatch.setattr("agents.methods.search.typical_grade", lambda grade, suite: float(grade))
    return asked


def test_a_search_finds_the_best_and_never_sees_a_test_instance(grades, context):
    cell = context(budget=2000)
    found = search(cell, cell.budget, cell.config(), SPACE, Mark)
    assert found.values["shape"] == "round" and 0.15 < found.values["height"] < 0.6
    assert grades.pop() == "closed"
    assert grades[0][0] == {"height": 0.1, "shape": "round"}, "the defaults come first"
    training = [instances for _, instances in grades if len(instances) != 2]
    validation = [(values, instances) for values, instances in grades if len(instances) == 2]
    assert len(training) == found.plan.trials >= TRIALS and all(one == training[0] for one in training)
    assert len(validation) == LOOKS and all(instances == list(cell.validation) for _, instances in validation)
    tried = [values for values, _ in validation]
    assert found.values in tried and all(tried.count(one) == 1 for one in tried), "no look is spent on the same again"
    assert not set(cell.test) & {one for _, instances in grades for one in instances}
    assert found.updates == sum(6 * len(instances) for _, instances in grades)
    assert cell.budget - 6 * len(training[0]) < found.updates <= cell.budget, "what pays for a trial is spent"
    assert len(found.curve) == LOOKS and found.curve[-1][0] == found.updates
    assert [iqm for _, iqm in found.curve] == sorted((iqm for _, iqm in found.curve), reverse=True)


def test_the_seed_decides_the_trials(grades, context):
    def tried(seed):
        grades.clear()
        cell = context(seed=seed)
        search(cell, cell.budget, cell.config(), SPACE, Mark)
        return grades[:-1]

    assert tried(1) == tried(1) != tried(2)


@pytest.mark.parametrize("budget", [50, 100, 400, 4000, 100_000])
def test_a_plan_keeps_to_its_budget(budget, context):
    cell = context()  # an episode has 6 updates, the validation 12
    plan = Plan.of(cell, budget)
    validation = 12 * plan.looks
    assert plan.trials >= 2 and 1 <= plan.looks <= LOOKS and validation <= VALIDATION_SHARE * budget
    assert budget - plan.instances * 6 < plan.trials * plan.instances * 6 + validation <= budget
    assert (plan.trials >= TRIALS) == (budget >= 4000)
    assert plan.trials * (plan.instances + 1) * 6 + validation > budget or plan.trials > TRIALS


@pytest.mark.parametrize("seed", range(8))
def test_a_plan_keeps_to_its_budget_where_episodes_differ(seed, context, monkeypatch):
    task = SUITES["ring"].tasks[0]
    tasks = tuple(dataclasses.replace(task, updates_per_step=2, decisions=count) for count in (1, 2, 40))
    suite = Suite("uneven", "for tests", tasks, held_out={"validation": 2, "test": 3})
    monkeypatch.setitem(instances._SUITES, suite.name, suite)
    cell = context(suite="uneven", seed=seed)
    for budget in (smallest_budget(cell), 2000):
        plan = Plan.of(cell, budget)
        played = plan.trials * updates_of(cell.training(plan.instances)) + plan.looks * updates_of(cell.validation)
        assert plan.trials >= 2 and played <= budget


def test_each_task_has_its_turn(context, monkeypatch):
    task = SUITES["ring"].tasks[0]
    tasks = tuple(dataclasses.replace(task, data=data) for data in ("ring", "grid", "faces"))
    monkeypatch.setitem(instances._SUITES, "three", Suite("three", "for tests", tasks))
    drawn = context(suite="three").training(7)
    assert [one.data for one in drawn] == ["ring", "grid", "faces", "ring", "grid", "faces", "ring"]
    assert len({one.seed for one in drawn}) == 7 and drawn[:4] == context(suite="three").training(4)


@pytest.mark.parametrize(("suite", "fewest"), [("ring", 4), ("transfer-faces", 8), ("varied", 14)])
def test_a_trial_has_some_of_each_task(suite, fewest, context):
    cell = context(suite=suite)
    plan = Plan.of(cell, 120_000)
    assert plan.instances == fewest and 2 < plan.trials < TRIALS


def test_a_budget_that_is_too_small_is_told(context):
    with pytest.raises(ValueError, match="a budget of 40 GAN updates is too small for suite 'tiny': playing its 2"):
        Plan.of(context(), 40)
