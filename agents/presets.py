"""What each algorithm needs to learn a suite: budgets and hyperparameters.

Those of DQN and PPO, as it is and taught, were found by measurement (:data:`PRESETS`). The other algorithms borrow from
the nearest of these (:data:`RELATIVES`) and were not tuned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sb3_contrib import QRDQN, TQC, TRPO, CrossQ, RecurrentPPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from gan_env import SUITES
from gan_env.knobs import RATE_KNOBS


@dataclass(frozen=True)
class Algorithm:
    """An entry of :data:`ALGORITHMS`."""

    cls: type[BaseAlgorithm]
    action_types: tuple[str, ...]
    """Action types that it accepts; the first is its default."""
    policy: str = "MlpPolicy"
    """Name of the policy class, as Stable-Baselines3 knows it."""
    taught: bool = False
    """Whether the policy begins as the best schedule that a search finds (:mod:`agents.imitation`)."""


_BOX = ("continuous", "target", "absolute")
_EITHER = ("discrete", "multidiscrete", *_BOX)

# Left out: MaskablePPO, as no action is ever forbidden here; ARS, which plays single episodes and so leaves all but one
# GAN of a population unused.
ALGORITHMS: Mapping[str, Algorithm] = {
    "dqn": Algorithm(DQN, ("discrete",)),
    "ppo": Algorithm(PPO, _EITHER),
    "a2c": Algorithm(A2C, _EITHER),
    "taught_ppo": Algorithm(PPO, ("target",), taught=True),
    "crossq": Algorithm(CrossQ, _BOX),
    "ddpg": Algorithm(DDPG, _BOX),
    "qrdqn": Algorithm(QRDQN, ("discrete",)),
    "recurrentppo": Algorithm(RecurrentPPO, _EITHER, policy="MlpLstmPolicy"),
    "sac": Algorithm(SAC, _BOX),
    "student_ppo": Algorithm(PPO, ("continuous",), taught=True),
    "td3": Algorithm(TD3, _BOX),
    "tqc": Algorithm(TQC, _BOX),
    "trpo": Algorithm(TRPO, _EITHER),
}
"""Classes of Stable-Baselines3 and sb3-contrib by their names in lower case, and what is made of them here."""


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
    """Arguments of the class; ``action_noise`` is given as its standard deviation."""


# The absolute rates are quicker to learn from than scale-free features alone, but tie a policy to its data set.
_ENV: Mapping[str, Any] = {"knobs": RATE_KNOBS, "observation": "absolute"}

# What is to be used elsewhere must not know them.
_ELSEWHERE: Mapping[str, Any] = {"knobs": RATE_KNOBS, "observation": "default"}

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


_LONG: Mapping[str, Any] = {
    "learning_rate": "lin_1e-3",
    "buffer_size": 400_000,
    "exploration_fraction": 0.3,
    "exploration_final_eps": 0.02,
}
"""Much is tried first, and the policy comes to rest: docs/results/README.md tells what shorter runs gave."""


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


def _taught(**changes: Any) -> Mapping[str, Any]:
    """Exploration about what a schedule does, and many updates: the value function is good from the start."""
    return {
        "learning_rate": "lin_5e-4",
        "n_steps": 5,
        "batch_size": 320,
        "n_epochs": 10,
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "ent_coef": 0.0,
        "policy_kwargs": {**_NETWORK, "log_std_init": -2.5},
    } | changes


PRESETS: Mapping[tuple[str, str], Preset] = {
    ("dqn", "ring"): Preset(64_000, 64, 4, _ENV, _dqn(**_LONG)),
    ("ppo", "ring"): Preset(28_288, 64, 4, _ENV, _ppo(n_steps=13, batch_size=208, learning_rate=1e-3)),
    ("taught_ppo", "ring"): Preset(28_800, 64, 4, _ENV, _taught()),
    ("dqn", "faces"): Preset(16_000, 32, 3, _ENV, _dqn()),
    ("ppo", "faces"): Preset(28_800, 32, 3, _ENV, _ppo(learning_rate="lin_7e-4")),
    ("taught_ppo", "faces"): Preset(28_800, 32, 3, _ENV, _taught(n_steps=10)),
    ("dqn", "varied"): Preset(70_560, 112, 3, _ELSEWHERE, _dqn(**_LONG)),
    ("ppo", "varied"): Preset(70_560, 112, 3, _ELSEWHERE, _ppo(learning_rate="lin_7e-4", batch_size=240)),
    ("taught_ppo", "varied"): Preset(47_040, 112, 3, _ELSEWHERE, _taught(batch_size=560)),
}


@dataclass(frozen=True)
class Relative:
    """How an algorithm without presets of its own gets them."""

    nearest: str
    """Algorithm whose presets are borrowed: budget, environments, and the arguments named by ``borrowed``."""
    borrowed: tuple[str, ...]
    own: Mapping[str, Any]
    """The other arguments."""
    env: Mapping[str, Any] = field(default_factory=dict)
    """Options of the environment in which it differs."""


_ROLLOUT = ("n_steps", "gamma", "gae_lambda", "policy_kwargs")
_REPLAY = ("batch_size", "buffer_size", "learning_starts", "gamma", "train_freq", "n_steps", "policy_kwargs")

# 16 gradient steps per step of the population, as for DQN: at 32 to 64 environments, each transition is used 64 to 128
# times. The soft updates of actor-critic targets happen at each gradient step, so the rate of the classes stays.
_ACTOR_CRITIC: dict[str, Any] = {"learning_rate": 5e-4, "gradient_steps": 16}

# Without noise, a deterministic actor would try nothing once learning has begun.
_DETERMINISTIC: dict[str, Any] = _ACTOR_CRITIC | {"action_noise": 0.2}

RELATIVES: Mapping[str, Relative] = {
    # A rollout of 5 steps and one gradient step for it: many small updates are what the algorithm is about.
    "a2c": Relative("ppo", ("gamma", "gae_lambda", "ent_coef", "policy_kwargs"), {"learning_rate": 1e-3, "n_steps": 5}),
    "crossq": Relative("dqn", _REPLAY, {"learning_rate": 1e-3, "gradient_steps": 16}),
    "ddpg": Relative("dqn", _REPLAY, _DETERMINISTIC),
    # A gradient step compares every pair of quantiles: the class's 200 would cost forty times as much.
    "qrdqn": Relative("dqn", tuple(_dqn()), {"policy_kwargs": {**_NETWORK, "n_quantiles": 32}}),
    "recurrentppo": Relative("ppo", tuple(_ppo()), {}),
    "sac": Relative("dqn", _REPLAY, _ACTOR_CRITIC),
    # An action is a share of a large move, not of a knob's range, so there is more exploration; and the policy moves by
    # smaller steps, from larger rollouts, since it has what it begins as to lose.
    "student_ppo": Relative(
        "taught_ppo",
        ("batch_size", "n_epochs", "gamma", "gae_lambda", "ent_coef"),
        {
            "learning_rate": "lin_2e-4",
            "n_steps": 10,
            "target_kl": 0.02,
            "policy_kwargs": {**_NETWORK, "log_std_init": -1.5},
        },
        _ELSEWHERE,
    ),
    "td3": Relative("dqn", _REPLAY, _DETERMINISTIC),
    "tqc": Relative("dqn", _REPLAY, _ACTOR_CRITIC),
    # Its rate is the critic's alone; the policy's step is bounded by its divergence from the last policy.
    "trpo": Relative("ppo", ("batch_size", *_ROLLOUT), {"learning_rate": 1e-3, "target_kl": 0.02}),
}


def get_preset(algorithm: str, suite: str) -> Preset:
    """The preset for a pair; a suite without one of its own borrows that of ``ring`` if it trains on points alone, else
    that of ``faces``.

    Raises ``ValueError`` for an unknown algorithm, naming the known ones.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {algorithm!r}; known: {', '.join(ALGORITHMS)}")
    if algorithm in RELATIVES:
        relative = RELATIVES[algorithm]
        preset = get_preset(relative.nearest, suite)
        arguments = {name: preset.algorithm[name] for name in relative.borrowed} | dict(relative.own)
        return replace(preset, algorithm=arguments, env=dict(preset.env) | dict(relative.env))
    points = suite in SUITES and all(task.resolution is None for task in SUITES[suite].all_tasks())
    return PRESETS.get((algorithm, suite), PRESETS[algorithm, "ring" if points else "faces"])
