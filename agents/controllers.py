"""Who turns the knobs, by name: the rules of this project, or a policy that ``train_agent.py`` trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agents.heuristics import Apfl
from agents.predictors import NoopPredictor, Predictor
from agents.sb3 import load_policy
from agents.schedules import CosineSchedule
from gan_env import ActionCodec, EnvConfig
from gan_env.observation import Observer

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


def codec_of(config: EnvConfig) -> ActionCodec:
    """What reads actions in an environment."""
    return ActionCodec(config.action_type, config.knobs, config.moves)


def names_of(config: EnvConfig) -> tuple[str, ...]:
    """One name for each entry of an environment's observation."""
    return Observer(config.knobs, config.groups, config.history, 1).names


RULES: Mapping[str, Controller] = MappingProxyType(
    {
        "none": Controller(_CONTINUOUS, lambda config: NoopPredictor(codec_of(config))),
        "cosine": Controller(
            # Any rate can be reached by one move.
            _CONTINUOUS | {"moves": (1.5, 1e5)},
            lambda config: CosineSchedule(names_of(config), codec_of(config)),
        ),
        "apfl": Controller(_CONTINUOUS, lambda config: Apfl(names_of(config), codec_of(config))),
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
    settings, algorithm, policy_options = _read_settings(folder)
    config = EnvConfig(**settings)
    observer = Observer(config.knobs, config.groups, config.history, 1)
    policy = load_policy(algorithm, folder / "policy.zip", observer.space, codec_of(config).space, policy_options)
    return Controller(settings, lambda config: policy)


def _read_settings(folder: Path) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """From ``config.json``: what the policy sees and does, its algorithm, the options of its networks."""
    try:
        content = json.loads((folder / "config.json").read_text())
        environment = content["environment"]
        settings = {name: environment[name] for name in SEEN} | {"knobs": tuple(environment["knobs"])}
        return settings, content["options"]["algo"], content["algorithm"].get("policy_kwargs", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(folder)!r} is no run folder of train_agent.py: {reason}") from None
