"""Open-loop baselines: what they do depends on the time alone, never on how the GAN does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_env import ActionCodec
from gan_env.knobs import RATE_KNOBS
from gan_env.observation import columns_of


class CosineSchedule:
    """Both learning rates rise linearly from a floor to where they started, then fall along a cosine to the floor.

    The cosine is equation 5 of Loshchilov & Hutter, arXiv 1608.03983, without restarts; ``warm_up`` is the share of
    the budget that the rise takes, ``floor`` the share of the starting rates at both ends. Other knobs stay. The start
    is all that a schedule needs to be told, so it is a policy like any other: the observation shows how far each rate
    is from it, and the share of the budget that is left.

    Actions are ``continuous``. A factor of more than the codec's large move takes several decisions. ``names`` are
    those of the observation's entries.
    """

    def __init__(self, names: Sequence[str], codec: ActionCodec, warm_up: float = 0.05, floor: float = 0.01) -> None:
        if codec.action_type != "continuous":
            raise ValueError(f"the cosine schedule needs action type 'continuous', not {codec.action_type!r}")
        if not (0 <= warm_up < 1 and 0 < floor <= 1):
            raise ValueError(f"warm_up must lie in [0, 1) and floor in (0, 1], not {warm_up} and {floor}")
        self._warm_up, self._floor = warm_up, floor
        (self._budget,) = columns_of(names, ["budget_left"])
        self._relative = columns_of(names, [f"{knob}_relative" for knob in RATE_KNOBS])
        self._rates = [codec.knobs.index(knob) for knob in RATE_KNOBS]
        self._knob_count = len(codec.knobs)
        self._decades = np.log10(codec.moves[1])

    def factor(self, progress: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the starting rates after a share ``progress`` of the budget, same shape."""
        falling = (1 + np.cos(np.pi * (progress - self._warm_up) / (1 - self._warm_up))) / 2
        rising = progress / self._warm_up if self._warm_up else falling
        return self._floor + (1 - self._floor) * np.where(progress < self._warm_up, rising, falling)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        seen = observation.astype(np.float64)
        wanted = np.log10(self.factor(1 - seen[:, self._budget]))[:, None]
        actions = np.zeros((len(seen), self._knob_count), np.float32)
        actions[:, self._rates] = np.clip((wanted - 2 * seen[:, self._relative]) / self._decades, -1, 1)
        return actions, state
