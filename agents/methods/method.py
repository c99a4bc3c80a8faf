"""What a method of the comparison is, and what it is given."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agents.evaluation import EpisodeRecord, Evaluator, OnEnd, OnStep, with_rates
from agents.kinds import ELSEWHERE, KINDS
from agents.predictors import Predictor
from gan_env import EnvConfig, GanInstance
from gan_env.instances import Suite, Task, get_suite
from gan_env.knobs import RATE_KNOBS

RESCUE, FREE = "rescue", "free"
TABLES: Mapping[str, str] = {
    RESCUE: "everybody starts at the instance's rates and moves a knob by no more than a large move per decision",
    FREE: "everybody may set the rates before the first update",
}
ROWS = 64
"""GANs that play side by side, at most."""
PAIR_SHARE = 0.25
"""Share of the budget that, in the free table, goes into the search for the pair of rates to start from."""
VALIDATION_SHARE = 0.25
"""Share of the budget that may go into validation, at most; twice as much where a policy must be tried twice."""
BUDGETS: Mapping[str, int] = {"points": 360_000, "images": 320_000}
"""GAN updates of a cell by default: of agents, 14,800 steps of ``ring`` or 29,000 of ``faces``, and validation."""
SEED_STRIDE = 1000
"""Cells of neighbouring seeds train on disjoint instances: the rows of a vector environment count up from its seed."""


@dataclass(frozen=True)
class Context:
    """One cell of the comparison: what a method must know to prepare itself."""

    suite: str
    table: str
    seed: int
    """Decides tuning and training; the held-out instances are fixed."""
    budget: int
    """GAN updates for tuning, training and validation together."""
    env: Mapping[str, Any] = field(default_factory=dict)
    """Options of every environment, over those that a method chooses."""
    folder: Path = Path()
    """Where a method may leave files."""
    checkpoints: Path | None = None
    """Where a method that trains for long keeps checkpoints and finds those of a run that was stopped; none is kept by
    default."""
    on_step: OnStep = lambda updates: None
    """Told of GAN updates as they are made."""

    def config(self, **options: Any) -> EnvConfig:
        """An environment of this cell: the two rates are turned, nothing runs in processes of its own."""
        fixed: dict[str, Any] = {"suite": self.suite, "workers": 1, "knobs": RATE_KNOBS}
        return EnvConfig(**fixed | options | dict(self.env))

    @cached_property
    def resolved_suite(self) -> Suite:
        return self.config().resolved_suite()

    @cached_property
    def validation(self) -> tuple[GanInstance, ...]:
        return self.resolved_suite.instances("validation")

    @cached_property
    def test(self) -> tuple[GanInstance, ...]:
        return self.resolved_suite.instances("test")

    def training(self, count: int) -> list[GanInstance]:
        """Instances of the training distribution, of each task in turn; the same at every call."""
        rng = np.random.default_rng(SEED_STRIDE * self.seed)
        turns = itertools.islice(itertools.cycle(self.resolved_suite.tasks), count)
        return [self.resolved_suite.sample(rng, accept=task.__eq__) for task in turns]

    @property
    def episode(self) -> float:
        """GAN updates of a whole training episode, on average."""
        tasks = self.resolved_suite.tasks
        return sum(task.decisions * task.updates_per_step for task in tasks) / len(tasks)

    def validations(self, wanted: int, budget: int, *, twice: bool = False) -> int:
        """How many times the validation instances can be played within :data:`VALIDATION_SHARE`; ``wanted`` at most.

        At least ``twice``, where asked for, if they can be played once. Raises ``ValueError`` where they cannot.
        """
        affordable = int(VALIDATION_SHARE * budget / updates_of(self.validation))
        if affordable < 1:
            raise ValueError(
                f"a budget of {budget} GAN updates is too small for suite {self.suite!r}: playing its "
                f"{len(self.validation)} validation instances once takes {updates_of(self.validation)}, and may take "
                f"{VALIDATION_SHARE:.0%}"
            )
        return min(wanted, max(affordable, 1 + twice))


class Play(Protocol):
    """Plays instances to their ends; one record each, in order. ``on_end`` is told of every finished GAN."""

    def __call__(self, instances: Sequence[GanInstance], on_step: OnStep, on_end: OnEnd) -> list[EpisodeRecord]: ...


@dataclass(frozen=True)
class Prepared:
    """A method after its tuning or training."""

    config: EnvConfig
    """The environment that it plays in."""
    play: Play
    updates: int = 0
    """GAN updates charged: all that were made for tuning, training and validation, and what playing an instance takes
    beyond one GAN."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What tuning found, fit for JSON."""
    curve: tuple[tuple[int, float], ...] = ()
    """GAN updates made so far, and the interquartile mean of the grades on the validation instances then."""


