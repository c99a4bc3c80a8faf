"""Last part: a rate of learning that is too high, a reward that is exploited, and latents named entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecMonitor

from agents.bandit_training import PullRecord, make_bandit_env, pull
from agents.bandits import make_bandit
from agents.html_page import drawing, picture
from agents.latent_study.lab import MEASURES, Lab, frozen, grid, number
from agents.sb3 import make_model
from agents.vec_env import SB3VecEnv
from gan_env.latent_env import GanLatentBanditVectorEnv, GanLatentBoxVectorEnv

_RATES = (0.1, 0.9)
_NOISE = 0.5
_MEMORIES = (1, 64)
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
    records: dict[str, PullRecord] = {}
    for rate in _RATES:
        bandit = make_bandit("ema", envs.config.codes, lab.seed, {"learning_rate": rate, "anneal": pulls // 2})
        records[f"rate {rate:g}"] = pull(envs, bandit, pulls, seed=lab.seed)
    slow, fast = (float(record.rewards[-1000:].mean()) for record in records.values())
    lab.numbers["learning rates"] = {"slow": slow, "fast": fast}
    lab.page.heading("Too high a learning rate in Q-learning")
    lab.page.text(
        f"With noise {_NOISE} on the latents, a moving average at rate {_RATES[1]} is little more than the last "
        "reward: whichever code was lucky a moment ago looks best, until it is pulled again. The last 1,000 pulls paid "
        f"{fast:.3f}, at rate {_RATES[0]} {slow:.3f}."
    )

    def curves(axes: Any) -> None:
        for name, record in records.items():
            axes.plot(record.at, record.reward, label=name)
        axes.set(xlabel="pulls", ylabel="mean reward of the last 1,000")

    def choices(axes: Any) -> None:
        for name, record in records.items():
            axes.plot(record.at, record.choice_entropy, label=name)
        axes.set(xlabel="pulls", ylabel="entropy of the last 1,000 (nats)", ylim=(0, None))

    lab.page.row(
        drawing(curves, "Reward.", lab.figure("rates.svg")),
        drawing(choices, "How the choices wander.", lab.figure("rates-entropy.svg")),
    )


def write_exploit(lab: Lab) -> None:
    """A bonus for variety that looks back one image, and what is enough to collect it."""
    settings, page, gan = lab.settings, lab.page, frozen(lab)
    found: dict[int, dict[str, Any]] = {}
    for memory in _MEMORIES:
        options = lab.latents | {"codes": settings.codes, "reward": "discriminator=0.2,diversity=1", "memory": memory}
        envs = make_bandit_env(1, options | {"pulls": 10**9})
        bandit = make_bandit("ema", settings.codes, lab.seed, {"anneal": settings.pulls // 2, "epsilon_end": 0.01})
        record = pull(envs, bandit, settings.pulls, seed=lab.seed, points=20)
        codes, counts = np.unique(record.actions[-1000:], return_counts=True)
        often = codes[np.argsort(-counts)][:16]
        images = gan.sample(envs.core.actions.latents(record.actions[-settings.samples :].copy()))
        found[memory] = {
            "reward": float(record.rewards[-1000:].mean()),
            "variety term": float(record.terms["diversity"][-1000:].mean()),
            "codes that make up nine tenths": int((np.cumsum(np.sort(counts)[::-1]) < 900).sum() + 1),
            "choice entropy": record.choice_entropy[-1],
            "often": gan.sample(envs.core.actions.latents(often)),
        } | {name: lab.measure(images)[name] for name in ("FD", "recall")}
    short, long = (found[memory] for memory in _MEMORIES)
    numbers = {str(memory): {k: v for k, v in one.items() if k != "often"} for memory, one in found.items()}
    lab.numbers["exploited reward"] = numbers
    page.heading("A shaped reward that is exploited")
    page.text(
        "The reward adds a bonus for variety: the distance to the nearest of the images drawn lately. If <i>lately</i> "
        f"means the last image, the bonus is collected ({short['variety term']:.2f} of 1) with "
        f"{short['codes that make up nine tenths']} codes, nine tenths of the last 1,000 pulls going to them in turn. "
        f"If it means the last {_MEMORIES[1]}, it takes {long['codes that make up nine tenths']} codes for "
        f"{long['variety term']:.2f}. The bonus was meant to say <i>be varied</i>; it said <i>do not repeat yourself "
        "at once</i>."
    )
    page.table(
        ("looks back", "reward", "variety term", "codes for 90 % of pulls", "choice entropy", "FD", "recall"),
        [
            [f"{memory} image{'s' if memory > 1 else ''}"]
            + [number(one[key]) for key in ("reward", "variety term", "codes that make up nine tenths")]
            + [number(one[key]) for key in ("choice entropy", "FD", "recall")]
            for memory, one in found.items()
        ],
    )
    page.row(
        *(
            picture(grid(one["often"], 8), f"Most drawn, looking back {memory}.", lab.figure(f"exploit-{memory}.png"))
            for memory, one in found.items()
        )
    )


def write_continuous(lab: Lab) -> None:
    """The same algorithms over a codebook and over the latent itself."""
    settings, page, gan = lab.settings, lab.page, frozen(lab)
    contenders = {
        "DQN, codebook": ("dqn", GanLatentBanditVectorEnv, {"codes": settings.codes}),
        "PPO, codebook": ("ppo", GanLatentBanditVectorEnv, {"codes": settings.codes}),
        "PPO, latent itself": ("ppo", GanLatentBoxVectorEnv, {}),
    }
    rows, record, pictures = [], {}, []
    for index, (name, (algorithm, make, options)) in enumerate(contenders.items()):
        lab.say(f"  {name}")
        envs = make(_ENVS, autoreset_mode="SameStep", **(lab.latents | options))
        model = make_model(algorithm, VecMonitor(SB3VecEnv(envs)), lab.seed, _SETTINGS[algorithm])
        model.learn(settings.policy_pulls)
        drawn = []
        observations, _ = envs.reset(seed=lab.seed + 60_000)
        for _ in range(-(-settings.samples // _ENVS)):
            actions, _ = model.predict(observations, deterministic=False)
            observations, *_ = envs.step(actions)
            drawn.append(envs.core.latents.clone())
        latents = torch.cat(drawn)[: settings.samples]
        images = gan.sample(latents)
        values = lab.measure(images)
        values["reward"] = float(torch.sigmoid(gan.logits(images)).mean())
        values["length"] = float(latents.norm(dim=1).mean() / gan.latent_size**0.5)
        record[name] = values
        rows.append(
            [name, f"{values['reward']:.3f}", f"{values['length']:.2f}", *(number(values[m]) for m in MEASURES)]
        )
        pictures.append(picture(grid(images[:_DRAWS], 8), f"{name}.", lab.figure(f"policy-{index}.png")))
        envs.close()
    lab.numbers["discrete against continuous"] = record
    box, codes = record["PPO, latent itself"], record["PPO, codebook"]
    page.heading("Discrete against continuous latents")
    page.text(
        f"DQN and PPO of Stable-Baselines3, {settings.policy_pulls} pulls each, one seed. Codes are typical draws "
        "from N(0, I), of length 1 in units of the root of their size. Entry by entry PPO may go anywhere: its latents "
        f"have length {box['length']:.2f}, the discriminator pays {box['reward']:.3f} (codebook: "
        f"{codes['reward']:.3f}), and recall is {box['recall']:.2f} (codebook: {codes['recall']:.2f}). "
        "A Gaussian policy begins by drawing around one point, all of "
        "whose images are related; a softmax over codes begins with all of them."
    )
    page.table(("agent", "D's reward", "length", *MEASURES), rows)
    page.row(*pictures)


EXPERIMENTS = (write_rates, write_exploit, write_continuous)
"""In the order of the page."""
