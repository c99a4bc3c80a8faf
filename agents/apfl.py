"""A closed-loop rule that learns, while the GAN trains, what its own moves do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_env import ActionCodec
from gan_env.observation import columns_of

Array = NDArray[np.float64]

DIVERSITY = 1.0
"""What APFL wants the diversity to be: samples as varied as the data."""
_BELIEVED: Mapping[str, float] = MappingProxyType({"lr_g": -0.3, "lr_d": 0.3})
"""First belief of what one large move of a knob does to each accuracy."""


@dataclass(frozen=True)
class _Memory:
    """What APFL knows of n GANs, with m perceptions and K knobs."""

    decisions: NDArray[np.int64]  # (n,)
    perceived: Array  # (n, m), smoothed
    positions: Array  # (n, K), in large moves from the start
    effects: Array  # (n, K + 1, m): of one large move of each knob on each perception, and what happens by itself
    uncertainty: Array  # (n, K + 1, K + 1)


class Apfl:
    """Adaptive perception-behaviour feedback loop, after Sun, Song & Chi, arXiv 2508.16089; see docs/train-gan.md.

    Perception: the discriminator's accuracies and, where the observation has it, the diversity, exponentially
    smoothed. Behaviour: moves of all knobs. What moves do to the next perception is learned while the GAN trains, by
    recursive least squares with forgetting; the moves are those that, by what is known, bring the perceptions a share
    of the way to their targets: a self-tuning regulator (Astrom & Wittenmark, "On self tuning regulators", Automatica
    9, 1973). A small square wave on each knob, each of its own frequency, keeps the effects of all knobs apart.

    target: of both accuracies, as the observation scales them; 0.6 is 80 % of the samples told right, the balance that
    ADA (arXiv 2006.06676) holds. haste: share of the way to the targets that a decision's moves should bring.
    probe: height of the square waves, in large moves.

    Actions are ``continuous``. ``names`` are those of the observation's entries; ``ValueError`` where one is missing.
    """

    smoothing = 0.5
    """Weight of the past in a perception."""
    forgetting = 0.95
    """Weight of a decision's evidence at the next one."""
    damping = 0.03
    """Keeps moves small where no knob has an effect; squared accuracy per squared large move."""

    def __init__(
        self,
        names: Sequence[str],
        codec: ActionCodec,
        *,
        target: float = 0.6,
        haste: float = 0.25,
        probe: float = 0.1,
    ) -> None:
        if codec.action_type != "continuous":
            raise ValueError(f"APFL needs action type 'continuous', not {codec.action_type!r}")
        targets = {"real_accuracy": target, "fake_accuracy": target}
        if "diversity" in names:
            targets["diversity"] = DIVERSITY
        perceptions = list(targets)
        self._perceptions = columns_of(names, perceptions)
        self._positions = columns_of(names, [f"{knob}_relative" for knob in codec.knobs])
        self._targets = np.array([targets[name] for name in perceptions])
        self._haste, self._probe = haste, probe
        self._decades = np.log10(codec.moves[1])
        self._first_effects = np.zeros((len(codec.knobs) + 1, len(perceptions)))
        for row, knob in enumerate(codec.knobs):
            self._first_effects[row, :2] = _BELIEVED.get(knob, 0.0)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        seen = observation.astype(np.float64)
        perceived, positions = seen[:, self._perceptions], 2 * seen[:, self._positions] / self._decades
        if state is None or episode_start is None:
            episode_start = np.full(len(seen), state is None)
        before = _Memory(**state) if state else self._beginning(len(seen))
        memory = self._after(before, episode_start, perceived, positions)
        moves = self._moves(memory) + self._waves(memory.decisions)
        return np.clip(moves, -1, 1).astype(np.float32), vars(memory)

    def effects(self, state: Any) -> Array:
        """What is believed of each row at a state that :meth:`predict` gave, ``(n, K + 1, m)``.

        The effect of one large move of each knob on each perception; last, what happens by itself.
        """
        learned: Array = state["effects"]
        return learned.copy()

    def _beginning(self, count: int) -> _Memory:
        knobs_and_one, perceptions = self._first_effects.shape
        return _Memory(
            np.zeros(count, dtype=np.int64),
            np.zeros((count, perceptions)),
            np.zeros((count, knobs_and_one - 1)),
            np.tile(self._first_effects, (count, 1, 1)),
            np.tile(np.eye(knobs_and_one), (count, 1, 1)),
        )

    def _after(self, memory: _Memory, fresh: NDArray[np.bool_], perceived: Array, positions: Array) -> _Memory:
        """The memory with one more decision's perceptions ``(n, m)`` and knobs ``(n, K)``; ``fresh`` rows begin."""
        start = self._beginning(len(fresh))
        decisions = np.where(fresh, 0, memory.decisions + 1)
        # Nothing is perceived before the first training step, so that smoothing starts after it.
        weight = np.where(decisions > 1, self.smoothing, 0.0)[:, None]
        smooth = weight * memory.perceived + (1 - weight) * perceived
        effects, uncertainty = self._learned(memory, smooth - memory.perceived, positions - memory.positions)
        learning = (decisions > 1)[:, None, None]
        known = _where(fresh, start, memory)
        return _Memory(
            decisions,
            smooth,
            positions,
            np.where(learning, effects, known.effects),
            np.where(learning, uncertainty, known.uncertainty),
        )

    def _learned(self, memory: _Memory, changes: Array, moves: Array) -> tuple[Array, Array]:
        """One step of recursive least squares: ``changes`` ``(n, m)`` were brought about by ``moves`` ``(n, K)``."""
        causes = np.concatenate([moves, np.ones((len(moves), 1))], axis=1)
        spread = np.einsum("nij,nj->ni", memory.uncertainty, causes)
        gain = spread / (self.forgetting + np.einsum("ni,ni->n", causes, spread))[:, None]
        surprise = changes - np.einsum("nim,ni->nm", memory.effects, causes)
        effects = memory.effects + gain[:, :, None] * surprise[:, None, :]
        uncertainty = (memory.uncertainty - gain[:, :, None] * spread[:, None, :]) / self.forgetting
        return effects, uncertainty

    def _moves(self, memory: _Memory) -> Array:
        """Damped least squares: the smallest moves ``(n, K)`` that bring about the change that is wanted."""
        knobs, drift = memory.effects[:, :-1], memory.effects[:, -1]
        wanted = self._haste * (self._targets - memory.perceived) - drift
        wanted = np.where(memory.decisions[:, None] > 0, wanted, 0.0)
        square = np.einsum("nkm,nkl->nml", knobs, knobs) + self.damping * np.eye(len(self._targets))
        moves: Array = np.einsum("nkm,nm->nk", knobs, np.linalg.solve(square, wanted[:, :, None])[:, :, 0])
        return moves

    def _waves(self, decisions: NDArray[np.int64]) -> Array:
        """Square waves ``(n, K)``: the first knob's changes sign at every decision, the next one's at every second."""
        knobs = np.arange(len(self._first_effects) - 1)
        return np.where((decisions[:, None] >> knobs) & 1, -self._probe, self._probe)


def _where(rows: NDArray[np.bool_], one: _Memory, other: _Memory) -> _Memory:
    """``one`` in ``rows``, ``other`` elsewhere."""

    def choose(name: str) -> Any:
        first, second = getattr(one, name), getattr(other, name)
        return np.where(rows.reshape(-1, *[1] * (first.ndim - 1)), first, second)

    return _Memory(**{name: choose(name) for name in vars(one)})
