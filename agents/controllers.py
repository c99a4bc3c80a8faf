"""Who turns the knobs of one GAN, by name: a rule, or a policy that ``train_agent.py`` trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.predictors import Predictor
from agents.rules import FREE_MOVES, RULES
from agents.trained import load_run
from gan_env import EnvConfig
from gan_env.knobs import RATE_KNOBS

ALIASES = {"none": "noop"}
"""Other names of rules."""
SEEN = ("knobs", "action_type", "moves", "observation", "history")
"""Options of an environment that a policy depends on."""


@dataclass(frozen=True)
class Controller:
    """A decision maker that is made for the environment it is to decide in."""

    settings: Mapping[str, Any]
    """Options of :class:`~gan_env.EnvConfig` that it needs."""
    build: Callable[[EnvConfig], Predictor]
    """Makes it, for an environment with those options."""


def find_controller(name: str) -> Controller:
    """The rule ``name``, by any of its names, or the policy in the run folder ``name``.

    Raises ``ValueError``, in one line, for a name that is neither, and for a folder without a policy that fits.
    """
    name = ALIASES.get(name, name)
    if name in RULES:
        rule = RULES[name]
        settings: dict[str, Any] = {"action_type": "continuous"}
        if rule.kind == "open loop":
            settings["moves"] = FREE_MOVES
        if rule.knobs != RATE_KNOBS:
            settings["knobs"] = rule.knobs
        return Controller(settings, rule.build)
    folder = Path(name)
    if not folder.is_dir():
        known = ", ".join((*RULES, *ALIASES))
        raise ValueError(f"unknown controller {name!r}; known: {known}, or a run folder of train_agent.py")
    policy, config, _ = load_run(folder)
    return Controller({option: getattr(config, option) for option in SEEN}, lambda config: policy)
