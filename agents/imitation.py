"""A policy that begins as a teacher: before it learns by trial, it learns by example.

Behaviour cloning of the mean action, and regression of the value function on the returns that the teacher reaches with
the policy's own exploration. Without the second, the first updates would push the policy about by the errors of an
untrained value function, and away from the teacher.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from torch.distributions import Normal

from agents.predictors import Predictor

GRADIENT_STEPS = 3000
BATCH_SIZE = 256
LEARNING_RATE = 1e-3
"""Adam's; it falls in a line to zero."""
_ACTION_WEIGHT = 100.0
"""Of the squared errors of actions, which are far smaller than those of returns."""


@dataclass(frozen=True)
class Lesson:
    """What was seen of a teacher, one row per decision."""

    observations: NDArray[np.float32]
    """``(n, features)``."""
    actions: NDArray[np.float32]
    """``(n, K)``, without the exploration."""
    returns: NDArray[np.float64]
    """``(n,)``, discounted, to the end of the episode; NaN where that was not seen."""


def watch(model: OnPolicyAlgorithm, teacher: Predictor, decisions: int, on_step: Callable[[], None]) -> Lesson:
    """Play ``decisions`` of ``teacher`` in each of the model's environments, with the model's exploration on top.

    ``on_step`` is called after each step of all environments.
    """
    env, log_std = model.get_env(), _policy_of(model).log_std
    assert env is not None and isinstance(log_std, Tensor)
    deviations = np.exp(log_std.detach().numpy())
    rng = np.random.default_rng(model.seed)
    rows: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]] = []
    observations, state = env.reset(), None
    first = np.ones(env.num_envs, dtype=bool)
    for _ in range(decisions):
        assert isinstance(observations, np.ndarray)
        wanted, state = teacher.predict(observations, state, first, deterministic=True)
        tried = np.clip(rng.normal(wanted, deviations), -1, 1).astype(np.float32)
        following, rewards, first, _ = env.step(tried)
        rows.append((observations, wanted, rewards, first))
        observations = following
        on_step()
    returns, upcoming = [], np.full(env.num_envs, math.nan)
    for _, _, rewards, ended in reversed(rows):
        upcoming = rewards + model.gamma * np.where(ended, 0.0, upcoming)
        returns.append(upcoming)
    seen, wanted, _, _ = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Lesson(seen, wanted, np.concatenate(returns[::-1]))


def imitate(model: OnPolicyAlgorithm, lesson: Lesson) -> None:
    """Fit the policy's mean action and its value function to ``lesson``; its exploration stays as it is."""
    policy = _policy_of(model)
    fitted = [parameter for name, parameter in policy.named_parameters() if name != "log_std"]
    optimizer = torch.optim.Adam(fitted, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, GRADIENT_STEPS)
    observations, actions, returns = (
        torch.as_tensor(column, dtype=torch.float32) for column in (lesson.observations, lesson.actions, lesson.returns)
    )
    bias = policy.action_net.bias
    assert isinstance(bias, Tensor)
    with torch.no_grad():
        bias.copy_(actions.mean(0))
    generator = torch.Generator().manual_seed(model.seed or 0)
    for _ in range(GRADIENT_STEPS):
        rows = torch.randint(len(observations), (BATCH_SIZE,), generator=generator)
        mean, values = _means_and_values(policy, observations[rows])
        known = ~returns[rows].isnan()
        loss = _ACTION_WEIGHT * (mean - actions[rows]).square().mean()
        if known.any():
            loss = loss + (values[known] - returns[rows][known]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _policy_of(model: OnPolicyAlgorithm) -> ActorCriticPolicy:
    policy = model.policy
    assert isinstance(policy, ActorCriticPolicy)
    return policy


def _means_and_values(policy: ActorCriticPolicy, observations: Tensor) -> tuple[Tensor, Tensor]:
    """``(n, K)`` and ``(n,)``."""
    distribution = policy.get_distribution(observations).distribution
    assert isinstance(distribution, Normal)
    return distribution.mean, policy.predict_values(observations)[:, 0]
