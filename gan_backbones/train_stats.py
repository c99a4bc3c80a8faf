"""What a population says about the updates that it made."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Logits:
    """What the discriminator's step of every update saw: each ``(n, steps, batch)``."""

    real: Tensor
    fake: Tensor


@dataclass(frozen=True)
class Norms:
    """Euclidean norms, ``(n, 2)`` each, the generator first: of the next step at present rates, and of the weights."""

    steps: Tensor
    weights: Tensor


@dataclass(frozen=True)
class TrainStats:
    """Statistics of the updates of one call, ``(N,)`` each. A diverged row may hold non-finite numbers.

    Logits are those of the discriminator's step, in training mode. The losses are canonical (softplus of the logits),
    whatever loss is trained. Update ratios are taken after the last update: the norm of the step that each optimizer
    would repeat at its present learning rate, over the norm of its weights.
    """

    real_accuracy: Tensor
    fake_accuracy: Tensor
    real_logit: Tensor
    fake_logit: Tensor
    loss_g: Tensor
    loss_d: Tensor
    update_ratio_g: Tensor
    update_ratio_d: Tensor
    diverged: Tensor
    """Boolean: a weight or a logit is not finite."""


@dataclass(frozen=True)
class LogitMeans:
    """The part of :class:`TrainStats` that logits alone give, ``(N,)`` each."""

    real_accuracy: Tensor
    fake_accuracy: Tensor
    real_logit: Tensor
    fake_logit: Tensor
    loss_g: Tensor
    loss_d: Tensor


def average_logits(real: Tensor, fake: Tensor) -> LogitMeans:
    """Means over the logits of real samples ``(N, R)`` and of generated ones ``(N, F)``."""
    return LogitMeans(
        real_accuracy=(real > 0).to(real.dtype).mean(1),
        fake_accuracy=(fake < 0).to(fake.dtype).mean(1),
        real_logit=real.mean(1),
        fake_logit=fake.mean(1),
        loss_g=F.softplus(-fake).mean(1),
        loss_d=F.softplus(-real).mean(1) + F.softplus(fake).mean(1),
    )


def train_stats(means: LogitMeans, norms: Norms) -> TrainStats:
    """Statistics from what the discriminators said and from the norms after the last update."""
    finite = (means.real_logit + means.fake_logit).isfinite() & norms.weights.isfinite().all(1)
    ratio_g, ratio_d = (norms.steps / norms.weights).unbind(1)
    return TrainStats(**vars(means), update_ratio_g=ratio_g, update_ratio_d=ratio_d, diverged=~finite)


def measure_updates(logits: Logits, norms: Norms) -> TrainStats:
    """Statistics of some rows from what their discriminators saw and from the norms after the last update."""
    return train_stats(average_logits(logits.real.flatten(1), logits.fake.flatten(1)), norms)
