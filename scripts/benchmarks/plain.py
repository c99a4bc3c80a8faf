"""The rival: one GAN in a plain PyTorch loop, as a practitioner would write it. And how rates are measured."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_backbones import build, initialise
from gan_backbones.optim import ADAM_BETAS
from gan_env import Task
from gan_env.quality import cached_data

ADAM = functools.partial(torch.optim.Adam, lr=2e-4, betas=ADAM_BETAS)


class BareLoop:
    """One GAN of a task, trained with an optimizer of torch's; calling it makes one update and returns 1."""

    def __init__(
        self,
        task: Task,
        device: str = "cpu",
        seed: int = 0,
        make_optimizer: Callable[[Any], torch.optim.Optimizer] = ADAM,
    ) -> None:
        self.data = cached_data(task.data, task.resolution, None, False)
        self.pair = build(task.backbone, self.data.sample_shape, **dict(task.backbone_options))
        self.rng = torch.Generator().manual_seed(seed)
        initialise(self.pair.generator, self.rng)
        initialise(self.pair.discriminator, self.rng)
        self.generator, self.discriminator = self.pair.generator.to(device), self.pair.discriminator.to(device)
        self.optimizers = [make_optimizer(module.parameters()) for module in (self.generator, self.discriminator)]
        self.samples = self.data.samples.to(device)
        self.batch, self.device = task.batch_size, device
        self.told: tuple[Tensor, ...] = ()
        """The generator's loss, the discriminator's, its real and its fake logits in the last update."""

    def __call__(self) -> int:
        rows = torch.randint(len(self.samples), (self.batch,), generator=self.rng).to(self.device)
        real = self.samples[rows]
        real = real / 127.5 - 1 if real.dtype == torch.uint8 else real
        fake = self.generator(torch.randn(self.batch, self.pair.latent_size, generator=self.rng).to(self.device))
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake.detach()])).split(self.batch)
        loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        self.optimizers[1].zero_grad()
        loss_d.backward()
        self.optimizers[1].step()
        self.discriminator.requires_grad_(False)
        loss_g = F.softplus(-self.discriminator(fake)).mean()
        self.optimizers[0].zero_grad()
        loss_g.backward()
        self.optimizers[0].step()
        self.discriminator.requires_grad_(True)
        self.told = tuple(one.detach() for one in (loss_g, loss_d, real_logits, fake_logits))
        return 1


def synchronise(device: str) -> None:
    """Wait for what the device was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def measure(work: Callable[[], int], seconds: float, device: str = "cpu") -> float:
    """Updates per second over about ``seconds``; ``work`` returns the updates that it made."""
    synchronise(device)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += work()
        synchronise(device)
    return done / (time.perf_counter() - start)
