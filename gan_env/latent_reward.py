"""What a draw from a frozen GAN is worth: terms, each a pure function of the image and of what was drawn before it.

A reward is a weighted sum of them, written ``"calibrated=1,diversity=0.5"``, or a preset by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_env.frozen_gan import Facts, Looks
from gan_env.reward import parse_weights

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Draw:
    """n images, each beside what its own environment has drawn lately."""

    looks: Looks
    recent: NDArray[np.float32]
    """``(n, memory, E)`` thumbnails; those that count are marked in ``drawn``."""
    drawn: NDArray[np.bool_]
    """``(n, memory)``"""
    recent_attributes: NDArray[np.float64]
    """``(n, A)``: mean of the attributes lately drawn; zeros where nothing was."""
    facts: Facts


@dataclass(frozen=True)
class LatentRewardTerm:
    """``compute(draw)`` gives ``(n,)`` numbers, 0 for the worst and 1 for the best.

    ``needs`` holds what has to be prepared: ``calibration``, ``attributes``, ``target``, ``history``.
    """

    name: str
    description: str
    needs: frozenset[str]
    compute: Callable[[Draw], Column]


NEEDS = frozenset({"calibration", "attributes", "target", "history"})


def discriminator(draw: Draw) -> Column:
    """``sigmoid(D(G(z)))``, as the discriminator was trained."""
    return _sigmoid(draw.looks.logits)


def calibrated(draw: Draw) -> Column:
    """The same after Platt scaling: how probable a real image is, among as many real as generated."""
    calibration = draw.facts.calibration
    return _sigmoid(calibration.scale * draw.looks.logits + calibration.offset)


def rare(draw: Draw) -> Column:
    """How rare in the data the image's attributes are: 0 when all are the commonest, 1 when all are the rarest.

    Over the readable attributes, ``sum of 1 - f(v) / max f``, divided by its largest value.
    """
    worth = np.zeros(len(draw.facts.frequencies))
    for name in draw.facts.readable:
        at = draw.facts.columns[name]
        worth[at] = 1 - draw.facts.frequencies[at] / draw.facts.frequencies[at].max()
    best = sum(worth[draw.facts.columns[name]].max() for name in draw.facts.readable)
    return draw.looks.attributes @ worth / max(best, 1e-12)


def balance(draw: Draw) -> Column:
    """One minus how often each attribute's value was lately drawn, mean over the readable attributes."""
    spans = [draw.facts.columns[name] for name in draw.facts.readable]
    kept = np.concatenate([np.arange(span.start, span.stop) for span in spans])
    overlap = (draw.looks.attributes[:, kept] * draw.recent_attributes[:, kept]).sum(1)
    return 1 - overlap / len(draw.facts.readable)


def diversity(draw: Draw) -> Column:
    """Distance of the thumbnail to the nearest one lately drawn, in units of a typical pair's, at most 1."""
    gaps = draw.recent - draw.looks.thumbnails[:, None]
    squared = np.where(draw.drawn, np.einsum("nme,nme->nm", gaps, gaps), np.inf)
    nearest = np.sqrt(squared.min(1)) / draw.facts.typical_distance
    return np.minimum(nearest, 1).astype(np.float64)


def contrast(draw: Draw) -> Column:
    """Standard deviation of the thumbnail's numbers, which lie in [-1, 1]: no judgement at all, and easily pleased."""
    return draw.looks.thumbnails.std(1, dtype=np.float64)


def target(draw: Draw) -> Column:
    """Probability that the image has every attribute asked for: the product over them."""
    groups = [draw.looks.attributes[:, list(columns)].sum(1) for columns in draw.facts.wanted]
    return np.prod(groups, axis=0).astype(np.float64)


def _sigmoid(logits: NDArray[np.float64]) -> Column:
    return 0.5 * (1 + np.tanh(0.5 * logits))


_TERMS: dict[str, LatentRewardTerm] = {}
TERMS: Mapping[str, LatentRewardTerm] = _TERMS


def register_latent_reward(term: LatentRewardTerm) -> None:
    """Add an entry to :data:`TERMS`; ``reward="name=weight,..."`` then uses it.

    Raises ``ValueError`` for a name that is taken or no identifier, and for a need that nobody can meet.
    """
    if not term.name.isidentifier() or term.name in _TERMS:
        raise ValueError(f"reward term name {term.name!r} is taken or no identifier")
    if term.needs - NEEDS:
        raise ValueError(
            f"reward term {term.name!r} needs {min(term.needs - NEEDS)!r}; known: {', '.join(sorted(NEEDS))}"
        )
    _TERMS[term.name] = term


for _name, _description, _needs, _compute in (
    ("discriminator", "sigmoid of the discriminator's logit", (), discriminator),
    ("calibrated", "calibrated probability of a real image", ("calibration",), calibrated),
    ("rare", "how rare the attributes are in the data", ("attributes",), rare),
    ("balance", "attributes that were seldom drawn lately", ("attributes", "history"), balance),
    ("diversity", "distance to the nearest image lately drawn", ("history",), diversity),
    ("contrast", "standard deviation of the image's coarse pixels", (), contrast),
    ("target", "probability of all attributes in target=", ("attributes", "target"), target),
):
    register_latent_reward(LatentRewardTerm(_name, _description, frozenset(_needs), _compute))

PRESETS: Mapping[str, Mapping[str, float]] = {
    **{name: {name: 1.0} for name in TERMS},
    "diverse": {"calibrated": 1.0, "diversity": 1.0},
    "balanced": {"calibrated": 1.0, "balance": 1.0},
}
"""Weights by preset; each term by itself is one."""


def parse_latent_reward(reward: str) -> Mapping[str, float]:
    """The weights of a preset, or those written out. Raises ``ValueError`` that names the known ones."""
    return parse_weights(reward, TERMS, PRESETS)


def needs_of(weights: Mapping[str, float]) -> frozenset[str]:
    """All that the terms of a reward need."""
    return frozenset().union(*(TERMS[name].needs for name in weights))


def reward_terms(weights: Mapping[str, float], draw: Draw) -> dict[str, Column]:
    """Weighted terms by name, ``(n,)`` each; the reward is their sum."""
    return {name: weight * TERMS[name].compute(draw) for name, weight in weights.items()}
