"""Rules as methods: with published rates or gains, or with those that a search has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agents.methods.method import FREE, PAIR_SHARE, Context, Method, Play, Playing, Prepared
from agents.methods.search import Found, Plan, Space, search
from agents.rules import RULES, Gain, Rule
from agents.schedules import SHAPES, Schedule
from gan_env import EnvConfig
from gan_env.knobs import KNOBS, RATE_KNOBS

Build = Callable[[EnvConfig, Mapping[str, Any]], Schedule]
"""Makes a schedule for an environment, from its numbers."""

DCGAN_RATES: Mapping[str, float] = {"lr_g": 2e-4, "lr_d": 2e-4}
"""Radford et al., arXiv 1511.06434, section 4."""
TTUR_RATES: Mapping[str, float] = {"lr_g": 1e-4, "lr_d": 4e-4}
"""Two time scales, Heusel et al., arXiv 1706.08500; the pair of Zhang et al., arXiv 1805.08318, section 4."""
R3GAN_PEAKS: Mapping[str, float] = {**DCGAN_RATES, "r1_weight": 1.0}
"""Rates of Huang et al., arXiv 2501.05441. The weight of R1, which they choose by data set, begins at 1 here; the knob
has no R2."""


def open_loop_config(context: Context, **options: Any) -> EnvConfig:
    """The environment of a schedule that names its rates: in the free table one decision reaches any of them."""
    return context.config(action_type="absolute" if context.table == FREE else "target", **options)


def fixed_schedule(
    description: str, build: Build, peaks: Mapping[str, float], knobs: tuple[str, ...] = RATE_KNOBS
) -> Method:
    """A schedule with published rates."""

    def prepare(context: Context) -> Prepared:
        config = open_loop_config(context, knobs=knobs)
        return Prepared(config, playing_schedule(context, config, build(config, peaks)), notes={"peaks": dict(peaks)})

    return Method("open loop", description, prepare, seeded=False)


def tuned_schedule(name: str, knobs: tuple[str, ...] = RATE_KNOBS) -> Method:
    """One of :data:`TUNED`, for ``knobs``: a search finds its numbers with the budget, under the rules of the table."""
    description, space, build = TUNED[name]
    if knobs != RATE_KNOBS:
        description += f"; knobs={','.join(knobs)}"

    def prepare(context: Context) -> Prepared:
        config = open_loop_config(context, knobs=knobs)
        found = search(context, context.budget, config, space(context, knobs), lambda values: build(config, values))
        play = playing_schedule(context, config, build(config, found.values))
        return Prepared(config, play, found.updates, found.notes, found.curve)

    return Method("open loop", description, prepare, tuned=True, check=lambda context: Plan.of(context, context.budget))


def playing_schedule(context: Context, config: EnvConfig, schedule: Schedule) -> Play:
    """Play it; in the free table from its own first rates."""
    return Playing(config, schedule, schedule.first_rates if context.table == FREE else None)


def tuned_rule(rule: Rule) -> Method:
    """A closed-loop rule whose gains a search finds; in the free table, after a search for the rates to start from."""

    def check(context: Context) -> None:
        Plan.of(context, context.budget - start_budget(context))

    def prepare(context: Context) -> Prepared:
        config = context.config(action_type="continuous", knobs=rule.knobs)
        start = find_start(context)
        left = context.budget - start.updates
        found = search(context, left, config, rule.gains, lambda values: rule.build(config, **values), start.rates)
        return Prepared(
            config,
            Playing(config, rule.build(config, **found.values), start.rates),
            start.updates + found.updates,
            found.notes | start.notes,
            tuple((start.updates + updates, grade) for updates, grade in found.curve),
        )

    return Method("closed loop", rule.description, prepare, tuned=True, check=check)


@dataclass(frozen=True)
class Start:
    """Where the episodes of a cell begin, and what finding that has cost."""

    rates: tuple[float, float] | None = None
    """Those of the generator and the discriminator; none where each instance has its own."""
    updates: int = 0

    @property
    def notes(self) -> dict[str, Any]:
        return {} if self.rates is None else {"start": self.rates, "start_updates": self.updates}


def start_budget(context: Context) -> int:
    """GAN updates that :func:`find_start` may take. Raises ``ValueError`` for too few."""
    if context.table != FREE:
        return 0
    budget = int(PAIR_SHARE * context.budget)
    Plan.of(context, budget)
    return budget


def find_start(context: Context) -> Start:
    """In the free table the best constant pair that :data:`PAIR_SHARE` of the budget finds, else the instances' own."""
    budget = start_budget(context)
    if not budget:
        return Start()
    config = open_loop_config(context)
    found = search(context, budget, config, knob_space(context), lambda values: constant(config, values))
    return Start((found.values["lr_g"], found.values["lr_d"]), found.updates)


