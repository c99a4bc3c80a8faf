"""The teacher of a taught policy: the best schedule that a search finds, for each kind of GAN one of its own.

What rates are good depends on the GAN more than on the time. So where a suite trains several kinds, a teacher knows
which is which; its student has to tell them apart by what it sees.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.evaluation import Evaluator, finals
from agents.methods.method import ROWS, Context, updates_of
from agents.methods.rules import find_schedule, open_loop_config, schedule
from agents.methods.search import Found, Space, search, smallest_budget
from agents.predictors import ByKind, Predictor
from agents.rules import Gain
from agents.statistics import interquartile_mean
from gan_env import EnvConfig
from gan_env.knobs import DEFAULT_MOVES, KNOBS, RATE_KNOBS

SHARED = 0.4
"""Share of the budget that finds one schedule for all, where there are several kinds; the rest gives each its peaks."""
REACH = DEFAULT_MOVES[1]
"""Peaks of a kind lie within this factor of those for all."""


@dataclass(frozen=True)
class Teacher:
    """What a policy begins as."""

    schedules: tuple[Mapping[str, Any], ...]
    """One for each kind of GAN that the suite trains, in order: points of
    :func:`~agents.methods.rules.schedule_space`."""
    shared: Found
    """The search of one schedule for all."""
    iqm: float
    """Of the grades on the validation instances, each kind under its own schedule."""
    updates: int
    """GAN updates made, validation included."""

    def build(self, config: EnvConfig) -> Predictor:
        """For the rows of a vector environment."""
        schedules = [schedule(config, values) for values in self.schedules]
        return schedules[0] if len(schedules) == 1 else ByKind(schedules)

    def record(self) -> dict[str, Any]:
        """Fit for JSON."""
        shared = vars(self.shared) | {"plan": vars(self.shared.plan)}
        return {"schedules": list(self.schedules), "iqm": self.iqm, "updates": self.updates, "shared": shared}


def smallest_teaching(context: Context) -> int:
    """GAN updates that :func:`find_teacher` takes at least."""
    parts = _parts(context)
    return smallest_budget(context) + (_smallest_for_each(context, parts) if len(parts) > 1 else 0)


def find_teacher(context: Context, budget: int, knobs: tuple[str, ...] = RATE_KNOBS) -> Teacher:
    """The best schedules of ``knobs`` that ``budget`` GAN updates find.

    Where the suite trains several kinds of GAN, the first part of the budget finds one schedule for all, the rest, as
    many episodes for each kind, its own peaks. All of these are taken, or none, by what does better on the validation
    instances, of which a kind may have few. Raises ``ValueError``, before anything is spent, for less than
    :func:`smallest_teaching`.
    """
    if budget < (smallest := smallest_teaching(context)):
        raise ValueError(
            f"a budget of {budget} GAN updates is too small for the search of a teacher on suite {context.suite!r}: it "
            f"takes {smallest} at least"
        )
    parts = _parts(context)
    if len(parts) == 1:
        shared = find_schedule(context, budget, knobs)
        return Teacher((shared.values,), shared, shared.curve[-1][1], shared.updates)
    for_all = min(max(smallest_budget(context), int(SHARED * budget)), budget - _smallest_for_each(context, parts))
    shared = find_schedule(context, for_all, knobs)
    together = shared.curve[-1][1]
    left = budget - shared.updates - updates_of(context.validation)
    episodes = left / sum(part.episode for part in parts)
    schedules, updates = [], shared.updates
    for part in parts:
        found = _own_peaks(part, int(episodes * part.episode), shared.values, knobs)
        schedules.append(dict(shared.values) | found.values)
        updates += found.updates
    iqm = _validate(context, schedules, knobs)
    updates += updates_of(context.validation)
    if iqm > together:
        iqm, schedules = together, [shared.values] * len(parts)
    return Teacher(tuple(schedules), shared, iqm, updates)


def _parts(context: Context) -> list[Context]:
    """A context for each kind of GAN."""
    kinds = range(len(context.resolved_suite.kinds("train")))
    if len(kinds) == 1:
        return [context]
    return [dataclasses.replace(context, env=dict(context.env) | {"kind": kind}) for kind in kinds]


def _smallest_for_each(context: Context, parts: Sequence[Context]) -> int:
    """GAN updates that it takes to give each kind its peaks, in as many episodes as the neediest needs, and to validate
    them."""
    episodes = max((smallest_budget(part) + 1) / part.episode for part in parts)
    return updates_of(context.validation) + math.ceil(episodes * sum(part.episode for part in parts))


def _own_peaks(part: Context, budget: int, values: Mapping[str, Any], knobs: tuple[str, ...]) -> Found:
    """Peaks of the rates near those of ``values``, all else being as there."""
    config = open_loop_config(part, knobs=knobs)
    space: Space = {
        knob: Gain(
            max(KNOBS[knob].low, values[knob] / REACH), min(KNOBS[knob].high, values[knob] * REACH), values[knob], True
        )
        for knob in RATE_KNOBS
    }
    return search(part, budget, config, space, lambda own: schedule(config, dict(values) | dict(own)))


def _validate(context: Context, schedules: Sequence[Mapping[str, Any]], knobs: tuple[str, ...]) -> float:
    """The interquartile mean over the validation instances, each under the schedule of its kind."""
    config = open_loop_config(context, knobs=knobs)
    evaluator = Evaluator(config, ROWS)
    kinds = context.resolved_suite.kinds("train")
    grades = []
    try:
        for kind, values in zip(kinds, schedules, strict=True):
            key = kind.population_key()
            instances = [one for one in context.validation if one.population_key() == key]
            grades.append(finals(evaluator.evaluate(schedule(config, values), instances, context.on_step)))
    finally:
        evaluator.close()
    return float(interquartile_mean(np.concatenate(grades)))
