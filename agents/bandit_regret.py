"""How close bandits come to the best mean reward of a codebook under noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from agents.annealing import over_half
from agents.bandit_training import WINDOW, make_bandit_env, pull
from agents.bandits import BANDITS, Arms, Values, best_arms, choice_entropy, entropy, make_bandit
from agents.tree_file import Tree
from gan_env.latent_config import BanditConfig
from gan_env.latent_env import GanLatentBanditVectorEnv
from gan_env.latent_reward import parse_latent_reward

REGRETS = ("reached", "of the way", "greedy", "policy entropy", "choice entropy")
"""What :func:`measure_regret` tells of each bandit."""
_BATCH = 32
_REVALUED, _CLOSER = 32, 8


def measure_regret(
    options: Mapping[str, Any],
    codes: int,
    pulls: int,
    seeds: int,
    draws: int,
    noise: float,
    *,
    bandits: Sequence[str] = tuple(BANDITS),
    once: Callable[[str, Callable[[], Tree]], Tree] = lambda name, make: make(),
) -> dict[str, Any]:
    """What bandits reach on a noisy codebook, by seed; ``options`` are those of the environment beside ``codes``.

    The true worth of a code is its mean reward, as :func:`mean_rewards` finds it by ``draws`` draws.

    ``reached``: mean worth of the last 1,000 choices as a share of the best code's; ``of the way``: as a share of the
    way from the mean code's worth to the best one's; ``greedy``: worth of the code of largest value, as the first.

    Every step of it, by its name, is had made by ``once``, which may know what it gives. Raises ``ValueError`` for
    another reward than the discriminator's, by which codes are valued here.
    """
    reward = options.get("reward", BanditConfig.reward)
    if parse_latent_reward(reward) != {"discriminator": 1}:
        raise ValueError(f"codes are valued by the reward discriminator, not by {reward!r}")
    envs = make_bandit_env(_BATCH, {**options, "codes": codes, "noise": noise, "pulls": max(pulls, 1)})
    means: Values = once("worth of the codes", partial(mean_rewards, envs, draws))
    found: dict[str, dict[str, list[float]]] = {}
    for name in bandits:
        rows = [once(f"{name} {seed}", partial(_regret, envs, name, pulls, seed, means)) for seed in range(seeds)]
        found[name] = {measure: [row[measure] for row in rows] for measure in REGRETS}
    return {"random": float(means.mean() / means.max()), "best mean reward": float(means.max()), "bandits": found}


def _regret(envs: GanLatentBanditVectorEnv, name: str, pulls: int, seed: int, means: Values) -> dict[str, float]:
    """:data:`REGRETS` of one bandit; ``means`` ``(codes,)`` are what the codes are worth."""
    bandit = make_bandit(name, len(means), seed, over_half(BANDITS[name], pulls))
    last = pull(envs, bandit, pulls, seed=seed, points=1).actions[-WINDOW:]
    reached, mean, best = float(means[last].mean()), float(means.mean()), float(means.max())
    return {
        "reached": reached / best,
        "of the way": (reached - mean) / max(float(means.max() - means.mean()), 1e-12),
        "greedy": float(means[int(bandit.values.argmax())] / means.max()),
        "policy entropy": entropy(bandit.probabilities()),
        "choice entropy": choice_entropy(last, len(means)),
    }


def mean_rewards(envs: GanLatentBanditVectorEnv, draws: int) -> Values:
    """``(codes,)``: mean discriminator reward of every code over ``draws`` draws of its noise.

    The largest of many such means is an overestimate. So those that look best are valued anew, by :data:`_CLOSER` times
    as many draws.
    """
    rng = torch.Generator().manual_seed(2**30)
    means = _mean_rewards(envs, np.arange(envs.config.codes), draws, rng)
    best = best_arms(means, min(_REVALUED, len(means)))
    means[best] = _mean_rewards(envs, best, _CLOSER * draws, rng)
    return means


def _mean_rewards(envs: GanLatentBanditVectorEnv, arms: Arms, draws: int, rng: torch.Generator) -> Values:
    codes = torch.as_tensor(envs.core.actions.latents(arms))
    totals = np.zeros(len(codes))
    for _ in range(draws):
        latents = codes + envs.config.noise * torch.randn(codes.shape, generator=rng)
        totals += expit(envs.core.gan.look(latents).logits)
    return totals / draws
