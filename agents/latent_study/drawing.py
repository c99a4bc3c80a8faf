"""Third part: a bandit learns which latents to draw, and its rivals that ask the same discriminator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from agents.bandit_regret import REGRETS, measure_regret
from agents.bandit_training import make_bandit_env, pull
from agents.bandits import BANDITS, make_bandit
from agents.latent_study.lab import Lab, frozen
from agents.page import Column, Markup, listing, panels, table, tag
from agents.page.charts import Axis, whisker
from agents.page.numbers import fixed, significant
from agents.tree_file import Tree
from gan_backbones.latent_samplers import CHEAP_SAMPLERS, SAMPLERS, Drawn, metropolis_hastings
from gan_env.frozen_gan import calibration_of

_BATCH = 16
_NOISE = 0.3
_TOP = 64
_TENTH = 0.1
RANDOM, BEST, TRAINED = "random latents", "bandit (best tenth by Q)", "bandit (as trained)"


def write_bandit(lab: Lab) -> None:
    """The source's experiment: a codebook, moving averages, annealed exploration.

    What was learned is kept, and so are its best codes beside random latents.
    """
    settings, page = lab.settings, lab.page
    lab.say("pulling ...")
    envs = make_bandit_env(_BATCH, lab.latents | {"codes": settings.codes})
    options = {"anneal": settings.pulls // 2}
    bandit = make_bandit("ema", settings.codes, lab.seed, options)
    record = pull(envs, bandit, settings.pulls, seed=lab.seed)
    rewards = (envs.core.known_terms or {})["discriminator"]
    last = record.rewards[-1000:].mean()
    peak = int(np.argmax(record.choice_entropy))
    told = (
        f"{settings.codes} latents are drawn once from N(0, I); pulling one pays sigmoid(D(G(z))). Epsilon-greedy over "
        "exponential moving averages, as in the source, exploration falling linearly over the first half of "
        f"{settings.pulls} pulls. The last 1,000 pulls paid {last:.3f} on average; a random code pays "
        f"{rewards.mean():.3f}, the best {rewards.max():.3f}. Without noise this is a search for the largest of "
        f"{settings.codes} numbers, which scoring each once would find. "
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
    top = np.argsort(bandit.values)[::-1][:_TOP]
    gan = frozen(lab)
    chosen = gan.sample(envs.core.actions.latents(top.copy()))
    plain = gan.sample(lab.draw(_TOP, lab.seed + 40_000))
    beside = [
        lab.picture("random.png", f"{_TOP} random latents.", plain, 8),
        lab.picture("top-q.png", f"The {len(top)} codes of largest Q.", chosen, 8),
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
    lab.kept["bandit"] = {"values": bandit.values, "probabilities": bandit.probabilities()}
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
        f"real one: {codes} codes, {pulls} pulls, {seeds} seeds. What a code is worth on average is told by "
        f"{settings.noisy_draws} draws of each, and the best of these means counts as 1; it is an overestimate, so the "
        f"shares are underestimates. A random code reaches {result['random']:.3f}. Moving averages keep exploring at a "
        "set rate, and their entropy with it; Thompson sampling stops as it becomes sure."
    )
    header = ("last 1,000 pulls", "of the way from random", "best by its values", "policy entropy", "choice entropy")
    lab.page.add(
        tag("h3", "Under noise"),
        tag("p", told),
        listing("Shares of the best mean reward, and entropies in nats at the end", ("bandit", *header), rows),
        tag("p", "All are averages over seeds; the second column is the share of the way from a random code's reward."),
    )


def write_rivals(lab: Lab) -> None:
    """Everybody draws the same number of images; quality and variety apart, and what they cost."""
    settings, page, gan = lab.settings, lab.page, frozen(lab)
    lab.say("rivals ...")
    count = settings.samples
    calibration = calibration_of(gan, lab.data_name, lab.cache_dir, lab.progress)

    def judge(images: Tensor) -> Tensor:
        return calibration.logits(gan.judge(images))

    real = lab.data.batch(range(min(64, len(lab.data))))
    start = float(calibration.logits(gan.logits(real)).median())
    samplers = dict(CHEAP_SAMPLERS if settings.cheap_rivals else SAMPLERS)
    steps = 16 if settings.cheap_rivals else 64
    samplers["MH-GAN"] = partial(metropolis_hastings, start_logit=start, steps=steps)

    def draw(name: str) -> Tree:
        lab.say(f"  {name}")
        one = samplers[name](gan.generate, judge, count, latent_size=gan.latent_size, seed=lab.seed + 50_000)
        return {"latents": one.latents, "images": one.images}

    drawn = {name: Drawn(**lab.once(name, partial(draw, name))) for name in samplers}
    rng = np.random.default_rng(lab.seed)
    worth, policy = lab.kept["bandit"].values()
    arms = len(worth)
    codes = make_bandit_env(1, lab.latents | {"codes": arms}).core.actions
    tenth = np.argsort(worth)[-max(1, round(_TENTH * arms)) :]
    for name, picks in (
        (BEST, rng.choice(tenth, size=count)),
        (TRAINED, rng.choice(arms, size=count, p=policy / policy.sum())),
    ):
        drawn[name] = Drawn(codes.latents(picks), settings.pulls)
    found = {}
    for name, one in drawn.items():
        images = gan.sample(one.latents)
        reward = float(torch.sigmoid(gan.logits(images)).mean())
        values = lab.measure(images)
        found[name] = values | {"reward": reward, "images per image kept": one.cost}
    lab.numbers["rivals"] = found
    told = (
        f"Each draws {count} images. FD and its companions never saw the discriminator. The last column is what was "
        "generated for each image kept: for the bandit its pulls, paid once however many images follow. Its best tenth "
        f"is {len(tenth)} codes, so that its images repeat. Precision is fidelity, recall variety; both are drawn from "
        "0 to 1, as lines from what random latents reach to the method's own."
    )
    page.section(
        "Rivals that ask the same discriminator",
        tag("p", told),
        _rivals_table(found),
        tag("p", fidelity_and_variety(found), class_="alert"),
        panels(
            lab.picture(f"rival-{index}.png", f"{name[0].upper()}{name[1:]}.", gan.sample(drawn[name].latents[:16]), 8)
            for index, name in enumerate(drawn)
            if name != TRAINED
        ),
    )


def _rivals_table(found: Mapping[str, Mapping[str, float]]) -> Markup:
    """Closest to the data first."""
    axis, base = Axis(0.0, 1.0, "share"), found[RANDOM]

    def column(name: str) -> Column:
        return Column(name, lambda method: significant(found[method][name]))

    def change(name: str) -> Column:
        def drawn(method: str) -> Markup:
            value = found[method][name]
            said = f"{name} {fixed(value)}, random latents {fixed(base[name])}"
            return whisker(axis, value, base[name], value, (base[name],), said)

        return Column(f"{name}, drawn", drawn, "picture small")

    columns = [
        Column("method", lambda method: tag("b", method), "name"),
        column("FD"),
        *(part(name) for name in ("precision", "recall") for part in (column, change)),
        *(column(name) for name in ("density", "coverage")),
        Column("D's reward", lambda method: fixed(found[method]["reward"], 3)),
        column("images per image kept"),
    ]
    ranking = sorted(found, key=lambda method: found[method]["FD"])
    return table("Quality, variety and price", columns, ranking, marked=lambda method: method in (BEST, TRAINED))


def answer(found: Mapping[str, Mapping[str, float]]) -> str:
    """Whether the images that the bandit prefers are better, in one sentence."""
    base, best = found[RANDOM], found[BEST]
    closer, pleases = best["FD"] < base["FD"], best["reward"] > base["reward"]
    return (
        f"{'Yes' if closer else 'No'}: the tenth of the codes that the bandit values most "
        f"{'pleases the discriminator more' if pleases else 'does not even please the discriminator more'} "
        f"({fixed(best['reward'])} against {fixed(base['reward'])}) and lies "
        f"{'closer to' if closer else 'further from'} the data than random latents (Frechet distance "
        f"{significant(best['FD'])} against {significant(base['FD'])}), at a recall of {fixed(best['recall'])} "
        f"against {fixed(base['recall'])}."
    )


def fidelity_and_variety(found: Mapping[str, Mapping[str, float]]) -> str:
    """What was bought with what, in words, against random latents."""
    base = found[RANDOM]
    bought = [
        f"{name} (precision {fixed(values['precision'])}, recall {fixed(values['recall'])})"
        for name, values in found.items()
        if values["precision"] > base["precision"] and values["recall"] < base["recall"]
    ]
    better = [name for name, values in found.items() if values["FD"] < base["FD"]]
    pleased = [name for name, values in found.items() if values["reward"] > base["reward"] + 0.01]
    worse = [name for name in pleased if found[name]["FD"] > base["FD"]]
    text = (
        f"Fidelity is bought with variety: {_list(bought)} gained precision over random latents "
        f"({fixed(base['precision'])}) and lost recall ({fixed(base['recall'])}). "
        if bought
        else "In this run nobody gained precision at the cost of recall. "
    )
    text += f"Closer to the data by FD than random latents: {_list(better) if better else 'nobody'}. "
    return text + (f"More to the discriminator's taste and yet further from the data: {_list(worse)}." if worse else "")


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
