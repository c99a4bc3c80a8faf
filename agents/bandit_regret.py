"""How close bandits come to the best mean reward of a codebook under noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agents.bandit_training import WINDOW, make_bandit_env, pull
from agents.bandits import BANDITS, Values, choice_entropy, entropy, make_bandit
from gan_env.latent_env import GanLatentBanditVectorEnv

REGRETS = ("reached", "of the way", "greedy", "policy entropy", "choice entropy")
"""What :func:`measure_regret` tells of each bandit."""
_BATCH = 32


def measure_regret(
    options: Mapping[str, Any],
    codes: int,
    pulls: int,
    seeds: int,
    draws: int,
    noise: float,
    *,
    bandits: Sequence[str] = tuple(BANDITS),
) -> dict[str, Any]:
    """What bandits reach on a noisy codebook, by seed; ``options`` are those of the environment beside ``codes``.

    The true worth of a code is its mean reward over ``draws`` draws. The largest of such means is an overestimate, so
    that shares of it are underestimates.

    ``reached``: mean worth of the last 1,000 choices as a share of the best code's; ``of the way``: as a share of the
    way from the mean code's worth to the best one's; ``greedy``: worth of the code of largest value, as the first.
    """
    envs = make_bandit_env(_BATCH, {**options, "codes": codes, "noise": noise, "pulls": max(pulls, 1)})
    means = mean_rewards(envs, draws)
    found: dict[str, dict[str, list[float]]] = {}
    for name in bandits:
        settings = {"anneal": pulls // 2} if name == "ema" else {}
        rows: dict[str, list[float]] = {measure: [] for measure in REGRETS}
        for seed in range(seeds):
            bandit = make_bandit(name, codes, seed, settings)
            record = pull(envs, bandit, pulls, seed=seed, points=1)
            last = record.actions[-WINDOW:]
            reached, gap = float(means[last].mean()), float(means.max() - means.mean())
            rows["reached"].append(reached / float(means.max()))
            rows["of the way"].append((reached - float(means.mean())) / max(gap, 1e-12))
            rows["greedy"].append(float(means[int(bandit.values.argmax())] / means.max()))
            rows["policy entropy"].append(entropy(bandit.probabilities()))
            rows["choice entropy"].append(choice_entropy(last, codes))
        found[name] = rows
    return {"random": float(means.mean() / means.max()), "best mean reward": float(means.max()), "bandits": found}


def mean_rewards(envs: GanLatentBanditVectorEnv, draws: int) -> Values:
    """``(codes,)``: mean discriminator reward of every code over ``draws`` draws of its noise."""
    codes = torch.as_tensor(envs.core.actions.latents(np.arange(envs.config.codes)))
    rng = torch.Generator().manual_seed(2**30)
    totals = np.zeros(len(codes))
    for _ in range(draws):
        latents = codes + envs.config.noise * torch.randn(codes.shape, generator=rng)
        totals += 1 / (1 + np.exp(-envs.core.gan.look(latents).logits))
    return totals / draws
