"""The paper trains with AdamW at a rate of 0.1. Does it diverge there, and does it not at 1e-4 and 1e-3?

A plain loop with torch's AdamW and its weight decay. The rule, fixed before the runs: a GAN has *diverged* when a
weight, a logit or a sample is not finite, or when its samples are no nearer to the data than those of its own untrained
generator.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from benchmarks.plain import BareLoop

from gan_backbones.optim import ADAM_BETAS
from gan_env import Task
from gan_env.quality import make_grader
from mspg_parts.study import Study, positive, show, spread


@dataclass(frozen=True)
class RatesOptions:
    """AdamW at the rate of the paper and at others."""

    rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    """Learning rates of both networks."""
    weight_decay: float = 0.01
    """Of AdamW."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of weights, latents and batches."""
    data: str = "faces"
    """Data set."""
    resolution: int = 32
    """Pixels."""
    width: int = 8
    """Channels of the finest maps."""
    updates: int = 400
    """GAN updates."""
    looks: int = 4
    """How many times logits and weights are recorded."""
    samples: int = 512
    """Images of a distance."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def run(options: RatesOptions) -> None:
    """Train, print and record."""
    positive(options, "rates", "seeds", "width", "updates", "looks")
    rows = options.study.compute(
        train, [(options, rate, seed) for rate, seed in itertools.product(options.rates, options.seeds)], "rates"
    )
    groups = {rate: [row for row in rows if row["rate"] == rate] for rate in options.rates}
    show(
        f"AdamW, {options.updates} updates: mean (smallest..largest) over seeds",
        ("rate", "diverged", "distance", "before", "largest logit", "norm of G's weights"),
        [
            (
                f"{rate:g}",
                f"{sum(row['diverged'] for row in own)}/{len(own)}",
                *(spread(row[key] for row in own) for key in ("distance", "distance_before")),
                spread((row["looks"][-1]["largest_logit"] for row in own), 1),
                spread((row["looks"][-1]["weight_norm"] for row in own), 1),
            )
            for rate, own in groups.items()
        ],
    )
    options.study.record("learning-rate", options, rows)


def train(options: RatesOptions, rate: float, seed: int) -> dict[str, Any]:
    """One GAN at one rate."""
    sizes = (("latent_size", 64), ("lite", True), ("width", options.width))
    task = Task(
        data=options.data,
        resolution=options.resolution,
        backbone="mspg",
        backbone_options=sizes,
        batch_size=16,
        updates_per_step=1,
        decisions=options.updates,
        metric="",
        worst_grade=math.inf,
        worst_proxy=math.inf,
        proxy_samples=1,
        grade_samples=options.samples,
    )
    adamw = functools.partial(torch.optim.AdamW, lr=rate, betas=ADAM_BETAS, weight_decay=options.weight_decay)
    loop = BareLoop(task, seed=seed, make_optimizer=adamw)
    grader = make_grader(loop.data, options.samples, torch.device("cpu"), progress=False)
    latents = torch.randn(options.samples, 64, generator=torch.Generator().manual_seed(seed))
    distance = functools.partial(_distance, loop, grader, latents)
    before, looks = distance(), [_look(loop, latents[:64])]
    for look in range(options.looks):
        for _ in range(options.updates * (look + 1) // options.looks - options.updates * look // options.looks):
            loop()
        looks.append(_look(loop, latents[:64]))
    after = distance()
    return {
        "rate": rate,
        "seed": seed,
        "distance_before": before,
        "distance": after,
        "diverged": diverged(before, after, [number for look in looks for number in look.values()]),
        "metric": grader.metric,
        "looks": looks,
    }


def diverged(before: float, after: float, numbers: list[float]) -> bool:
    """The rule: something is not finite, or nothing was gained."""
    return not all(map(math.isfinite, numbers)) or not after < before


@torch.no_grad()
def _distance(loop: BareLoop, grader: Any, latents: torch.Tensor) -> float:
    generator = loop.generator.eval()
    samples = torch.cat([generator(chunk) for chunk in latents.split(64)])
    generator.train()
    return float(grader.grade(samples[None])[0])


@torch.no_grad()
def _look(loop: BareLoop, latents: torch.Tensor) -> dict[str, float]:
    """Largest logit, in size, of real and generated images, and the norm of the generator's weights."""
    networks = loop.generator.eval(), loop.discriminator.eval()
    images = torch.cat([loop.data.batch(range(len(latents))), networks[0](latents)])
    logits = networks[1](images)
    for network in networks:
        network.train()
    squares = sum(parameter.square().sum() for parameter in networks[0].parameters())
    return {"largest_logit": float(logits.abs().max()), "weight_norm": float(squares) ** 0.5}
