"""A closed-loop rule that knows no rate: it keeps the size of updates, relative to the weights, on a course.

What a rate does depends on the optimizer and on the size of the weights; the relative update is what is left when both
are taken out. You et al. (arXiv 1708.03888) set each layer's rate by it, in order to train with large batches; here one
number for each network follows a schedule, in the way that :class:`~agents.schedules.Schedule` treats rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.moves import Moves
from agents.schedules import Course
from gan_env import ActionCodec
from gan_env.knobs import RATE_KNOBS
from gan_env.observation import columns_of

_SMALLEST = -5.5
"""log10 of the least ratio that the observation can tell from nothing."""


class UpdateSizes:
    """Moves each rate towards where its network's update norm / weight norm would be on a cosine course.

    peak_g, peak_d: that ratio at the peak of the course.
    floor_g, floor_d: shares of the peaks, in (0, 1], where the course begins and ends; 1 holds the ratio still.
    warm_up: share of the budget, in [0, 1), until the peak.
    gain: share of the error, in decades, that one decision corrects.
    """

    def __init__(
        self,
        names: Sequence[str],
        codec: ActionCodec,
        *,
        peak_g: float = 0.01,
        peak_d: float = 0.01,
        floor_g: float = 0.1,
        floor_d: float = 0.1,
        warm_up: float = 0.1,
        gain: float = 0.5,
    ) -> None:
        self._peaks = np.log10([peak_g, peak_d])
        self._course = Course("cosine", (floor_g, floor_d), warm_up)
        self._gain = gain
        self._moves = Moves(codec, RATE_KNOBS, "the rule of update sizes")
        self._ratios = columns_of(names, ["update_ratio_g", "update_ratio_d"])
        (self._budget,) = columns_of(names, ["budget_left"])

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        seen = observation.astype(np.float64)
        left = seen[:, self._budget]
        present = 1.5 * seen[:, self._ratios] - 2.5  # as the observation scales it: (log10 + 2.5) / 1.5
        wanted = np.maximum(self._peaks + np.log10(self._course(1 - left)), _SMALLEST)
        error = np.where((left < 1)[:, None], wanted - present, 0.0)
        return self._moves.actions(self._gain * error), state
