"""How an action names a latent, and what an agent sees of the last one: by an index, or entry by entry."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class LatentActions(Protocol):
    """Reads actions and shows what was drawn."""

    @property
    def spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        """Observations and actions of one environment, new objects at each call."""
        ...

    def read(self, actions: object, count: int) -> NDArray[Any]:
        """``count`` actions, checked. Raises ``ValueError`` for what is none."""
        ...

    def latents(self, actions: NDArray[Any]) -> Tensor:
        """``(n, latent_size)`` before any noise."""
        ...

    def blank(self, count: int) -> NDArray[Any]:
        """What is seen before anything was drawn."""
        ...

    def shown(self, actions: NDArray[Any], latents: Tensor) -> NDArray[Any]:
        """What is seen after ``actions`` led to ``latents``, noise included."""
        ...


class Codebook:
    """``Discrete(K)``: the K latents ``codes``, drawn once from N(0, I). Seen is a constant, or the last index.

    Before the first draw the index seen is K.
    """

    def __init__(self, codes: Tensor, *, shows_last: bool) -> None:
        self.codes = codes
        self._shows_last = shows_last

    @classmethod
    def draw(cls, count: int, latent_size: int, seed: int, *, shows_last: bool) -> Codebook:
        """``count`` latents from N(0, I)."""
        rng = torch.Generator().manual_seed(seed)
        return cls(torch.randn(count, latent_size, generator=rng), shows_last=shows_last)

    @property
    def spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        count = len(self.codes)
        return gym.spaces.Discrete(count + 1 if self._shows_last else 1), gym.spaces.Discrete(count)

    def read(self, actions: object, count: int) -> NDArray[np.int64]:
        chosen = np.asarray(actions)
        fits = chosen.shape == (count,) and np.issubdtype(chosen.dtype, np.integer)
        if not fits or (count and (chosen.min() < 0 or chosen.max() >= len(self.codes))):
            raise ValueError(f"an action must be a whole number in 0..{len(self.codes) - 1}, not {actions!r}")
        return chosen.astype(np.int64)

    def latents(self, actions: NDArray[Any]) -> Tensor:
        return self.codes[torch.from_numpy(actions)]

    def blank(self, count: int) -> NDArray[np.int64]:
        return np.full(count, len(self.codes) if self._shows_last else 0)

    def shown(self, actions: NDArray[Any], latents: Tensor) -> NDArray[np.int64]:
        return actions if self._shows_last else np.zeros(len(actions), np.int64)


STATISTICS = ("mean", "standard_deviation", "smallest", "largest", "length")
"""Of the last latent's entries; the length is divided by the root of their number, near 1 for N(0, I)."""


class Reach:
    """``Box(-1, 1, (latent_size,))``: the latent itself in units of ``reach``. Seen are :data:`STATISTICS` of the last.

    What noise adds may go beyond the bounds by five of its standard deviations; more is cut off from what is seen.
    """

    def __init__(self, latent_size: int, reach: float, noise: float) -> None:
        self._size, self._reach = latent_size, reach
        self._bound = np.float32(reach + 5 * noise)

    @property
    def spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        low = np.array([-1, 0, -1, -1, 0], np.float32) * self._bound
        seen = gym.spaces.Box(low, np.full(len(STATISTICS), self._bound), dtype=np.float32)
        return seen, gym.spaces.Box(-1.0, 1.0, (self._size,), np.float32)

    def read(self, actions: object, count: int) -> NDArray[np.float32]:
        try:
            chosen = np.asarray(actions, dtype=np.float32)
        except (TypeError, ValueError):
            chosen = np.zeros(0, np.float32)
        if chosen.shape != (count, self._size) or not (np.abs(chosen) <= 1).all():  # false for NaN, too
            raise ValueError(f"an action must be {self._size} numbers in [-1, 1], not {actions!r}")
        return chosen

    def latents(self, actions: NDArray[Any]) -> Tensor:
        return torch.from_numpy(actions) * self._reach

    def blank(self, count: int) -> NDArray[np.float32]:
        return np.zeros((count, len(STATISTICS)), np.float32)

    def shown(self, actions: NDArray[Any], latents: Tensor) -> NDArray[np.float32]:
        z = latents.numpy()
        columns = [z.mean(1), z.std(1), z.min(1), z.max(1), np.sqrt((z**2).mean(1))]
        return np.clip(np.stack(columns, axis=1), -self._bound, self._bound).astype(np.float32)
