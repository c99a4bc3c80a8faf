"""The methods that the comparison knows: one table, from doing nothing to every learner."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agents.cli import parse_overrides
from agents.methods.learned import VARIABLE, learned_method
from agents.methods.method import (
    FREE,
    RESCUE,
    ROWS,
    TABLES,
    Context,
    Method,
    Prepared,
    default_budget,
    elsewhere,
    updates_of,
)
from agents.methods.references import REFERENCES
from agents.methods.rules import RULE_METHODS, TUNED, tuned_schedule
from agents.population_based import PopulationBasedTraining
from agents.presets import ALGORITHMS, Algorithm
from agents.variants import SUITE, split_variant
from gan_env import EnvConfig, get_suite
from gan_env.knobs import RATE_KNOBS

__all__ = [
    "FREE",
    "METHODS",
    "RESCUE",
    "TABLES",
    "Context",
    "Method",
    "Prepared",
    "default_budget",
    "find_method",
]

MOST_MEMBERS = 16
"""Members of population-based training, whatever the budget."""


def _members(context: Context) -> int:
    """As many for every test instance as the budget pays; all but one are charged."""
    once = updates_of(context.test)
    members = min(MOST_MEMBERS, 1 + context.budget // once)
    if members < 2:
        raise ValueError(f"a budget of {context.budget} GAN updates is too small for pbt: it needs at least {once}")
    return members


def _population_based(context: Context) -> Prepared:
    members = _members(context)
    config = context.config(action_type="continuous")
    population = PopulationBasedTraining(config, members, context.seed, rows=ROWS, own_start=context.table == FREE)
    return Prepared(config, population.play, (members - 1) * updates_of(context.test), {"members": members})


def _describe(algorithm: Algorithm) -> str:
    text = f"{algorithm.cls.__name__} with its preset"
    return f"{text}, from the best schedule found, by {algorithm.action_types[0]} actions" if algorithm.taught else text


_LEARNERS: dict[str, tuple[str, dict[str, Any], str]] = {
    name: (name, {}, _describe(algorithm)) for name, algorithm in ALGORITHMS.items()
}
_LEARNERS["fsco"] = ("ddpg", {"reward": "loss_gap"}, "FSCO (arXiv 2504.15099): DDPG rewarded for equal losses")

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        **REFERENCES,
        **RULE_METHODS,
        "pbt": Method(
            "population",
            "population-based training of every test instance, ranked by the quality proxy",
            _population_based,
            tuned=True,
            check=_members,
        ),
        **{name: learned_method(algorithm, text, changes) for name, (algorithm, changes, text) in _LEARNERS.items()},
    }
)
"""By name, in the order of tables."""


def find_method(name: str) -> Method:
    """The method ``name``, or a variant, as ``ppo[reward=terminal]``.

    A variant of a learned method changes options of its environment, several being joined by ``;``; one of a schedule
    that is searched for, ``knobs`` alone. ``suite`` names another suite to prepare either of them on. Raises
    ``ValueError``, in one line, for an unknown name or option.
    """
    if name in METHODS:
        return METHODS[name]
    base, options = split_variant(name)
    if base not in METHODS:
        raise ValueError(f"unknown method {base!r}; known: {', '.join(METHODS)}")
    if base not in (*_LEARNERS, *TUNED):
        raise ValueError(f"method {base!r} has no variants; these do: {', '.join((*_LEARNERS, *TUNED))}")
    changes = parse_overrides(options, f"variant {name!r}")
    variable = ("knobs",) if base in TUNED else VARIABLE
    unknown = sorted(set(changes) - {*variable, SUITE})
    if unknown:
        raise ValueError(f"variant {name!r}: unknown option {unknown[0]!r}; known: {', '.join((*variable, SUITE))}")
    suite = changes.pop(SUITE, None)
    if suite is not None:
        if not isinstance(suite, str):
            raise ValueError(f"variant {name!r}: suite must be a name, not {suite!r}")
        get_suite(suite)
    if base in TUNED:
        method = tuned_schedule(base, EnvConfig(suite="ring", **{"knobs": RATE_KNOBS} | changes).knobs)
    else:
        algorithm, own, text = _LEARNERS[base]
        method = learned_method(algorithm, f"{text}; {';'.join(options)}", own | changes)
    return method if suite is None else elsewhere(method, suite)
