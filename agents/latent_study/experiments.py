"""Last part: a rate of learning that is too high, a reward that is exploited, and latents named entry by entry."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from scipy.special import expit
from stable_baselines3.common.vec_env import VecMonitor
from torch import Tensor

from agents.bandit_training import PullRecord, make_bandit_env, pull
from agents.bandits import best_arms, make_bandit
from agents.latent_study.lab import MEASURES, Lab, frozen
from agents.latent_study.rivals import limits_in
from agents.learner_state import ResumeLearning, learner_state
from agents.page import listing, panels, tag
from agents.page.numbers import significant
from agents.sb3 import make_model
from agents.tree_file import Tree
from agents.vec_env import SB3VecEnv
from gan_env.latent_env import GanLatentBanditVectorEnv, GanLatentBoxVectorEnv

_Envs = GanLatentBanditVectorEnv | GanLatentBoxVectorEnv
_RATES = (0.1, 0.9)
_NOISE = 0.5
_BONUS = 5.0
_ENVS = 32
_DRAWS = 16
_BANDIT_ONLY: dict[str, Any] = {"gamma": 0.0}  # there is one state: nothing follows from an action but its reward
_SETTINGS: dict[str, dict[str, Any]] = {
    "ppo": _BANDIT_ONLY | {"n_steps": 16, "batch_size": 128, "n_epochs": 10, "learning_rate": 3e-3},
    "dqn": _BANDIT_ONLY | {"learning_starts": 256, "train_freq": 1, "gradient_steps": 4, "learning_rate": 1e-2},
}


def write_rates(lab: Lab) -> None:
    """Moving averages that forget too fast, under noise."""
    pulls = lab.settings.noisy_pulls
    envs = make_bandit_env(16, lab.latents | {"codes": lab.settings.noisy_codes, "noise": _NOISE})

    def pull_at(rate: float) -> Tree:
        bandit = make_bandit("ema", envs.config.codes, lab.seed, {"learning_rate": rate, "anneal": pulls // 2})
        return vars(pull(envs, bandit, pulls, seed=lab.seed))

    records = {f"rate {rate:g}": PullRecord(**lab.once(f"{rate:g}", partial(pull_at, rate))) for rate in _RATES}
    slow, fast = (float(record.rewards[-1000:].mean()) for record in records.values())
    lab.numbers["learning rates"] = {"slow": slow, "fast": fast}
    told = (
        f"With noise {_NOISE} on the latents, a moving average at rate {_RATES[1]} is little more than the last "
        "reward: whichever code was lucky a moment ago looks best, until it is pulled again. The last 1,000 pulls paid "
        f"{fast:.3f}, at rate {_RATES[0]} {slow:.3f}."
    )

    rewards = {name: zip(record.at, record.reward, strict=True) for name, record in records.items()}
    choices = {name: zip(record.at, record.choice_entropy, strict=True) for name, record in records.items()}
    wander, unit = "How the choices wander.", "entropy of the last 1,000 (nats)"
    lab.page.add(
        tag("h3", "Too high a learning rate in Q-learning"),
        tag("p", told),
        panels(
            [
                lab.chart("rates.svg", "Reward.", rewards, "pulls", "mean reward of the last 1,000"),
                lab.chart("rates-entropy.svg", wander, choices, "pulls", unit),
            ]
        ),
    )


def write_exploit(lab: Lab) -> None:
    """A bonus for contrast, meant against washed-out images, and what is drawn to collect it."""
    settings, page, gan = lab.settings, lab.page, frozen(lab)
    count = settings.codes // 10
    found: dict[str, dict[str, float]] = {}
    pictures = []
    for index, (name, weight) in enumerate((("discriminator alone", 0.0), ("with the bonus", _BONUS))):
        options = lab.latents | {"codes": settings.codes, "reward": f"discriminator=1,contrast={weight}"}
        envs = make_bandit_env(16, options)
        bandit = make_bandit("ema", settings.codes, lab.seed, {"anneal": settings.pulls // 2})
        record = pull(envs, bandit, settings.pulls, seed=lab.seed, points=1)
        latents = envs.core.actions.latents(best_arms(bandit.values, count))
        looks, images = gan.look(latents), gan.sample(latents)
        found[name] = {
            "reward": float(record.rewards[-1000:].mean()),
            "contrast": float(looks.thumbnails.std(1).mean()),
            "discriminator": float(expit(looks.logits).mean()),
        } | lab.measure(images)
        pictures.append(lab.picture(f"bonus-{index}.png", f"Best codes, {name}.", images[:_DRAWS], 8))
    lab.numbers["exploited reward"] = found
    plain, shaped = found.values()
    limits = limits_in(lab.numbers)[next(iter(lab.gans))]["FD"]
    worse = shaped["FD"] - plain["FD"] > (limits.high - limits.low) / 2
    told = (
        f"The reward adds {_BONUS:g} times the contrast of the image, as a person might do against washed-out images. "
        f"The bandit collects it: the best tenth of its codes goes from a contrast of {plain['contrast']:.3f} to "
        f"{shaped['contrast']:.3f}, while what the discriminator pays goes from {plain['discriminator']:.3f} to "
        f"{shaped['discriminator']:.3f}. The distance to the data goes from {significant(plain['FD'])} to "
        f"{significant(shaped['FD'])}: "
        + (
            "the contrast rose and the images got worse, which nobody sees who looks at the reward."
            if worse and shaped["contrast"] > plain["contrast"]
            else "no harm by this measure, beyond what two batches of images may differ by."
        )
    )
    rows = [
        [name, f"{one['contrast']:.3f}", f"{one['discriminator']:.3f}", *(significant(one[m]) for m in MEASURES)]
        for name, one in found.items()
    ]
    page.add(
        tag("h3", "A shaped reward that is exploited"),
        tag("p", told),
        listing(
            f"The {count} codes of largest Q",
            ("reward", "contrast", "D's reward", *MEASURES),
            rows,
        ),
        panels(pictures),
    )


def write_continuous(lab: Lab) -> None:
    """The same algorithms over a codebook and over the latent itself."""
    settings, page, gan = lab.settings, lab.page, frozen(lab)
    contenders: dict[str, tuple[str, type[_Envs], dict[str, Any]]] = {
        "DQN, codebook": ("dqn", GanLatentBanditVectorEnv, {"codes": settings.noisy_codes}),
        "PPO, codebook": ("ppo", GanLatentBanditVectorEnv, {"codes": settings.noisy_codes}),
        "PPO, latent itself": ("ppo", GanLatentBoxVectorEnv, {}),
    }
    rows, record, pictures = [], {}, []
    for index, (name, (algorithm, make, options)) in enumerate(contenders.items()):
        lab.say(f"  {name}")
        pulls = settings.policy_pulls + settings.samples  # no episode ends while the agent's images are drawn
        envs = make(_ENVS, autoreset_mode="SameStep", **(lab.latents | options | {"pulls": pulls}))
        latents = lab.once(name, partial(_learn_and_draw, lab, algorithm, envs))
        envs.close()
        images = gan.sample(latents)
        values = lab.measure(images)
        values["reward"] = float(torch.sigmoid(gan.logits(images)).mean())
        values["length"] = float(latents.norm(dim=1).mean() / gan.latent_size**0.5)
        values["distinct"] = len(latents.unique(dim=0)) / len(latents)
        record[name] = values
        rows.append(
            [
                name,
                *(f"{values[key]:.3f}" for key in ("reward", "length", "distinct")),
                *(significant(values[m]) for m in MEASURES),
            ]
        )
        pictures.append(lab.picture(f"policy-{index}.png", f"{name}.", images[:_DRAWS], 8))
    lab.numbers["discrete against continuous"] = record
    box, codes = record["PPO, latent itself"], record["PPO, codebook"]
    told = (
        f"DQN and PPO of Stable-Baselines3, {settings.policy_pulls} pulls each, one seed. The {settings.noisy_codes} "
        "codes are typical draws from N(0, I), of length 1 in units of the root of their size. Entry by entry PPO may "
        f"go anywhere: its latents have length {box['length']:.2f}, the discriminator pays {box['reward']:.3f} "
        f"(codebook: {codes['reward']:.3f}), and recall is {box['recall']:.2f} (codebook: {codes['recall']:.2f}). "
        "A Gaussian policy begins by drawing around one point, all of "
        "whose images are related; a softmax over codes begins with all of them. Of the codebook's draws "
        f"{codes['distinct']:.1%} are distinct (of the latent's, {box['distinct']:.1%}): where images repeat, their "
        "neighbourhoods are points, and recall and coverage say no more than that."
    )
    page.add(
        tag("h3", "Discrete against continuous latents"),
        tag("p", told),
        listing("What each agent came to draw", ("agent", "D's reward", "length", "distinct", *MEASURES), rows),
        panels(pictures),
    )


def _learn_and_draw(lab: Lab, algorithm: str, envs: _Envs) -> Tensor:
    """``(samples, latent_size)``: the latents that an agent draws after it has learned."""
    model = make_model(algorithm, VecMonitor(SB3VecEnv(envs)), lab.seed, _SETTINGS[algorithm])
    resume = ResumeLearning(lab.begun, boundary=lambda: lab.keep(partial(learner_state, model)))
    model.learn(lab.settings.policy_pulls, callback=resume)
    drawn = []
    observations, _ = envs.reset(seed=lab.seed + 60_000)
    for _ in range(-(-lab.settings.samples // _ENVS)):
        actions, _ = model.predict(observations, deterministic=False)
        observations, *_ = envs.step(actions)
        drawn.append(envs.core.latents.clone())
    return torch.cat(drawn)[: lab.settings.samples]


EXPERIMENTS = (write_rates, write_exploit, write_continuous)
"""In the order of the page."""
