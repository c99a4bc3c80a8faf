"""GAN training as a Markov decision process. Importing this package registers its environments with Gymnasium."""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium as gym

from gan_env import suites  # noqa: F401  (registers the suites)
from gan_env.balance_env import GanBalanceEnv
from gan_env.config import EnvConfig
from gan_env.instances import SUITES, GanInstance, Suite, Task, get_suite, register_suite
from gan_env.knobs import KNOBS, ActionCodec
from gan_env.observation import Feature, Measurement, register_feature
from gan_env.reward import RewardTerm, register_reward_term
from gan_env.vector_env import GanBalanceVectorEnv

ENVIRONMENTS: Mapping[str, tuple[type[gym.Env], type[gym.vector.VectorEnv]]] = {
    "GanBalanceEnv-v0": (GanBalanceEnv, GanBalanceVectorEnv),
}
"""Every id with its single and its vector entry point."""

for _id, (_single, _vector) in ENVIRONMENTS.items():
    # No max_episode_steps: the end of the training budget belongs to the task.
    if _id not in gym.registry:
        gym.register(
            _id,
            entry_point=f"{_single.__module__}:{_single.__name__}",
            vector_entry_point=f"{_vector.__module__}:{_vector.__name__}",
        )

__all__ = [
    "ENVIRONMENTS",
    "KNOBS",
    "SUITES",
    "ActionCodec",
    "EnvConfig",
    "Feature",
    "GanBalanceEnv",
    "GanBalanceVectorEnv",
    "GanInstance",
    "Measurement",
    "RewardTerm",
    "Suite",
    "Task",
    "get_suite",
    "register_feature",
    "register_reward_term",
    "register_suite",
]
