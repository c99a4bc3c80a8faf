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

SUITE_IDS: Mapping[str, str] = {f"GanBalanceEnv-{_suite}-v0": _suite for _suite in SUITES}
"""``GanBalanceEnv-v0`` with ``suite`` set, for programs that take an id and no arguments."""


def _register(env_id: str, base: str, **options: str) -> None:
    single, vector = ENVIRONMENTS[base]
    # No max_episode_steps: the end of the training budget belongs to the task.
    if env_id not in gym.registry:
        gym.register(
            env_id,
            entry_point=f"{single.__module__}:{single.__name__}",
            vector_entry_point=f"{vector.__module__}:{vector.__name__}",
            kwargs=options,
        )


for _id in ENVIRONMENTS:
    _register(_id, _id)
for _id, _suite in SUITE_IDS.items():
    _register(_id, "GanBalanceEnv-v0", suite=_suite)

__all__ = [
    "ENVIRONMENTS",
    "KNOBS",
    "SUITES",
    "SUITE_IDS",
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
