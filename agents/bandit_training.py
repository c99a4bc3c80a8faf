"""A bandit pulls the arms of ``GanLatentBandit-v0``: the loop, and the curves that tell how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.bandit_state import bandit_state, restore_bandit
from agents.bandits import Bandit, choice_entropy, entropy
from agents.restoring import Each, MisfitError, require_finite, require_like, restoring
from agents.tree_file import Tree
from gan_env.latent_env import GanLatentBanditVectorEnv

WINDOW = 1000
"""Pulls of a moving average, and of the entropy of what was chosen."""
_POINTS = 100


@dataclass
class PullRecord:
    """Every pull, and curves over them; entropies are in nats."""

    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    terms: dict[str, NDArray[np.float64]]
    """The weighted parts of the rewards."""
    at: list[int] = field(default_factory=list)
    """Pulls made, at each point of the curves."""
    reward: list[float] = field(default_factory=list)
    """Mean of the last :data:`WINDOW` rewards."""
    policy_entropy: list[float] = field(default_factory=list)
    """Of the next choice, as the bandit would draw it."""
    choice_entropy: list[float] = field(default_factory=list)
    """Of the last :data:`WINDOW` choices; no more than the logarithm of their number."""

    def curves(self) -> dict[str, float]:
        """The newest point, by name."""
        return {
            "reward/last_1000": self.reward[-1],
            "entropy/policy": self.policy_entropy[-1],
            "entropy/last_1000": self.choice_entropy[-1],
        }


def make_bandit_env(num_envs: int, options: dict[str, Any]) -> GanLatentBanditVectorEnv:
    """``num_envs`` pulls a step; episodes follow each other without a step in between."""
    return GanLatentBanditVectorEnv(num_envs, autoreset_mode="SameStep", **options)


def pull(
    envs: GanLatentBanditVectorEnv,
    bandit: Bandit,
    pulls: int,
    *,
    seed: int,
    points: int = _POINTS,
    on_point: Callable[[PullRecord], None] = lambda record: None,
    saved: Tree = None,
    after: Callable[[int, Callable[[], Tree]], None] = lambda pulls, state: None,
) -> PullRecord:
    """At least ``pulls`` pulls, a whole number of steps of ``envs``; ``bandit`` learns from each step.

    ``on_point`` is told of every new point of the curves, about ``points`` times. ``after`` is told, after every step,
    the pulls made and what gives the state; with such a state as ``saved``, pulling goes on exactly from there.
    """
    steps = -(-pulls // envs.num_envs)
    total = steps * envs.num_envs
    marks = {round(steps * (index + 1) / points) for index in range(points)}
    made, (observations, _) = 0, envs.reset(seed=seed)
    terms = {name: np.zeros(total) for name in envs.core.weights}
    record = PullRecord(np.zeros(total, np.int64), np.zeros(total), terms)
    if saved is not None:
        with restoring():
            curves = {name: Each(0.0) for name in ("reward", "policy_entropy", "choice_entropy")}
            own = {"steps": 0, "observations": observations, "record": vars(record) | curves | {"at": Each(0)}}
            require_like(saved, own | {"environments": envs.get_state(), "bandit": bandit_state(bandit)})
            require_finite([saved["observations"], saved["record"]], "what was seen")
            made, observations, record = saved["steps"], saved["observations"], PullRecord(**saved["record"])
            points_made = [mark * envs.num_envs for mark in sorted(marks) if 0 < mark <= made]
            lengths = {len(vars(record)[name]) for name in curves}
            if not 0 < made <= steps or record.at != points_made or lengths != {len(points_made)}:
                raise MisfitError(f"{made} of {steps} steps were made, and there are points at {record.at}")
            envs.set_state(saved["environments"])
            restore_bandit(bandit, saved["bandit"])

    def state() -> Tree:
        return {
            "steps": step + 1,
            "observations": observations,
            "record": vars(record),
            "environments": envs.get_state(),
            "bandit": bandit_state(bandit),
        }

    for step in range(made, steps):
        rows = slice(step * envs.num_envs, (step + 1) * envs.num_envs)
        actions, _ = bandit.predict(observations)
        observations, rewards, _, _, infos = envs.step(actions)
        parts = {name: infos["reward_terms"][name] for name in record.terms}
        bandit.learn(actions, rewards, parts)
        record.actions[rows], record.rewards[rows] = actions, rewards
        for name, part in parts.items():
            record.terms[name][rows] = part
        if step + 1 in marks:
            last = slice(max(0, rows.stop - WINDOW), rows.stop)
            record.at.append(rows.stop)
            record.reward.append(float(record.rewards[last].mean()))
            record.policy_entropy.append(entropy(bandit.probabilities()))
            record.choice_entropy.append(choice_entropy(record.actions[last], bandit.arms))
            on_point(record)
        after(rows.stop, state)
    return record
