"""Open-loop rules: what they do depends on the time alone, never on how the GAN does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.moves import Moves
from gan_env import ActionCodec
from gan_env.knobs import KNOBS, NAMING_VALUES, RATE_KNOBS
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


class Course:
    """Shares of peaks over the budget: each rises linearly from its floor to 1, then falls to the floor again.

    ``floors`` are shares of the peaks, ``warm_up`` is the share of the budget that the rise takes. A number out of
    range and an unknown shape raise ``ValueError``.
    """

    def __init__(self, shape: str, floors: Sequence[float], warm_up: float = 0.0) -> None:
        if shape not in SHAPES:
            raise ValueError(f"unknown shape {shape!r} of a schedule; known: {', '.join(SHAPES)}")
        if not (0 <= warm_up < 1 and all(0 < floor <= 1 for floor in floors)):
            raise ValueError(f"warm_up must lie in [0, 1) and floors in (0, 1], not {warm_up} and {list(floors)}")
        self._shape, self._floors, self._warm_up = SHAPES[shape], np.array(floors), warm_up

    def __call__(self, progress: Array) -> Array:
        """``(n, len(floors))`` after shares ``progress`` ``(n,)`` of the budget."""
        falling = self._shape(np.clip((progress - self._warm_up) / (1 - self._warm_up), 0, 1))
        rising = progress / self._warm_up if self._warm_up else falling
        height = np.where(progress < self._warm_up, rising, falling)[:, None]
        shares: Array = self._floors + (1 - self._floors) * height
        return shares


class Schedule:
    """Each knob of ``floors`` follows its :class:`Course`.

    With ``peaks`` the peak is the knob's own value there, and the codec has no other knobs. Actions may name values:
    ``absolute`` sets them, ``target`` takes several decisions for a factor of more than its large move. Or they are
    ``continuous`` moves of the same reach, and the observation has to show where the knobs are (group ``absolute``).
    Without peaks the peak is where the knob started, which the observation's relative positions tell, and actions are
    ``continuous``.

    ``names`` are those of the observation's entries. A number out of range, and another action type, raise
    ``ValueError``.
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
        self._codec = codec
        (self._budget,) = columns_of(names, ["budget_left"])
        if peaks is None:
            self._moves = Moves(codec, tuple(floors), "a schedule from where the knobs start")
            self._positions = columns_of(names, [f"{knob}_relative" for knob in floors])
            self._course = Course(shape, list(floors.values()), warm_up)
            self._peaks = None
            return
        self._positions = []
        if codec.action_type not in NAMING_VALUES:
            self._moves = Moves(codec, codec.knobs, "a schedule that does not name values")
            self._positions = columns_of(names, [f"{knob}_absolute" for knob in codec.knobs])
        if not set(codec.knobs) == set(floors) == set(peaks):
            raise ValueError(
                f"a schedule names {', '.join(floors)}, with peaks of {', '.join(peaks)}; the knobs are "
                f"{', '.join(codec.knobs)}"
            )
        self._course = Course(shape, [floors[knob] for knob in codec.knobs], warm_up)
        self._peaks = np.log10([peaks[knob] for knob in codec.knobs])

    @property
    def first_rates(self) -> tuple[float, float]:
        """What a schedule with peaks wants the two rates to be before the first update, within their bounds."""
        wanted = self._wanted(np.zeros(1))[0]
        lr_g, lr_d = (
            10 ** np.clip(wanted[self._codec.knobs.index(knob)], KNOBS[knob].log_low, KNOBS[knob].log_high)
            for knob in RATE_KNOBS
        )
        return float(lr_g), float(lr_d)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        seen = observation.astype(np.float64)
        progress = 1 - seen[:, self._budget]
        if self._peaks is not None:
            wanted = self._wanted(progress)
            if not self._positions:
                return self._codec.encode(wanted), state
            present = ActionCodec("absolute", self._codec.knobs).apply(np.zeros_like(wanted), seen[:, self._positions])
            return self._moves.actions(wanted - present), state
        present = 2 * seen[:, self._positions]  # as the observation scales them: decades from the start / 2
        return self._moves.actions(np.log10(self._course(progress)) - present), state

    def _wanted(self, progress: Array) -> Array:
        """log10 values ``(n, K)`` of the codec's knobs."""
        assert self._peaks is not None
        return self._peaks + np.log10(self._course(progress))
