"""Reward terms: pure functions of two measurements. A preset is a weighted sum of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_env.observation import Measurement, example_measurements

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


def final_quality(before: Measurement, after: Measurement) -> Tensor:
    """At the end of an episode its whole fall in the log proxy distance, 0 before."""
    ended = (after.failed & ~before.failed) | (after.budget_left <= 0)
    gain = after.start_distance.log() - after.distance.log()
    return torch.where(ended, gain, torch.zeros_like(gain))


def d_loss_delta(before: Measurement, after: Measurement) -> Tensor:
    """Fall in the canonical discriminator loss since the last decision, within [-1, 1]; 0 at the first decision."""
    old, new = before.stats.loss_d, after.stats.loss_d
    fall = old - new
    return torch.where(fall.isfinite() & (old > 0), fall, torch.zeros_like(fall)).clamp(-1, 1)


def loss_gap(before: Measurement, after: Measurement) -> Tensor:
    """Minus the distance of the two canonical losses, within [-10, 0] (FSCO, arXiv 2504.15099)."""
    gap = (after.stats.loss_g - after.stats.loss_d).abs()
    return -torch.where(gap.isfinite(), gap, torch.full_like(gap, 10.0)).clamp(max=10)


_LARGEST_WEIGHT = 1e6
_TERMS: dict[str, RewardTerm] = {}
TERMS: Mapping[str, RewardTerm] = _TERMS


def register_reward_term(term: RewardTerm) -> None:
    """Add an entry to :data:`TERMS`; ``reward="name=weight,..."`` then uses it.

    Raises ``ValueError`` for a name that is taken or no identifier, and for a function that does not give one finite
    number per row.
    """
    if not term.name.isidentifier():
        raise ValueError(f"bad reward term name {term.name!r}; use letters, digits and '_', a letter first")
    if term.name in _TERMS:
        raise ValueError(f"reward term {term.name!r} is registered already")
    for before, after in itertools.pairwise(example_measurements()):
        value = term.compute(before, after)
        if not isinstance(value, Tensor) or value.shape != after.failed.shape or not value.isfinite().all():
            raise ValueError(f"reward term {term.name!r} must give one finite number per row, also after divergence")
    _TERMS[term.name] = term


for _term in (
    RewardTerm("quality", "fall in the log proxy distance since the last decision", True, quality),
    RewardTerm("stability", "minus the relative change of the discriminator's loss", False, stability),
    RewardTerm("failure", "-1 once for divergence or collapse", False, failure),
    RewardTerm("final_quality", "fall in the log proxy distance over the episode, at its end", True, final_quality),
    RewardTerm("d_loss_delta", "fall in the discriminator's loss since the last decision", False, d_loss_delta),
    RewardTerm("loss_gap", "minus the distance of the two losses", False, loss_gap),
):
    register_reward_term(_term)

PRESETS: Mapping[str, Mapping[str, float]] = {
    "default": {"quality": 1.0, "stability": 0.02, "failure": FAILURE_PENALTY},
    "terminal": {"final_quality": 1.0, "failure": FAILURE_PENALTY},
    "stability": {"stability": 1.0, "failure": FAILURE_PENALTY},
    "d_loss_delta": {"d_loss_delta": 1.0, "failure": FAILURE_PENALTY},
    "loss_gap": {"loss_gap": 1.0, "failure": FAILURE_PENALTY},
}
"""Weights by preset. ``stability``, ``d_loss_delta`` and ``loss_gap`` need no proxy."""


def parse_reward(reward: str) -> Mapping[str, float]:
    """The weights of a preset, or those written out as ``"quality=1,stability=0.02"``.

    Raises ``ValueError`` that names the known presets and terms.
    """
    return parse_weights(reward, TERMS, PRESETS)


def parse_weights(
    reward: str, terms: Collection[str], presets: Mapping[str, Mapping[str, float]]
) -> Mapping[str, float]:
    """:func:`parse_reward` of any table of terms and presets."""
    if not isinstance(reward, str):
        raise ValueError(f"reward must be a name or TERM=WEIGHT joined by ',', not {reward!r}")
    if reward in presets:
        return presets[reward]
    known = f"presets: {', '.join(presets)}; terms, as TERM=WEIGHT joined by ',': {', '.join(terms)}"
    weights: dict[str, float] = {}
    for item in reward.split(","):
        name, _, text = item.partition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if name not in terms or name in weights or not abs(weight) <= _LARGEST_WEIGHT:  # true for NaN, too
            raise ValueError(f"unknown reward {item!r}; {known}")
        weights[name] = weight
    return weights


def reward_terms(preset: Mapping[str, float], before: Measurement, after: Measurement) -> dict[str, Tensor]:
    """Weighted terms by name, ``(N,)`` each; the reward is their sum."""
    return {name: weight * TERMS[name].compute(before, after) for name, weight in preset.items()}
