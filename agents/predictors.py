"""Decision makers without learning. Everything that decides answers Stable-Baselines3's ``predict()``."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gan_env import ActionCodec


class Predictor(Protocol):
    """``predict`` maps observations ``(n, d)`` to n actions and a recurrent state (or none)."""

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]: ...


class NoopPredictor:
    """Leaves every knob where it is."""

    def __init__(self, codec: ActionCodec) -> None:
        self._action = codec.noop

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        return np.stack([self._action] * len(observation)), state


class RandomPredictor:
    """Draws every action uniformly from the space, by its own seeded generator."""

    def __init__(self, space: gym.Space[Any], seed: int) -> None:
        self._space = space
        self._space.seed(seed)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        return np.stack([self._space.sample() for _ in range(len(observation))]), state
