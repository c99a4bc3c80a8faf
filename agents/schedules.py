"""Open-loop rules: what they do depends on the time alone, never on how the GAN does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.moves import Moves
from gan_env import ActionCodec
from gan_env.knobs import KNOBS
from gan_env.observation import columns_of

Array = NDArray[np.float64]

SHAPES: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "constant": np.ones_like,
        "linear": lambda share: 1 - share,
        "cosine": lambda share: (1 + np.cos(np.pi * share)) / 2,
    }
)
"""How a knob falls from 1 to its floor over the share [0, 1] of the time after the warm-up; cosine: equation 5 of
Loshchilov & Hutter, arXiv 1608.03983, without restarts."""


class Schedule:
    """Each knob of ``floors`` rises linearly from its floor to its peak, then falls to the floor again.

    ``warm_up`` is the share of the budget that the rise takes; a floor is a share of the peak. Without ``peaks`` the
    peak is where the knob started, which the observation's relative positions tell; with them it is the knob's own
    value in ``peaks``, and the observation must show absolute positions.

    Actions are ``continuous``: a factor of more than the codec's large move takes several decisions. ``names`` are
    those of the observation's entries. A number out of range raises ``ValueError``.
    """

    def __init__(
        self,
        names: Sequence[str],
        codec: ActionCodec,
        shape: str,
        *,
        floors: Mapping[str, float],
        warm_up: float = 0.0,
        peaks: Mapping[str, float] | None = None,
    ) -> None:
        if shape not in SHAPES:
            raise ValueError(f"unknown shape {shape!r} of a schedule; known: {', '.join(SHAPES)}")
        if not (0 <= warm_up < 1 and all(0 < floor <= 1 for floor in floors.values())):
            raise ValueError(f"warm_up must lie in [0, 1) and floors in (0, 1], not {warm_up} and {dict(floors)}")
        self._shape, self._warm_up = SHAPES[shape], warm_up
        self._floors = np.array(list(floors.values()))
        self._moves = Moves(codec, tuple(floors), "a schedule")
        (self._budget,) = columns_of(names, ["budget_left"])
        self._relative = peaks is None
        self._positions = columns_of(names, [f"{knob}_{'absolute' if peaks else 'relative'}" for knob in floors])
        self._low, self._width, self._peaks = np.array(
            [
                (KNOBS[knob].log_low, KNOBS[knob].log_high - KNOBS[knob].log_low, np.log10(peaks[knob]) if peaks else 0)
                for knob in floors
            ]
        ).T

    @property
    def first_rates(self) -> tuple[float, float]:
        """What a schedule with peaks wants the two rates to be before the first update, within their bounds."""
        wanted = self._peaks + np.log10(self.factor(np.zeros(1))[0])
        lr_g, lr_d = 10 ** np.clip(wanted, self._low, self._low + self._width)[:2]
        return float(lr_g), float(lr_d)

    def factor(self, progress: Array) -> Array:
        """Shares ``(n, len(floors))`` of the peaks after shares ``progress`` ``(n,)`` of the budget."""
        falling = self._shape(np.clip((progress - self._warm_up) / (1 - self._warm_up), 0, 1))
        rising = progress / self._warm_up if self._warm_up else falling
        height = np.where(progress < self._warm_up, rising, falling)[:, None]
        return self._floors + (1 - self._floors) * height

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        seen = observation.astype(np.float64)
        positions = seen[:, self._positions]
        # As the observation scales them: decades from the start / 2, or [-1, 1] between the bounds.
        present = 2 * positions if self._relative else self._low + (positions + 1) / 2 * self._width - self._peaks
        wanted = np.log10(self.factor(1 - seen[:, self._budget]))
        return self._moves.actions(wanted - present), state
