"""A policy that begins as a teacher: before it learns by trial, it learns by example.

Behaviour cloning of the mean action, and regression of the value function on the returns that are reached with the
policy's own exploration. Without the second, the first updates would push the policy about by the errors of an
untrained value function, and away from the teacher.

A policy that sees less than its teacher goes where the teacher never was, by its own errors. So in later lessons the
student acts, and the teacher says what it would have done: the aggregation of Ross et al., arXiv 1011.0686.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs
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


class Classroom:
    """Where a teacher shows what it does to ``model``, lesson after lesson.

    ``env`` takes the model's actions; the teacher sees all that it shows, the model sees the ``columns`` of it.
    """

    def __init__(self, model: OnPolicyAlgorithm, teacher: Predictor, env: VecEnv, columns: Sequence[int]) -> None:
        self._model, self._teacher, self._env, self._columns = model, teacher, env, list(columns)
        self._rng = np.random.default_rng(model.seed)
        self._observations = _array(env.reset())
        self._first = np.ones(env.num_envs, dtype=bool)
        self._state: Any = None

    def watch(self, decisions: int, on_step: Callable[[], None], *, student: bool = False) -> Lesson:
        """Go on by ``decisions`` of the teacher, or of the ``student``, with the model's exploration on top.

        ``on_step`` is called after each step of all environments.
        """
        log_std = _policy_of(self._model).log_std
        assert isinstance(log_std, Tensor)
        deviations = np.exp(log_std.detach().numpy())
        rows: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]] = []
        for _ in range(decisions):
            seen = self._observations[:, self._columns]
            wanted, self._state = self._teacher.predict(
                self._observations, self._state, self._first, deterministic=True
            )
            meant = self._model.predict(seen, deterministic=True)[0] if student else wanted
            tried = np.clip(self._rng.normal(meant, deviations), -1, 1).astype(np.float32)
            following, rewards, self._first, _ = self._env.step(tried)
            self._observations = _array(following)
            rows.append((seen, wanted, rewards, self._first))
            on_step()
        returns, upcoming = [], np.full(self._env.num_envs, math.nan)
        for _, _, rewards, ended in reversed(rows):
            upcoming = rewards + self._model.gamma * np.where(ended, 0.0, upcoming)
            returns.append(upcoming)
        seen, wanted, _, _ = (np.concatenate(column) for column in zip(*rows, strict=True))
        return Lesson(seen, wanted, np.concatenate(returns[::-1]))


def aggregate(earlier: Lesson, latest: Lesson) -> Lesson:
    """Both; what the acts of the earlier one were worth no longer counts."""
    return Lesson(
        np.concatenate([earlier.observations, latest.observations]),
        np.concatenate([earlier.actions, latest.actions]),
        np.concatenate([np.full_like(earlier.returns, math.nan), latest.returns]),
    )


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
        bias += (actions - _means_and_values(policy, observations)[0]).mean(0)
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


def _array(observations: VecEnvObs) -> NDArray[np.float32]:
    assert isinstance(observations, np.ndarray)
    return observations


def _policy_of(model: OnPolicyAlgorithm) -> ActorCriticPolicy:
    policy = model.policy
    assert isinstance(policy, ActorCriticPolicy)
    return policy


def _means_and_values(policy: ActorCriticPolicy, observations: Tensor) -> tuple[Tensor, Tensor]:
    """``(n, K)`` and ``(n,)``."""
    distribution = policy.get_distribution(observations).distribution
    assert isinstance(distribution, Normal)
    return distribution.mean, policy.predict_values(observations)[:, 0]
