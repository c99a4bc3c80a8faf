"""Gymnasium's spaces of what the codec reads and the observer shows; a new object at each call."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

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
