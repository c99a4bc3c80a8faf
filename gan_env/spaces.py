"""Gymnasium's spaces of what the codec reads and the observer shows; a new object at each call. Actions as arrays."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gan_env.knobs import ActionCodec
from gan_env.observation import Observer


def action_space(codec: ActionCodec) -> gym.Space[Any]:
    """The actions of one environment."""
    if codec.action_type == "discrete":
        return gym.spaces.Discrete(codec.choices[0])
    if codec.action_type == "multidiscrete":
        return gym.spaces.MultiDiscrete(codec.choices)
    return gym.spaces.Box(-1.0, 1.0, (len(codec.knobs),), np.float32)


def observation_space(observer: Observer) -> gym.spaces.Box:
    """The observations of one environment."""
    return gym.spaces.Box(*observer.bounds, dtype=np.float32)


def as_numbers(actions: object) -> NDArray[Any]:
    """Actions of any kind as an array of truth values, integers or real numbers.

    Raises ``ValueError`` in one line for anything else: ragged lists, text, dates, tensors that are being trained.
    """
    try:
        array = np.asarray(actions)
    except Exception as error:  # whatever somebody's object makes of it
        raise ValueError(f"an action must be made of numbers: {' '.join(str(error).split())}") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"an action must be made of numbers, not of {array.dtype}")
    return array
