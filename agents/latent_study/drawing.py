"""Third part: a bandit learns which latents to draw, and its rivals that ask the same discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.bandit_regret import REGRETS, measure_regret
from agents.bandit_training import PullRecord, make_bandit_env, pull
from agents.bandits import BANDITS, make_bandit
from agents.html_page import drawing, picture
from agents.latent_study.lab import MEASURES, Lab, frozen, grid, number
from gan_backbones.latent_samplers import CHEAP_SAMPLERS, SAMPLERS, Drawn, metropolis_hastings
from gan_env.frozen_gan import calibration_of

_BATCH = 16
_NOISE = 0.3
_TOP = 64
_TENTH = 0.1


def write_bandit(lab: Lab) -> None:
    """The source's experiment: a codebook, moving averages, annealed exploration; what was learned is kept."""
    settings, page = lab.settings, lab.page
    lab.say("pulling ...")
    envs = make_bandit_env(_BATCH, lab.latents | {"codes": settings.codes})
    options = {"anneal": settings.pulls // 2}
    bandit = make_bandit("ema", settings.codes, lab.seed, options)
    record = pull(envs, bandit, settings.pulls, seed=lab.seed)
    rewards = (envs.core.known_terms or {})["discriminator"]
    last = record.rewards[-1000:].mean()
    page.section("A bandit over the latents")
    page.text(
        f"{settings.codes} latents are drawn once from N(0, I); pulling one pays <code>sigmoid(D(G(z)))</code>. "
        "Epsilon-greedy over exponential moving averages, as in the source, exploration falling linearly over the "
        f"first half of {settings.pulls} pulls. The last 1,000 pulls paid {last:.3f} on average; a random code pays "
        f"{rewards.mean():.3f}, the best {rewards.max():.3f}. Without noise this is a search for the largest of "
        f"{settings.codes} numbers, which scoring each once would find."
    )
    peak = int(np.argmax(record.choice_entropy))
    page.row(
        drawing(
            partial(_rewards, records={"": record}, best=float(rewards.max())), "Reward.", lab.figure("reward.svg")
        ),
        drawing(
            partial(_entropies, record=record, arms=settings.codes),
            f"Entropy, in two senses. That of the last 1,000 choices rises while the window fills, peaks at "
            f"{record.choice_entropy[peak]:.2f} after {record.at[peak]} pulls and ends at "
            f"{record.choice_entropy[-1]:.2f}; the policy's ends at {record.policy_entropy[-1]:.2f}. "
            "Both stay above zero as exploration never stops.",
            lab.figure("entropy.svg"),
        ),
    )
    top = np.argsort(bandit.values)[::-1][:_TOP]
    gan = frozen(lab)
    chosen = gan.sample(envs.core.actions.latents(top.copy()))
    plain = gan.sample(lab.draw(_TOP, lab.seed + 40_000))
    page.row(
        picture(grid(plain, 8), f"{_TOP} random latents.", lab.figure("random.png"), width=512),
        picture(grid(chosen, 8), f"The {_TOP} codes of largest Q.", lab.figure("top-q.png"), width=512),
    )
    lab.numbers["bandit"] = {
        "reward of the last 1,000": float(last),
        "best code": float(rewards.max()),
        "mean code": float(rewards.mean()),
        "entropy of the policy at the end": record.policy_entropy[-1],
        "entropy of the last 1,000 choices at the end": record.choice_entropy[-1],
        "entropy of the last 1,000 choices at its peak": record.choice_entropy[peak],
    }
    lab.kept["bandit"] = {"values": bandit.values, "probabilities": bandit.probabilities()}


def write_noisy(lab: Lab) -> None:
    """Every kind of bandit under noise, over several seeds, against the best mean reward there is."""
    settings = lab.settings
    codes, pulls, seeds = settings.noisy_codes, settings.noisy_pulls, settings.noisy_seeds
    lab.say(f"pulling under noise: {len(BANDITS)} bandits, {seeds} seeds each ...")
    result = measure_regret(lab.latents, codes, pulls, seeds, settings.noisy_draws, _NOISE)
    lab.numbers["noisy bandits"] = result
    rows = [[name, *(f"{np.mean(one[key]):.3f}" for key in REGRETS)] for name, one in result["bandits"].items()]
    lab.page.heading("Under noise")
    lab.page.text(
        f"Every pull adds {_NOISE} times fresh noise to its latent, so that no reward is known and the bandit is a "
        f"real one: {codes} codes, {pulls} pulls, {seeds} seeds. What a code is worth on average is told by "
        f"{settings.noisy_draws} draws of each, and the best of these means counts as 1; it is an overestimate, so the "
        f"shares are underestimates. A random code reaches {result['random']:.3f}."
    )
    lab.page.table(
        (
            "bandit",
            "last 1,000 pulls",
            "of the way from random",
            "best by its values",
            "policy entropy",
            "choice entropy",
        ),
        rows,
        "Shares of the best mean reward, and of the way from a random code's to it; averages over seeds. Entropies are "
        "in nats, at the end.",
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
    drawn: dict[str, Drawn] = {}
    for name, sampler in samplers.items():
        lab.say(f"  {name}")
        drawn[name] = sampler(gan.generate, judge, count, latent_size=gan.latent_size, seed=lab.seed + 50_000)
    rng = np.random.default_rng(lab.seed)
    worth, policy = lab.kept["bandit"].values()
    arms = len(worth)
    codes = make_bandit_env(1, lab.latents | {"codes": arms}).core.actions
    tenth = np.argsort(worth)[-max(1, round(_TENTH * arms)) :]
    for name, picks in (
        ("bandit (best tenth by Q)", rng.choice(tenth, size=count)),
        ("bandit (as trained)", rng.choice(arms, size=count, p=policy / policy.sum())),
    ):
        drawn[name] = Drawn(codes.latents(picks), settings.pulls)
    table, rows = {}, []
    for name, one in drawn.items():
        images = gan.sample(one.latents)
        reward = float(torch.sigmoid(gan.logits(images)).mean())
        values = lab.measure(images)
        table[name] = values | {"reward": reward, "images per image kept": one.cost}
        rows.append([name, *(number(values[measure]) for measure in MEASURES), f"{reward:.3f}", number(one.cost)])
    lab.numbers["rivals"] = table
    page.section("Rivals that ask the same discriminator")
    page.text(
        f"Each draws {count} images. FD and its companions never saw the discriminator. The last column is what was "
        "generated for each image kept: for the bandit its pulls, paid once however many images follow. Its best tenth "
        f"is {len(tenth)} codes, so that its images repeat."
    )
    page.table(("method", *MEASURES, "D's reward", "images per image kept"), rows)
    page.note(fidelity_and_variety(table))
    shown = [name for name in drawn if name not in ("bandit (as trained)",)]
    page.row(
        *(
            picture(
                grid(gan.sample(drawn[name].latents[:16]), 8),
                f"{name[0].upper()}{name[1:]}.",
                lab.figure(f"rival-{index}.png"),
            )
            for index, name in enumerate(shown)
        )
    )


def fidelity_and_variety(table: Mapping[str, Mapping[str, float]]) -> str:
    """What was bought with what, in words, against random latents."""
    base = table["random latents"]
    bought = [
        name
        for name, values in table.items()
        if values["precision"] > base["precision"] and values["recall"] < base["recall"]
    ]
    better = [name for name, values in table.items() if values["FD"] < base["FD"]]
    pleased = [name for name, values in table.items() if values["reward"] > base["reward"] + 0.01]
    worse = [name for name in pleased if table[name]["FD"] > base["FD"]]
    text = (
        f"Fidelity is bought with variety: {_list(bought)} gained precision over random latents and lost recall. "
        if bought
        else "In this run nobody gained precision at the cost of recall. "
    )
    text += f"Closer to the data by FD than random latents: {_list(better) if better else 'nobody'}. "
    return text + (f"More to the discriminator's taste and yet further from the data: {_list(worse)}." if worse else "")


def _rewards(axes: Any, records: Mapping[str, PullRecord], best: float | None) -> None:
    for name, record in records.items():
        axes.plot(record.at, record.reward, label=name or "mean of the last 1,000")
    if best is not None:
        axes.axhline(best, linestyle=":", color="grey", label="best code")
    axes.set(xlabel="pulls", ylabel="reward")


def _entropies(axes: Any, record: PullRecord, arms: int) -> None:
    axes.plot(record.at, record.policy_entropy, label="of the policy")
    axes.plot(record.at, record.choice_entropy, label="of the last 1,000 choices")
    axes.axhline(np.log(arms), linestyle=":", color="grey", label=f"ln {arms}")
    axes.set(xlabel="pulls", ylabel="entropy (nats)", ylim=(0, None))


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
