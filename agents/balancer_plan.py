"""When a balancer decides, and between which limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_env.knobs import KNOBS

_ROUNDING = 1e-6
"""Share by which a rate that was set to a bound may miss it: optimizers keep float32."""


@dataclass(frozen=True)
class Plan:
    """When a balancer decides: before the first update, and then ``decisions - 1`` times at even distances."""

    total_updates: int
    decisions: int
    warmup_updates: int = 0
    """Updates that come before the first decision that counts; until then the knobs stay."""

    def __post_init__(self) -> None:
        for name, least in (("total_updates", 1), ("decisions", 1), ("warmup_updates", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
        if self.decisions > self.total_updates:
            raise ValueError(f"{self.decisions} decisions need as many updates; total_updates is {self.total_updates}")

    def due(self, decision: int) -> int:
        """Updates after which a decision is made; that of the number ``decisions`` never is."""
        return -(-decision * self.total_updates // self.decisions)


def knob_limits(
    knobs: Sequence[str], given: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """log10 of the knobs' starts ``(1, K)``, and of their lower and upper bounds ``(K,)``.

    Defaults stand in for what is not ``given`` or bounded. Raises ``ValueError`` for a knob that is not among
    ``knobs``, bounds wider than its own, and a start that lies outside them by more than rounding.
    """
    for name in (*given, *bounds):
        if name not in knobs:
            raise ValueError(f"this policy does not turn {name!r}; its knobs are {', '.join(knobs)}")
    rows = []
    for name in knobs:
        low, high = bounds.get(name, (KNOBS[name].low, KNOBS[name].high))
        start = given.get(name, KNOBS[name].default)
        if not KNOBS[name].low <= low <= high <= KNOBS[name].high:
            raise ValueError(f"bounds of {name} must lie in [{KNOBS[name].low:g}, {KNOBS[name].high:g}]")
        if not low * (1 - _ROUNDING) <= start <= high * (1 + _ROUNDING):
            raise ValueError(f"{name} starts at {start:g}, outside its bounds [{low:g}, {high:g}]")
        rows.append([math.log10(value) for value in (min(max(start, low), high), low, high)])
    start_row, lows, highs = np.array(rows).T
    return start_row[None], lows, highs
