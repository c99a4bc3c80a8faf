"""What a policy saw while it was trained: the range of each feature in GANs that did not fail."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from agents.restoring import Each, MisfitError, require_finite, require_like
from agents.tree_file import Tree
from gan_backbones.files import read_json
from gan_env.observation import Observer, columns_of

LOWEST, HIGHEST = 0.005, 0.995
"""Quantiles that end a range."""
_BINS = 400
"""Between a feature's bounds."""


class SeenFeatures(BaseCallback):
    """Counts each feature at the decisions of training, those of episodes that came to their end without failing.

    A diverging GAN passes through every value there is: with it, nothing would lie outside the range. Each kind of GAN
    is counted by itself, as what is usual for one may be rare among all; row i is of kind i modulo their number. So are
    the first decisions after an update: a long episode has a single one, but every loop begins with it.
    """

    def __init__(self, observer: Observer, num_envs: int, kinds: int) -> None:
        super().__init__()
        self._features = observer.features
        self._columns = columns_of(observer.names, [feature.name for feature in observer.features])
        self._low, self._high = (np.array([getattr(one, end) for one in self._features]) for end in ("low", "high"))
        shape = (kinds, 2, len(self._features), _BINS)  # of all decisions, of the first
        self._counts = np.zeros(shape, dtype=np.int64)
        self._episodes: list[list[NDArray[np.float32]]] = [[] for _ in range(num_envs)]

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Between what quantiles each feature lay, for any kind of GAN, at all decisions or at the first, within its
        bounds; empty where no episode was counted."""
        counted = self._counts[self._counts.any((1, 2, 3))].reshape(-1, len(self._features), _BINS)
        if not len(counted):
            return {}
        edges = np.linspace(self._low, self._high, _BINS + 1, axis=1)
        shares = counted.cumsum(2) / counted.sum(2, keepdims=True)
        lowest, highest = (shares <= LOWEST).sum(2).min(0), (shares < HIGHEST).sum(2).max(0)
        return {
            feature.name: (float(row[first]), float(row[last + 1]))
            for feature, row, first, last in zip(self._features, edges, lowest, highest, strict=True)
        }

    def get_state(self) -> Tree:
        """The counts, and the episodes that are under way."""
        episodes = [np.reshape(np.array(one, np.float32), (-1, len(self._columns))) for one in self._episodes]
        return {"counts": self._counts, "episodes": episodes}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`get_state`. Raises ``MisfitError`` for what is none of these environments'."""
        example = {"counts": self._counts, "episodes": Each(np.zeros(0, np.float32))}
        require_like(state, example, "its record of features")
        require_finite(state["episodes"], "its record of features")
        if len(state["episodes"]) != len(self._episodes):
            raise MisfitError(f"its record of features is of {len(state['episodes'])} environments")
        self._counts = state["counts"]
        self._episodes = [list(one.reshape(-1, len(self._columns))) for one in state["episodes"]]

    def _on_step(self) -> bool:
        seen = self.locals["new_obs"][:, self._columns]
        for row, (info, done) in enumerate(zip(self.locals["infos"], self.locals["dones"], strict=True)):
            if not done:
                self._episodes[row].append(seen[row])
                continue
            if not (info["TimeLimit.truncated"] or info["diverged"] or info["collapsed"]):
                self._count(row, np.stack([*self._episodes[row], info["terminal_observation"][self._columns]]))
            self._episodes[row] = []
        return True

    def _count(self, row: int, values: NDArray[np.float32]) -> None:
        """Add an episode ``(n, F)`` of a row."""
        counts = self._counts[row % len(self._counts)]
        places = ((values - self._low) / (self._high - self._low) * _BINS).astype(np.int64).clip(0, _BINS - 1)
        features = np.arange(len(self._columns))
        np.add.at(counts[0], (features, places), 1)
        counts[1, features, places[0]] += 1


def read_ranges(path: Path) -> dict[str, tuple[float, float]]:
    """What :meth:`SeenFeatures.ranges` gave, from its file; empty where there is no such file.

    Raises ``ValueError``, in one line that names the file, where it holds anything else.
    """
    ranges = read_json(path) if path.exists() else {}
    if not isinstance(ranges, dict) or not all(map(_is_range, ranges.values())):
        raise ValueError(f"{path} does not give each feature's lowest and highest value")
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}


def _is_range(ends: Any) -> bool:
    numbers = isinstance(ends, list) and len(ends) == 2 and all(type(end) in (int, float) for end in ends)
    return numbers and -sys.float_info.max <= ends[0] <= ends[1] <= sys.float_info.max  # false for NaN, too
