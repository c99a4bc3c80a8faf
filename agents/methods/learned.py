"""Learned methods: an algorithm with its preset, trained within the budget."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.checkpoint import Checkpoints, naming
from agents.methods.method import FREE, SEED_STRIDE, Context, Method, Playing, Prepared, started, updates_of
from agents.methods.rules import Start, find_schedule, find_start, open_loop_config, schedule, start_budget
from agents.methods.search import Plan
from agents.methods.teacher import TEACHER, read_teacher, write_teacher
from agents.presets import ALGORITHMS, Preset, get_preset
from agents.sb3 import check_action_type
from agents.schedules import Schedule
from agents.training import PolicyTraining, lesson_updates
from gan_env import EnvConfig
from gan_env.knobs import DEFAULT_MOVES, KNOBS, RATE_KNOBS

TEACHER_SHARE = 0.5
"""Share of the budget that goes into the search for the teacher as which a taught policy begins."""
VARIABLE = ("action_type", "constants", "history", "knobs", "moves", "observation", "reward")
"""Options of the environment that a variant may change."""
START_FACTOR = DEFAULT_MOVES[1]
"""In the free table, training starts within this factor of the pair that the test starts from: an agent that may set
its rates has no use for knowing the way back from anywhere."""


def learned_method(algorithm: str, description: str, changes: Mapping[str, Any] | None = None) -> Method:
    """An algorithm of :data:`~agents.presets.ALGORITHMS`, with changes of its preset's environment.

    Raises ``ValueError`` for changes that no environment takes.
    """
    taught = ALGORITHMS[algorithm].taught
    options = {"action_type": ALGORITHMS[algorithm].action_types[0]} | dict(changes or {})
    check_action_type(algorithm, EnvConfig(suite="ring", **options).action_type)

    def validations(context: Context, left: int) -> int:
        """A taught policy is tried as taught and as it learned on: no learner is worse than its teacher unseen."""
        return context.validations(get_preset(algorithm, context.suite).validations, left, twice=taught)

    def check(context: Context) -> None:
        """What is searched for and taught first leaves enough to validate."""
        if not taught:
            validations(context, context.budget - start_budget(context))
            return
        preset = get_preset(algorithm, context.suite)
        config = context.config(**(dict(preset.env) | options))
        search = int(TEACHER_SHARE * context.budget)
        Plan.of(context, search)
        validations(context, context.budget - search - lesson_updates(config, preset.num_envs))

    def prepare(context: Context) -> Prepared:
        check(context)
        preset = get_preset(algorithm, context.suite)
        lesson = _find_lesson(context, preset, options) if taught else None
        start = find_start(context) if lesson is None else lesson.start
        config = context.config(**(dict(preset.env) | _near(start) | options))
        training = PolicyTraining(
            algorithm, config, preset.num_envs, SEED_STRIDE * context.seed, dict(preset.algorithm)
        )
        training.validation = started(training.validation, start.rates)
        left = context.budget - start.updates - (lesson.updates if lesson else 0)
        looks = validations(context, left)
        steps = _steps_within(left - looks * updates_of(training.validation), training, context)
        checkpoints = saved = None
        if context.checkpoints is not None:
            checkpoints = Checkpoints(context.checkpoints, training.settings(steps, looks))
            saved = checkpoints.load(lambda problem: print(problem, file=sys.stderr))
        try:
            if lesson is not None and saved is None:
                training.imitate(lesson.build, context.on_step)
            with naming(saved):
                trials = training.learn(
                    steps,
                    looks,
                    context.folder / "policy.zip",
                    on_update=context.on_step,
                    checkpoints=checkpoints,
                    saved=saved,
                )
        finally:
            training.close()
        chosen = min(trials, key=lambda trial: trial.grade)
        return Prepared(
            config,
            Playing(config, training.model, start.rates),
            start.updates + training.updates,
            {"timesteps": steps, "chosen_at": chosen.timesteps}
            | start.notes
            | ({"teacher": lesson.values} if lesson else {}),
            tuple((start.updates + trial.updates, trial.grade) for trial in trials),
        )

    return Method("learned", description, prepare, tuned=True, check=check)


@dataclass(frozen=True)
class _Lesson:
    """What to begin as, and where the episodes of its table begin."""

    values: Mapping[str, Any]
    """A point of :func:`~agents.methods.rules.schedule_space`."""
    start: Start
    updates: int
    """GAN updates that learning it will take."""

    def build(self, config: EnvConfig) -> Schedule:
        return schedule(config, self.values)


def _find_lesson(context: Context, preset: Preset, options: Mapping[str, Any]) -> _Lesson:
    """Searched once: a cell that goes on from its checkpoints goes on with the teacher that it had."""
    config = context.config(**(dict(preset.env) | dict(options)))
    kept = None if context.checkpoints is None else context.checkpoints / TEACHER
    if kept is not None and kept.is_file():
        found = read_teacher(kept, config)
        context.on_step(found.updates)
    else:
        found = find_schedule(context, int(TEACHER_SHARE * context.budget), config.knobs)
        if kept is not None:
            write_teacher(kept, found)
    rates = None
    if context.table == FREE:
        rates = schedule(open_loop_config(context, knobs=config.knobs), found.values).first_rates
    return _Lesson(found.values, Start(rates, found.updates), lesson_updates(config, preset.num_envs))


def _near(start: Start) -> dict[str, Any]:
    """Training starts log-uniformly around ``start``, within the bounds of the rates."""
    if start.rates is None:
        return {}
    ranges = [
        (max(KNOBS[knob].low, rate / START_FACTOR), min(KNOBS[knob].high, rate * START_FACTOR))
        for knob, rate in zip(RATE_KNOBS, start.rates, strict=True)
    ]
    return {"start_ranges": tuple(ranges)}


def _steps_within(updates: float, training: PolicyTraining, context: Context) -> int:
    """Environment steps that take at most so many GAN updates."""
    steps = int(updates / training.updates_per_step) // training.stride * training.stride
    if steps < 1:
        raise ValueError(
            f"a budget of {context.budget} GAN updates leaves {updates:.0f} for training; "
            f"the smallest step of training takes {training.stride * training.updates_per_step:.0f}"
        )
    return steps
