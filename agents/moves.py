"""From wanted moves of some knobs to actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_env import ActionCodec


class Moves:
    """Continuous actions that move ``knobs``, all others staying; no knob moves further than a large move.

    Raises ``ValueError`` for another action type, and for a knob that the codec does not have.
    """

    def __init__(self, codec: ActionCodec, knobs: Sequence[str], who: str) -> None:
        if codec.action_type != "continuous":
            raise ValueError(f"{who} needs action type 'continuous', not {codec.action_type!r}")
        missing = [knob for knob in knobs if knob not in codec.knobs]
        if missing:
            raise ValueError(f"{who} turns {missing[0]!r}, which is not among the knobs {', '.join(codec.knobs)}")
        self._columns = [codec.knobs.index(knob) for knob in knobs]
        self._count = len(codec.knobs)
        self._decades = np.log10(codec.moves[1])

    def actions(self, decades: NDArray[Any]) -> NDArray[np.float32]:
        """Actions ``(n, K)`` for moves ``(n, len(knobs))`` of so many decades."""
        actions = np.zeros((len(decades), self._count), np.float32)
        actions[:, self._columns] = np.clip(decades / self._decades, -1, 1)
        return actions
