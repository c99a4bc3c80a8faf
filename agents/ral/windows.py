"""Partial generation: which codes of a map are sampled in a step; the rest is given.

Sampling is what an update costs most (Ak et al., arXiv 2007.09923, section 3.3, sample parts of the map for that
reason), and a code near the end of the map is tried with a whole real image before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Order = Literal["random", "raster", "backwards"]
ORDERS: tuple[str, ...] = get_args(Order)


@dataclass(frozen=True)
class Windows:
    """A rectangle of codes that moves over the map from step to step.

    ``height`` and ``width`` are shares of the map's, above 0 and up to 1; 1 and 1 is the whole map. ``order``: anywhere
    (``random``), or tile after tile from the upper left (``raster``) or from the lower right (``backwards``).

    Raises ``ValueError`` for other shares or orders.
    """

    height: float = 1.0
    width: float = 1.0
    order: Order = "random"

    def __post_init__(self) -> None:
        if not (0 < self.height <= 1 and 0 < self.width <= 1):
            raise ValueError(f"a window's height and width must lie in (0, 1], not {self.height} and {self.width}")
        if self.order not in ORDERS:
            raise ValueError(f"unknown order {self.order!r} of windows; known: {', '.join(ORDERS)}")

    @property
    def whole(self) -> bool:
        """Whether everything is sampled."""
        return self.height == self.width == 1

    def free(self, maps: Sequence[tuple[int, int]], step: int, generator: torch.Generator) -> Tensor:
        """The codes sampled in a step, ``(length,)`` bool, over the maps of all levels one after another.

        ``maps``: height and width of each; the window covers the same part of every one. ``generator`` is used by the
        order ``random`` alone.
        """
        top, left = self._corner(step, generator)
        parts = []
        for rows, columns in maps:
            part = torch.zeros(rows, columns, dtype=torch.bool)
            first, span = _stretch(top, self.height, rows)
            start, wide = _stretch(left, self.width, columns)
            part[first : first + span, start : start + wide] = True
            parts.append(part.flatten())
        return torch.cat(parts)

    def _corner(self, step: int, generator: torch.Generator) -> tuple[float, float]:
        """Upper left corner as shares of the room that the window leaves, each in [0, 1]."""
        if self.order == "random":
            row, column = torch.rand(2, generator=generator).tolist()
            return row, column
        down, across = math.ceil(1 / self.height - 1e-9), math.ceil(1 / self.width - 1e-9)
        tile = step % (down * across)
        if self.order == "backwards":
            tile = down * across - 1 - tile
        return tile // across / max(down - 1, 1), tile % across / max(across - 1, 1)


def _stretch(corner: float, share: float, size: int) -> tuple[int, int]:
    """First index and length of a share of ``size`` indices."""
    length = min(size, max(1, round(share * size)))
    return min(int(corner * (size - length + 1)), size - length), length
