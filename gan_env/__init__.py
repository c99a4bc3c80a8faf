"""GAN training as a Markov decision process. Importing this package registers its environments with Gymnasium.

Knobs and features serve training loops elsewhere, too (:mod:`agents.balancer`). So the environments themselves, which
need Gymnasium and all that measures quality, are imported when they are first asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_env import suites  # noqa: F401  (registers the suites)
from gan_env.config import EnvConfig
from gan_env.instances import SUITES, GanInstance, Suite, Task, get_suite, register_suite
from gan_env.knobs import KNOBS, ActionCodec
from gan_env.observation import Feature, Measurement, register_feature
from gan_env.reward import RewardTerm, register_reward_term

if TYPE_CHECKING:
    from gan_env.balance_env import GanBalanceEnv
    from gan_env.latent_env import GanLatentBandit, GanLatentBanditVectorEnv, GanLatentBox, GanLatentBoxVectorEnv
    from gan_env.vector_env import GanBalanceVectorEnv

_LATENT = ("GanLatentBandit", "GanLatentBanditVectorEnv", "GanLatentBox", "GanLatentBoxVectorEnv")
_MODULES = {"GanBalanceEnv": "gan_env.balance_env", "GanBalanceVectorEnv": "gan_env.vector_env"}
_MODULES |= dict.fromkeys(_LATENT, "gan_env.latent_env")

ENVIRONMENTS: Mapping[str, tuple[str, str]] = {
    "GanBalanceEnv-v0": ("GanBalanceEnv", "GanBalanceVectorEnv"),
    "GanLatentBandit-v0": ("GanLatentBandit", "GanLatentBanditVectorEnv"),
    "GanLatentBox-v0": ("GanLatentBox", "GanLatentBoxVectorEnv"),
}
"""Every id with the classes, in this package, of its single and its vector environment."""

SUITE_IDS: Mapping[str, str] = {f"GanBalanceEnv-{_suite}-v0": _suite for _suite in SUITES}
"""``GanBalanceEnv-v0`` with ``suite`` set, for programs that take an id and no arguments."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def _register() -> None:
    import gymnasium as gym

    bases: dict[str, tuple[str, dict[str, str]]] = {env_id: (env_id, {}) for env_id in ENVIRONMENTS}
    bases |= {env_id: ("GanBalanceEnv-v0", {"suite": suite}) for env_id, suite in SUITE_IDS.items()}
    for env_id, (base, options) in bases.items():
        single, vector = (f"{_MODULES[name]}:{name}" for name in ENVIRONMENTS[base])
        # No max_episode_steps: the end of the budget belongs to the task.
        if env_id not in gym.registry:
            gym.register(env_id, entry_point=single, vector_entry_point=vector, kwargs=options)


if importlib.util.find_spec("gymnasium") is not None:
    _register()

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
    "GanLatentBandit",
    "GanLatentBanditVectorEnv",
    "GanLatentBox",
    "GanLatentBoxVectorEnv",
    "Measurement",
    "RewardTerm",
    "Suite",
    "Task",
    "get_suite",
    "register_feature",
    "register_reward_term",
    "register_suite",
]
