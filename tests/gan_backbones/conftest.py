"""A population by its backbone and seeds."""

from collections.abc import Sequence

import pytest
import torch

from gan_backbones import GanPopulation, ReplicaSetup, build
from tests.gan_backbones.populations import BATCH, BETAS


@pytest.fixture
def make(tiny_backbone):
    """make(backbone, seeds, ...) -> a population whose rows have these seeds, and betas that differ from row to row."""

    def make(backbone: str, seeds: Sequence[int], **options) -> GanPopulation:
        shape, sizes, data = tiny_backbone(backbone)
        options = {"batch_size": BATCH, "dtype": torch.float64} | options
        population = GanPopulation(lambda: build(backbone, shape, **sizes), len(seeds), **options)
        population.reset(range(len(seeds)), [ReplicaSetup(seed, data, BETAS[seed % 3]) for seed in seeds])
        return population

    return make