@dataclass(frozen=True)
class Method:
    """An entry of :data:`~agents.methods.METHODS`."""

    kind: str
    description: str
    prepare: Callable[[Context], Prepared]
    tuned: bool = False
    """Whether it spends the budget."""
    seeded: bool = True
    """False where every seed gives the same, so that one cell stands for all."""
    plays: int = 1
    """How many times it plays every test instance."""
    suite: str | None = None
    """Where it is prepared, if not on the suite that it is tested on."""
    check: Callable[[Context], object] = lambda context: None
    """Raises ``ValueError`` where the budget is too small, before anything is spent."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; known: {', '.join(KINDS)}")

    def expected_updates(self, context: Context) -> int:
        """GAN updates of a cell, roughly: for progress bars."""
        return self.tuned * context.budget + self.plays * updates_of(context.test)


def elsewhere(method: Method, suite: str) -> Method:
    """``method``, prepared on ``suite`` and played, as it is then, on the test instances of the cell's own.

    Its check and its preparation raise ``ValueError`` where that would be prepared on data that it is tested on.
    """

    def there(context: Context) -> Context:
        other = dataclasses.replace(context, suite=suite)
        shared = _data(other.resolved_suite.tasks) & _data(context.test)
        if shared:
            raise ValueError(f"{suite} holds {', '.join(sorted(shared))}, on which suite {context.suite} tests")
        return other

    def prepare(context: Context) -> Prepared:
        prepared = method.prepare(there(context))
        if not isinstance(prepared.play, Playing):
            raise TypeError("only what plays by the evaluator can be taken to another suite")
        config = dataclasses.replace(prepared.config, suite=context.suite)
        return dataclasses.replace(prepared, config=config, play=dataclasses.replace(prepared.play, config=config))

    description = f"{method.description}; prepared on {suite}"
    return dataclasses.replace(
        method,
        kind=ELSEWHERE,
        description=description,
        prepare=prepare,
        suite=suite,
        check=lambda context: method.check(there(context)),
    )


def _data(some: Iterable[Task | GanInstance]) -> set[str]:
    """Names of the data sets; the same images with other channels are the same."""
    return {name.removesuffix("-rgb") for one in some for name in one.data.split("+")}


def default_budget(suite: str) -> int:
    """That of points where a suite has nothing else."""
    points = all(task.resolution is None for task in get_suite(suite).all_tasks())
    return BUDGETS["points" if points else "images"]


@dataclass(frozen=True)
class Playing:
    """The evaluator, from the instances' own starting rates or from ``rates``."""

    config: EnvConfig
    predictor: Predictor
    rates: tuple[float, float] | None = None

    def __call__(self, instances: Sequence[GanInstance], on_step: OnStep, on_end: OnEnd) -> list[EpisodeRecord]:
        evaluator = Evaluator(self.config, min(ROWS, len(instances)))
        chosen = started(instances, self.rates)
        try:
            return evaluator.evaluate(self.predictor, chosen, on_step, on_end=on_end)
        finally:
            evaluator.close()


def started(instances: Sequence[GanInstance], rates: tuple[float, float] | None) -> list[GanInstance]:
    """The instances from ``rates``, or as they are."""
    return list(instances) if rates is None else with_rates(instances, *rates)


def updates_of(instances: Sequence[GanInstance]) -> int:
    """GAN updates of whole episodes."""
    return sum(instance.decisions * instance.updates_per_step for instance in instances)
