"""Rules for a GAN's knobs, by name: nothing here is trained.

``train_gan.py`` runs one GAN under a rule as it is; the comparison tunes its gains (:mod:`agents.methods`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from agents.apfl import Apfl
from agents.heuristics import Ada, GapAware, LossRatio, UpdateRatio
from agents.predictors import NoopPredictor, Predictor
from agents.schedules import Schedule
from agents.update_sizes import UpdateSizes
from gan_env import EnvConfig
from gan_env.knobs import DEFAULT_MOVES, RATE_KNOBS

FREE_MOVES = (DEFAULT_MOVES[0], 1e5)
"""Moves of an environment in which one decision reaches any rate."""


@dataclass(frozen=True)
class Gain:
    """A number of a rule that tuning may choose."""

    low: float
    high: float
    default: float
    logarithmic: bool = False


@dataclass(frozen=True)
class Rule:
    """An entry of :data:`RULES`. All take ``continuous`` actions."""

    kind: str
    """``open loop`` or ``closed loop``."""
    description: str
    make: Callable[..., Predictor]
    """``make(names, codec, **gains)``, given the names of the observation's entries and what reads the actions."""
    gains: Mapping[str, Gain] = field(default_factory=dict)
    knobs: tuple[str, ...] = RATE_KNOBS
    """What it turns, and the rates."""

    def build(self, config: EnvConfig, **options: Any) -> Predictor:
        """The rule, for environments with these options; what it is not told has its default."""
        return self.make(config.observer().names, config.codec(), **options)


def _rates(share: float) -> dict[str, float]:
    return dict.fromkeys(RATE_KNOBS, share)


_TARGET = Gain(-0.5, 1.5, 0.0)
_ACCURACY = Gain(0.0, 0.95, 0.6)
_SHARE = (0.0, 1.0)
_PEAK = Gain(1e-4, 0.3, 0.01, True)
_FLOOR = Gain(0.01, 1.0, 0.1, True)

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "noop": Rule("open loop", "leaves the knobs where they start", lambda names, codec: NoopPredictor(codec)),
        "linear": Rule(
            "open loop",
            "both rates rise over 5 % of the budget and then fall on a straight line to a hundredth",
            functools.partial(Schedule, shape="linear", warm_up=0.05, floors=_rates(0.01)),
        ),
        "cosine": Rule(
            "open loop",
            "both rates rise over 5 % of the budget and then fall along a cosine to a hundredth",
            functools.partial(Schedule, shape="cosine", warm_up=0.05, floors=_rates(0.01)),
        ),
        "r3gan": Rule(
            "open loop",
            "along one cosine the rates fall to a quarter and R1's weight to a tenth, as R3GAN's do",
            functools.partial(Schedule, shape="cosine", floors=_rates(0.25) | {"r1_weight": 0.1}),
            knobs=(*RATE_KNOBS, "r1_weight"),
        ),
        "ada": Rule(
            "closed loop",
            "ADA's rule on the rates: a fixed step by the sign of E[sign D(real)] - target",
            Ada,
            {"target": _ACCURACY, "step": Gain(0.01, 0.7, 0.1, True), "generator": Gain(*_SHARE, 0.0)},
        ),
        "gap_aware": Rule(
            "closed loop",
            "the gap-aware scheduler: the discriminator's rate by the gap between its loss and the ideal one",
            GapAware,
            {
                "floor": Gain(0.01, 1.0, 0.1, True),
                "ceiling": Gain(1.0, 100.0, 2.0, True),
                "window": Gain(0.02, 1.0, 0.1, True),
            },
        ),
        "loss_ratio": Rule(
            "closed loop",
            "moves both rates in proportion to the log ratio of the losses",
            LossRatio,
            {"target": _TARGET, "gain": Gain(0.03, 3.0, 0.3, True), "generator": Gain(*_SHARE, 1.0)},
        ),
        "update_ratio": Rule(
            "closed loop",
            "moves the discriminator's steps per step of the generator by the log ratio of the losses",
            UpdateRatio,
            {"target": _TARGET, "gain": Gain(0.03, 3.0, 0.3, True)},
            (*RATE_KNOBS, "update_ratio"),
        ),
        "update_size": Rule(
            "closed loop",
            "holds each network's update norm / weight norm on a cosine course",
            UpdateSizes,
            {
                "peak_g": _PEAK,
                "peak_d": _PEAK,
                "floor_g": _FLOOR,
                "floor_d": _FLOOR,
                "warm_up": Gain(0.0, 0.3, 0.1),
                "gain": Gain(0.1, 1.0, 0.5, True),
            },
        ),
        "apfl": Rule(
            "closed loop",
            "a self-tuning regulator of the accuracies that learns what its moves do",
            Apfl,
            {
                "target": _ACCURACY,
                "haste": Gain(0.05, 1.0, 0.25, True),
                "probe": Gain(0.01, 0.3, 0.1, True),
            },
        ),
    }
)
"""Decision makers that need no training."""
