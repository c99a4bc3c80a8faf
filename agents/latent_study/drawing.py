"""Third part: a bandit learns which latents to draw, of each of the GANs; and all kinds of bandits under noise."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np

from agents.bandit_regret import REGRETS, measure_regret
from agents.bandit_training import PullRecord, make_bandit_env, pull
from agents.bandits import BANDITS, best_arms, make_bandit
from agents.latent_study.lab import Lab, frozen
from agents.page import listing, panels, tag
from agents.page.numbers import significant
from agents.tree_file import Tree

_BATCH = 32
_NOISE = 0.3
_TOP = 64


def _learn(lab: Lab, gan: Path) -> Tree:
    """What a bandit came to think of a codebook of ``gan``, how it came to it, and what the codes are worth."""
    settings = lab.settings
    envs = make_bandit_env(_BATCH, lab.latents | {"gan": str(gan), "codes": settings.codes})
    bandit = make_bandit("ema", settings.codes, lab.seed, {"anneal": settings.pulls // 2})
    record = pull(envs, bandit, settings.pulls, seed=lab.seed)
    rewards = (envs.core.known_terms or {})["discriminator"]
    learned = {"values": bandit.values, "probabilities": bandit.probabilities(), "rewards": rewards}
    return learned | {"record": vars(record)}


def write_bandit(lab: Lab) -> None:
    """The source's experiment: a codebook, moving averages, annealed exploration; once for each GAN.

    What was learned is kept, and so are the best codes of the first GAN beside random latents.
    """
    settings, page = lab.settings, lab.page
    lab.say("pulling ...")
    learned = {name: lab.once(name, partial(_learn, lab, lab.folder.path / file)) for name, file in lab.gans.items()}
    first = learned[next(iter(learned))]
    record, rewards = PullRecord(**first["record"]), first["rewards"]
    last = record.rewards[-1000:].mean()
    peak = int(np.argmax(record.choice_entropy))
    told = (
        f"{settings.codes:,} latents are drawn once from N(0, I); pulling one pays sigmoid(D(G(z))). Epsilon-greedy "
        "over exponential moving averages; unlike the source's plain rule they are divided by the share of them that "
        "rewards make up. Exploration falls in a line over the first half of "
        f"{settings.pulls:,} pulls. The last 1,000 pulls paid {last:.3f} on average; a random code pays "
        f"{rewards.mean():.3f}, the best {rewards.max():.3f}. Without noise this is a search for the largest of "
        f"{settings.codes:,} numbers, which scoring each once would find. "
        f"The entropy of the last 1,000 choices rises while the window fills, peaks at "
        f"{record.choice_entropy[peak]:.2f} nats after {record.at[peak]} pulls and ends at "
        f"{record.choice_entropy[-1]:.2f}; the policy's ends at {record.policy_entropy[-1]:.2f}. Both stay above zero, "
        "as exploration never stops."
    )
    entropies = {"of the policy": record.policy_entropy, "of the last 1,000 choices": record.choice_entropy}
    figures = [
        lab.chart(
            "reward.svg",
            "Reward, mean of the last 1,000.",
            {"bandit": zip(record.at, record.reward, strict=True)},
            "pulls",
            "reward",
            references={"best code (upper)": float(rewards.max()), "random code (lower)": float(rewards.mean())},
        ),
        lab.chart(
            "entropy.svg",
            "Entropy, in two senses.",
            {name: zip(record.at, values, strict=True) for name, values in entropies.items()},
            "pulls",
            "entropy (nats)",
            references={f"ln {settings.codes}": math.log(settings.codes)},
        ),
    ]
    top = lab.codes(best_arms(first["values"], _TOP), settings.codes)
    beside = [
        lab.picture("random.png", f"{_TOP} random latents.", frozen(lab).sample(lab.draw(_TOP, lab.seed + 40_000)), 8),
        lab.picture("top-q.png", f"The {_TOP} codes of largest Q.", frozen(lab).sample(top), 8),
    ]
    page.section("A bandit over the latents", tag("p", told), panels(figures))
    lab.numbers["bandit"] = {
        "reward of the last 1,000": float(last),
        "best code": float(rewards.max()),
        "mean code": float(rewards.mean()),
        "entropy of the policy at the end": record.policy_entropy[-1],
        "entropy of the last 1,000 choices at the end": record.choice_entropy[-1],
        "entropy of the last 1,000 choices at its peak": record.choice_entropy[peak],
    }
    lab.kept["bandits"] = {
        name: {key: one[key] for key in ("values", "probabilities")} for name, one in learned.items()
    }
    lab.kept["beside"] = str(panels(beside, "wide"))


def write_noisy(lab: Lab) -> None:
    """Every kind of bandit under noise, over several seeds, against the best mean reward there is."""
    settings = lab.settings
    codes, pulls, seeds = settings.noisy_codes, settings.noisy_pulls, settings.noisy_seeds
    lab.say(f"pulling under noise: {len(BANDITS)} bandits, {seeds} seeds each ...")
    result = measure_regret(lab.latents, codes, pulls, seeds, settings.noisy_draws, _NOISE, once=lab.once)
    lab.numbers["noisy bandits"] = result
    rows = [
        [
            name,
            *(f"{np.mean(one[key]):.3f}" for key in REGRETS[:3]),
            *(significant(float(np.mean(one[key]))) for key in REGRETS[3:]),
        ]
        for name, one in result["bandits"].items()
    ]
    told = (
        f"Every pull adds {_NOISE} times fresh noise to its latent, so that no reward is known and the bandit is a "
        f"real one: {codes:,} codes, {pulls:,} pulls, {seeds} seeds. What a code is worth on average is told by "
        f"{settings.noisy_draws} draws of each, and more of those that look best; the best mean counts "
        f"as 1. A random code reaches {result['random']:.3f}. Moving averages keep exploring at a "
        "set rate, and their entropy with it; Thompson sampling stops as it becomes sure."
    )
    header = ("last 1,000 pulls", "of the way from random", "best by its values", "policy entropy", "choice entropy")
    lab.page.add(
        tag("h3", "Under noise"),
        tag("p", told),
        listing("Shares of the best mean reward, and entropies in nats at the end", ("bandit", *header), rows),
        tag("p", "All are averages over seeds; the second column is the share of the way from a random code's reward."),
    )
