"""What each algorithm needs to learn a suite: budgets and hyperparameters, by measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from gan_env.knobs import RATE_KNOBS


@dataclass(frozen=True)
class Algorithm:
    """An entry of :data:`ALGORITHMS`."""

    cls: type[BaseAlgorithm]
    action_types: tuple[str, ...]
    """Action types that it accepts; the first is its default."""


ALGORITHMS: Mapping[str, Algorithm] = {
    "dqn": Algorithm(DQN, ("discrete",)),
    "ppo": Algorithm(PPO, ("discrete", "multidiscrete", "continuous", "absolute")),
}


@dataclass(frozen=True)
class Preset:
    """Defaults of ``train_agent.py`` for one algorithm on one suite and kind of device."""

    total_timesteps: int
    num_envs: int
    validations: int
    """How many times the policy is tried on the validation instances; the best one is kept."""
    env: Mapping[str, Any]
    """Options of the environment."""
    algorithm: Mapping[str, Any]
    """Arguments of the Stable-Baselines3 class."""


# The absolute rates are quicker to learn from than scale-free features alone, but tie a policy to its data set.
_ENV: Mapping[str, Any] = {"knobs": RATE_KNOBS, "observation": "absolute"}

_NETWORK: Mapping[str, Any] = {"net_arch": [128, 128]}


def _dqn(**changes: Any) -> Mapping[str, Any]:
    """Multi-step returns and slow targets, so that a reward is seen soon and the last iterate is not noisy."""
    return {
        "learning_rate": 5e-4,
        "batch_size": 256,
        "buffer_size": 200_000,
        "learning_starts": 1_000,
        "gamma": 0.98,
        "tau": 0.02,
        "target_update_interval": 1,
        "train_freq": 1,
        "gradient_steps": 16,
        "n_steps": 8,
        "exploration_fraction": 0.5,
        "exploration_final_eps": 0.05,
        "policy_kwargs": _NETWORK,
    } | changes


def _ppo(**changes: Any) -> Mapping[str, Any]:
    return {
        "learning_rate": 5e-4,
        "n_steps": 30,
        "batch_size": 160,
        "n_epochs": 10,
        "gamma": 0.98,
        "gae_lambda": 0.9,
        "ent_coef": 0.003,
        "policy_kwargs": _NETWORK,
    } | changes


PRESETS: Mapping[tuple[str, str], Preset] = {
    ("dqn", "ring"): Preset(22_400, 64, 4, _ENV, _dqn()),
    ("ppo", "ring"): Preset(28_288, 64, 4, _ENV, _ppo(n_steps=13, batch_size=208, learning_rate=1e-3)),
    ("dqn", "faces"): Preset(16_000, 32, 3, _ENV, _dqn()),
    ("ppo", "faces"): Preset(24_000, 32, 3, _ENV, _ppo()),
}


def get_preset(algorithm: str, suite: str) -> Preset:
    """The preset for a pair; a suite without one of its own borrows that of ``faces``.

    Raises ``ValueError`` for an unknown algorithm, naming the known ones.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {algorithm!r}; known: {', '.join(ALGORITHMS)}")
    return PRESETS.get((algorithm, suite), PRESETS[algorithm, "faces"])
