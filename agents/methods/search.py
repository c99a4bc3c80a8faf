"""Tuning: Optuna's trials on training instances, the choice among the best of them on validation instances."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from agents.evaluation import Evaluator, typical_grade
from agents.methods.method import ROWS, SEED_STRIDE, VALIDATION_SHARE, Context, started, updates_of
from agents.predictors import Predictor
from agents.rules import Gain
from gan_env import EnvConfig, GanInstance

TRIALS = 64
"""Settings that a search tries, whatever is tuned, and a few more where the budget is left for them."""
LOOKS = 4
"""How many times, at even distances, a setting is tried on the validation instances: the best of those so far that have
not been tried there."""
_FEWEST_INSTANCES = 4
_FEWEST_OF_SEVERAL = 8
"""A budget that does not give every trial as many, in a suite of several tasks one of each at least, makes fewer
trials."""

Space = Mapping[str, Gain | tuple[str, ...]]
"""What is searched: numbers, and names to choose from, the first being the default."""


@dataclass(frozen=True)
class Plan:
    """How a budget is spent."""

    trials: int
    """As many at least; where GANs fail and end early, the budget pays for more."""
    instances: int
    """Training instances of each trial, the same for all."""
    looks: int

    @classmethod
    def of(cls, context: Context, budget: int) -> Plan:
        """Raises ``ValueError`` for a budget of less than two trials and one look."""
        looks = context.validations(LOOKS, budget)
        left = budget - looks * updates_of(context.validation)
        episodes = int(left / context.episode)
        tasks = len(context.resolved_suite.tasks)
        fewest = _FEWEST_INSTANCES if tasks == 1 else max(_FEWEST_OF_SEVERAL, tasks)
        trials = min(TRIALS, max(2, episodes // fewest))
        instances = max(1, episodes // trials)
        while trials * updates_of(context.training(instances)) > left:  # they may be longer than on average
            trials, instances = (trials, instances - 1) if instances > 1 else (trials - 1, 1)
        if trials < 2:
            raise ValueError(f"a budget of {budget} GAN updates is too small for a search on suite {context.suite!r}")
        trials = left // updates_of(context.training(instances))  # one instance more for all was too much
        return cls(trials, instances, min(looks, trials))


def smallest_budget(context: Context) -> int:
    """GAN updates that a search takes at least."""
    validation = updates_of(context.validation)
    return math.ceil(max(validation / VALIDATION_SHARE, validation + 2 * updates_of(context.training(1))))


@dataclass(frozen=True)
class Found:
    """Outcome of a search."""

    values: dict[str, Any]
    updates: int
    """GAN updates made, validation included."""
    curve: tuple[tuple[int, float], ...]
    """Updates and typical validation grade of the best setting so far, at every look."""
    plan: Plan

    @property
    def notes(self) -> dict[str, Any]:
        """What a cell tells of it."""
        return {"values": self.values, "search": vars(self.plan)}


def search(
    context: Context,
    budget: int,
    config: EnvConfig,
    space: Space,
    build: Callable[[Mapping[str, Any]], Predictor],
    rates: tuple[float, float] | None = None,
) -> Found:
    """The values in ``space`` whose predictor does best, within ``budget`` GAN updates.

    Trials are proposed by Optuna's multivariate tree-structured Parzen estimator, the defaults first, and judged by
    their :func:`~agents.evaluation.typical_grade` on training instances, from ``rates`` where given. At every look, the
    best setting that has not yet been tried on the validation instances is tried there; the best of these is the
    result. Test instances are never played.
    """
    plan = Plan.of(context, budget)
    training, validation = (started(some, rates) for some in (context.training(plan.instances), context.validation))
    trial_cost, look_cost = updates_of(training), updates_of(validation)
    updates = 0

    def count(made: int) -> None:
        nonlocal updates
        updates += made
        context.on_step(made)

    evaluator = Evaluator(config, min(ROWS, plan.instances))

    def grade(values: Mapping[str, Any], instances: list[GanInstance]) -> float:
        return typical_grade(evaluator.evaluate(build(values), instances, count), evaluator.suite)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # With one parameter at a time, two of ten searches on ring ended at rates a tenth of what others found.
        sampler = optuna.samplers.TPESampler(seed=SEED_STRIDE * context.seed, multivariate=True)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({name: one.default if isinstance(one, Gain) else one[0] for name, one in space.items()})
    looks = {round(plan.trials * (index + 1) / plan.looks) for index in range(plan.looks - 1)}
    tried: dict[int, float] = {}
    curve: list[tuple[int, float]] = []

    def look() -> None:
        untried = (one for one in study.trials if one.number not in tried)
        best = min(untried, key=lambda one: cast(float, one.value))
        tried[best.number] = grade(best.params, validation)
        curve.append((updates, min(tried.values())))

    try:
        while updates + trial_cost + (plan.looks - len(tried)) * look_cost <= budget:
            trial = study.ask({name: _distribution(one) for name, one in space.items()})
            study.tell(trial, grade(trial.params, training))
            if len(study.trials) in looks:
                look()
        look()
    finally:
        evaluator.close()
    chosen = min(tried, key=lambda number: tried[number])
    plan = dataclasses.replace(plan, trials=len(study.trials))
    return Found(dict(study.trials[chosen].params), updates, tuple(curve), plan)


def _distribution(one: Gain | tuple[str, ...]) -> BaseDistribution:
    if isinstance(one, Gain):
        return FloatDistribution(one.low, one.high, log=one.logarithmic)
    return CategoricalDistribution(one)
