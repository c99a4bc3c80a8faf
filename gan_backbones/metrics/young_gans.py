"""Images that small GANs make while they are young: what a proxy has to judge, and damage cannot imitate."""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from gan_backbones.backbone import build
from gan_backbones.data.dataset import DataSet
from gan_backbones.population import GanPopulation, ReplicaSetup

SIDE = 16
"""Pixels at which the GANs work."""

AGES = (20, 50, 100, 150, 200, 300)
"""Updates after which images are taken."""

_LOG_RATES = (-4.5, -1.5)


def young_gans(samples: Tensor, gans: int, count: int, generator: Generator, *, progress: bool) -> Tensor:
    """``count`` images of each of ``gans`` DCGANs at each of :data:`AGES`; diverged ones are left out.

    ``samples`` is uint8 ``(M, C, H, W)``; the result is ``(at most gans * ages * count, C, 16, 16)`` in [-1, 1].
    Learning rates are log-uniform over [10^-4.5, 10^-1.5] for each network by itself; everything random comes from
    ``generator``.
    """
    small = F.interpolate(samples.float(), size=(SIDE, SIDE), mode="area").round().to(torch.uint8)
    data = DataSet("young-gans", small, {}, {}, None)
    population = GanPopulation(lambda: build("dcgan", data.sample_shape, latent_size=32, width=8), gans, batch_size=16)
    seeds = torch.randint(2**31, (gans,), generator=generator).tolist()
    population.reset(range(gans), [ReplicaSetup(seed, data) for seed in seeds])
    low, high = _LOG_RATES
    knobs = {name: 10 ** (low + (high - low) * torch.rand(gans, generator=generator)) for name in ("lr_g", "lr_d")}
    images, age = [], 0
    ages = tqdm(AGES, desc="proxy: young GANs", disable=None if progress else True, file=sys.stderr, leave=False)
    for target in ages:
        population.update(knobs, target - age)
        age = target
        images += [row for row in population.sample(count) if row.isfinite().all()]
    population.close()
    return torch.cat(images)