def knob_space(context: Context, knobs: tuple[str, ...] = RATE_KNOBS) -> dict[str, Gain]:
    """Rates where the suite's episodes may start, by default in the middle of that, on a logarithmic scale; other knobs
    anywhere, their defaults first."""
    ranges = [task.start_ranges for task in context.resolved_suite.tasks]
    space = {}
    for index, knob in enumerate(RATE_KNOBS):
        low, high = min(one[index][0] for one in ranges), max(one[index][1] for one in ranges)
        space[knob] = Gain(low, high, (low * high) ** 0.5, True)
    others = {knob: KNOBS[knob] for knob in knobs if knob not in RATE_KNOBS}
    return space | {knob: Gain(one.low, one.high, one.default, True) for knob, one in others.items()}


def schedule_space(context: Context, knobs: tuple[str, ...] = RATE_KNOBS) -> Space:
    """Schedules of the two rates, and constants for other knobs; constant rates, the first tried, are among them."""
    floors = {f"floor_{knob[3:]}": Gain(0.01, 1.0, 1.0, True) for knob in RATE_KNOBS}
    return knob_space(context, knobs) | floors | {"warm_up": Gain(0.0, 0.3, 0.0), "shape": tuple(SHAPES)}


def constant(config: EnvConfig, values: Mapping[str, Any]) -> Schedule:
    """Every knob of the environment stays at its value."""
    floors = dict.fromkeys(config.knobs, 1.0)
    return Schedule(config.observer().names, config.codec(), "constant", floors=floors, peaks=values)


def schedule(config: EnvConfig, values: Mapping[str, Any]) -> Schedule:
    """The schedule at a point of :func:`schedule_space` for the environment's knobs."""
    peaks = {knob: values[knob] for knob in config.knobs}
    floors = {knob: values[f"floor_{knob[3:]}"] if knob in RATE_KNOBS else 1.0 for knob in config.knobs}
    options = {"floors": floors, "warm_up": values["warm_up"], "peaks": peaks}
    return Schedule(config.observer().names, config.codec(), values["shape"], **options)


def find_schedule(context: Context, budget: int, knobs: tuple[str, ...] = RATE_KNOBS) -> Found:
    """The best of :func:`schedule_space` that ``budget`` GAN updates find."""
    config = open_loop_config(context, knobs=knobs)
    return search(context, budget, config, schedule_space(context, knobs), lambda values: schedule(config, values))


def _schedule_of(rule: Rule) -> Build:
    return lambda config, peaks: cast(Schedule, rule.build(config, peaks=peaks))


TUNED: Mapping[str, tuple[str, Callable[[Context, tuple[str, ...]], Space], Build]] = {
    "best_static": ("the best constant pair that the budget finds", knob_space, constant),
    "best_schedule": (
        "the best schedule that the budget finds: rates, floors, warm-up and shape",
        schedule_space,
        schedule,
    ),
}
"""What is searched for, from what space, and how it is made."""

RULE_METHODS: Mapping[str, Method] = {
    "constant": fixed_schedule("DCGAN's constant rates, 2e-4 for both", constant, DCGAN_RATES),
    "ttur": fixed_schedule("two time scales: 1e-4 for the generator, 4e-4 for the discriminator", constant, TTUR_RATES),
    **{
        name: fixed_schedule(
            f"{whose} rates: {RULES[name].description}", _schedule_of(RULES[name]), peaks, RULES[name].knobs
        )
        for name, whose, peaks in (
            ("linear", "DCGAN's", DCGAN_RATES),
            ("cosine", "DCGAN's", DCGAN_RATES),
            ("r3gan", "R3GAN's", R3GAN_PEAKS),
        )
    },
    **{name: tuned_schedule(name) for name in TUNED},
    **{name: tuned_rule(rule) for name, rule in RULES.items() if rule.kind == "closed loop"},
}
"""Open-loop and closed-loop methods."""
