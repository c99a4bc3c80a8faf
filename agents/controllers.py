"""Who turns the knobs, by name: the rules of this project, or a policy that ``train_agent.py`` trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agents.heuristics import Apfl
from agents.predictors import NoopPredictor, Predictor
from agents.schedules import CosineSchedule
from agents.trained import load_run
from gan_env import EnvConfig

SEEN = ("knobs", "action_type", "moves", "observation", "history")
"""Options of an environment that a policy depends on."""


@dataclass(frozen=True)
class Controller:
    """A decision maker that is made for the environment it is to decide in."""

    settings: Mapping[str, Any]
    """Options of :class:`~gan_env.EnvConfig` that it needs."""
    build: Callable[[EnvConfig], Predictor]
    """Makes it, for an environment with those options."""


_CONTINUOUS = {"action_type": "continuous"}


RULES: Mapping[str, Controller] = MappingProxyType(
    {
        "none": Controller(_CONTINUOUS, lambda config: NoopPredictor(config.codec())),
        "cosine": Controller(
            # Any rate can be reached by one move.
            _CONTINUOUS | {"moves": (1.5, 1e5)},
            lambda config: CosineSchedule(config.observer().names, config.codec()),
        ),
        "apfl": Controller(_CONTINUOUS, lambda config: Apfl(config.observer().names, config.codec())),
    }
)
"""Decision makers that need no training."""


def find_controller(name: str) -> Controller:
    """The rule ``name``, or the policy in the run folder ``name``.

    Raises ``ValueError``, in one line, for a name that is neither, and for a folder without a policy that fits.
    """
    if name in RULES:
        return RULES[name]
    folder = Path(name)
    if not folder.is_dir():
        raise ValueError(f"unknown controller {name!r}; known: {', '.join(RULES)}, or a run folder of train_agent.py")
    policy, config, _ = load_run(folder)
    return Controller({option: getattr(config, option) for option in SEEN}, lambda config: policy)
