"""The knobs of a GAN, their bounds, and the codec between an agent's actions and their values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Knob:
    """One hyperparameter that may change while a GAN trains. All knobs live on a logarithmic scale."""

    name: str
    low: float
    high: float
    default: float
    description: str

    @property
    def log_low(self) -> float:
        return math.log10(self.low)

    @property
    def log_high(self) -> float:
        return math.log10(self.high)


KNOBS: Mapping[str, Knob] = {
    knob.name: knob
    for knob in (
        Knob("lr_g", 1e-6, 1e-1, 2e-4, "learning rate of the generator"),
        Knob("lr_d", 1e-6, 1e-1, 2e-4, "learning rate of the discriminator"),
        Knob(
            "fm_weight",
            1e-3,
            1e2,
            1e-1,
            "feature matching against the adversarial term of the generator's loss",
        ),
        Knob("contrastive_weight", 1e-3, 1e2, 1e-1, "contrastive term against the adversarial one"),
        Knob("fake_weight", 1e-1, 1e1, 1.0, "fake term against the real one in the discriminator's loss"),
        Knob("r1_weight", 1e-3, 1e2, 1e-1, "R1: gradient penalty at real samples"),
        Knob("gp_weight", 1e-2, 1e3, 1e1, "gradient penalty between real and generated samples"),
        Knob("aux_weight", 1e-3, 1e2, 1e-1, "auxiliary discriminator on feature maps against the adversarial term"),
        Knob("stage", 1 / 16, 1.0, 1.0, "share of the finest resolution that is shown and seen"),
        Knob("update_ratio", 1 / 8, 8.0, 1.0, "steps of the discriminator per step of the generator"),
    )
}
DEFAULT_KNOBS = ("lr_g", "lr_d", "fm_weight")
RATE_KNOBS = ("lr_g", "lr_d")

ACTION_TYPES = ("discrete", "multidiscrete", "continuous", "target", "absolute")
NAMING_VALUES = ("target", "absolute")
"""Action types whose actions name the knobs' values, not changes of them; none of them keeps whatever there is."""
DEFAULT_MOVES = (1.5, 5.0)


def parse_knobs(names: str | Sequence[str]) -> tuple[str, ...]:
    """Knob names from a tuple or a comma-separated string; both rates must be among them.

    Raises ``ValueError`` for an unknown, missing or repeated name.
    """
    if not isinstance(names, Sequence):
        raise ValueError(f"knobs must be names out of {', '.join(KNOBS)}, not {names!r}")
    parsed = tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else tuple(names)
    unknown = [name for name in parsed if name not in KNOBS]
    if unknown:
        raise ValueError(f"unknown knob {unknown[0]!r}; known: {', '.join(KNOBS)}")
    if len(set(parsed)) != len(parsed):
        raise ValueError(f"a knob is named twice in {','.join(parsed)}")
    missing = [name for name in RATE_KNOBS if name not in parsed]
    if missing:
        raise ValueError(f"knobs must include {' and '.join(RATE_KNOBS)}; {missing[0]} is missing")
    return parsed


