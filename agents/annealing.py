"""The share of random pulls of those that explore by one: how it falls, and over how many pulls by default."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Annealing:
    """From ``start`` to ``end`` in a line over ``pulls`` pulls, and ``end`` afterwards.

    Raises ``ValueError``, by the names of the options, unless ``0 <= end <= start <= 1`` and ``pulls >= 1``.
    """

    start: float
    end: float
    pulls: int

    def __post_init__(self) -> None:
        if not 0 <= self.end <= self.start <= 1:
            raise ValueError(f"epsilon must fall within 0..1 to epsilon_end, not from {self.start} to {self.end}")
        if self.pulls < 1:
            raise ValueError(f"anneal must be at least 1, got {self.pulls}")

    def share(self, pulls: int) -> float:
        """Of random pulls, after ``pulls`` pulls."""
        return self.start + (self.end - self.start) * min(1.0, pulls / self.pulls)


def over_half(make: Callable[..., object], pulls: float) -> dict[str, int]:
    """The option ``anneal`` of ``make``, as half of ``pulls``; no option where it takes none of this name."""
    return {"anneal": max(1, int(pulls / 2))} if "anneal" in inspect.signature(make).parameters else {}
