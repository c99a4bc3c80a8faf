"""Reward terms: pure functions of two measurements. A preset is a weighted sum of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_env.observation import Measurement

FAILURE_PENALTY = 2.0
"""One-off, in units of the log distance: beside the distance itself, which becomes the suite's worst."""


@dataclass(frozen=True)
class RewardTerm:
    """``compute(before, after)`` gives ``(N,)``, finite always."""

    name: str
    description: str
    needs_quality: bool
    compute: Callable[[Measurement, Measurement], Tensor]


def quality(before: Measurement, after: Measurement) -> Tensor:
    """Fall in the log proxy distance: a potential difference, so an undiscounted episode sums to log(first / last)."""
    return before.distance.log() - after.distance.log()


def stability(before: Measurement, after: Measurement) -> Tensor:
    """Minus the relative change of the canonical discriminator loss, in [-1, 0]; 0 for a game that stands still.

    The first decision of an episode has nothing to compare with and gives 0.
    """
    old, new = before.stats.loss_d, after.stats.loss_d
    change = (new - old).abs() / (new + old)
    return -torch.where(change.isfinite() & (old > 0), change, torch.zeros_like(change)).clamp(0, 1)


def failure(before: Measurement, after: Measurement) -> Tensor:
    """-1 at the step at which a GAN diverges or collapses, else 0."""
    return -(after.failed & ~before.failed).to(after.budget_left)


TERMS: Mapping[str, RewardTerm] = {
    term.name: term
    for term in (
        RewardTerm("quality", "fall in the log proxy distance since the last decision", True, quality),
        RewardTerm("stability", "minus the relative change of the discriminator's loss", False, stability),
        RewardTerm("failure", "-1 once for divergence or collapse", False, failure),
    )
}

PRESETS: Mapping[str, Mapping[str, float]] = {
    "default": {"quality": 1.0, "stability": 0.02, "failure": FAILURE_PENALTY},
    "stability": {"stability": 1.0, "failure": FAILURE_PENALTY},
}
"""Weights by preset. ``stability`` alone needs no proxy: for those who measure quality themselves."""


def get_preset(name: str) -> Mapping[str, float]:
    """The weights of preset ``name``; ``ValueError`` names the known ones."""
    if name not in PRESETS:
        raise ValueError(f"unknown reward {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def reward_terms(preset: Mapping[str, float], before: Measurement, after: Measurement) -> dict[str, Tensor]:
    """Weighted terms by name, ``(N,)`` each; the reward is their sum."""
    return {name: weight * TERMS[name].compute(before, after) for name, weight in preset.items()}