class ActionCodec:
    """Turns actions into new log10 values of the knobs. Log scale and bounds are known here alone.

    ``discrete``: ``Discrete(1 + 4 K)``: 0 keeps everything; then, for each of the K knobs in order, a small move up,
    a small move down, a large move up and a large move down, by the factors ``moves = (small, large)``.

    ``multidiscrete``: ``MultiDiscrete([5] * K)``: one such choice for every knob at once, in the order keep, small up,
    small down, large up, large down.

    ``continuous``: ``Box(-1, 1, (K,))``: the logarithm of the factor on each knob, 1 being the large move.

    ``absolute``: ``Box(-1, 1, (K,))``: the knob itself, -1 its lower bound and 1 its upper one on a logarithmic scale,
    so that an open-loop schedule is a policy like any other.

    ``target``: ``Box(-1, 1, (K,))``: the same scale, but the knob approaches the named value by a large move at most.

    Values stay within each knob's bounds.
    """

    def __init__(self, action_type: str, knobs: Sequence[str], moves: tuple[float, float] = DEFAULT_MOVES) -> None:
        if action_type not in ACTION_TYPES:
            raise ValueError(f"unknown action type {action_type!r}; known: {', '.join(ACTION_TYPES)}")
        if not (
            isinstance(moves, Sequence)
            and len(moves) == 2
            and all(isinstance(move, int | float) for move in moves)
            and 1 < moves[0] < moves[1] < math.inf
        ):
            raise ValueError(f"moves must be two factors with 1 < small < large, not {moves}")
        self.action_type = action_type
        self.knobs = parse_knobs(tuple(knobs))
        self.moves = moves
        self._low = np.array([KNOBS[name].log_low for name in self.knobs])
        self._high = np.array([KNOBS[name].log_high for name in self.knobs])
        small, large = (math.log10(move) for move in moves)
        self._large = large
        self._choices = np.array([0.0, small, -small, large, -large])
        labels = [f"{direction} {move:g}" for move in moves for direction in ("up", "down")]
        self.action_names = ("keep", *(f"{name} {label}" for name in self.knobs for label in labels))
        """Names of the discrete actions, e.g. ``"lr_g up 1.5"``."""
        moves_of_one = np.kron(np.eye(len(self.knobs)), self._choices[1:, None])  # (4 K, K)
        self._table = np.vstack([np.zeros(len(self.knobs)), moves_of_one])

    @property
    def choices(self) -> list[int]:
        """Numbers of choices: of all actions for ``discrete``, for each knob for ``multidiscrete``; else none."""
        if self.action_type == "discrete":
            return [len(self._table)]
        return [len(self._choices)] * len(self.knobs) if self.action_type == "multidiscrete" else []

    @property
    def noop(self) -> NDArray[np.generic]:
        """The action that changes nothing. Raises ``ValueError`` for :data:`NAMING_VALUES`, which have none."""
        if self.action_type in NAMING_VALUES:
            raise ValueError(
                f"action type {self.action_type!r} names the knobs' values; no action keeps them whatever they are"
            )
        if self.action_type == "discrete":
            return np.array(0)
        return np.zeros(len(self.knobs), np.float32 if self.action_type == "continuous" else np.int64)

    def encode(self, log_values: NDArray[np.float64]) -> NDArray[np.float32]:
        """The actions ``(N, K)`` of :data:`NAMING_VALUES` for these log10 values ``(N, K)``, within bounds."""
        positions = 2 * (log_values - self._low) / (self._high - self._low) - 1
        return np.clip(positions, -1, 1).astype(np.float32)

    def apply(self, log_values: NDArray[np.float64], actions: object) -> NDArray[np.float64]:
        """New log10 values ``(N, K)`` from present ones ``(N, K)`` and N actions.

        Raises ``ValueError`` in one line for actions outside the space.
        """
        array = np.asarray(actions)
        count, width = log_values.shape
        if self.action_type == "discrete":
            if array.size != count or not np.issubdtype(array.dtype, np.integer):
                raise ValueError(f"expected {count} integer actions, got shape {array.shape} of {array.dtype}")
            array = array.reshape(count)
            if array.min() < 0 or array.max() >= len(self._table):
                raise ValueError(f"actions must lie in [0, {len(self._table) - 1}], got {array.min()}..{array.max()}")
            new = log_values + self._table[array]
        elif self.action_type == "multidiscrete":
            last = len(self._choices) - 1
            if array.shape != (count, width) or not np.issubdtype(array.dtype, np.integer):
                raise ValueError(
                    f"expected integer actions of shape {(count, width)}, got {array.shape} of {array.dtype}"
                )
            if array.min() < 0 or array.max() > last:
                raise ValueError(f"actions must lie in [0, {last}], got {array.min()}..{array.max()}")
            new = log_values + self._choices[array]
        else:
            if array.shape != (count, width) or not np.issubdtype(array.dtype, np.number):
                raise ValueError(f"expected actions of shape {(count, width)}, got {array.shape} of {array.dtype}")
            if not (np.abs(array) <= 1.0 + 1e-6).all():  # false for NaN, too
                raise ValueError("actions must be finite and lie in [-1, 1]")
            position = array.astype(np.float64)
            if self.action_type == "continuous":
                new = log_values + position * self._large
            else:
                new = self._low + (position + 1) / 2 * (self._high - self._low)
                if self.action_type == "target":
                    new = np.clip(new, log_values - self._large, log_values + self._large)
        return np.clip(new, self._low, self._high)
