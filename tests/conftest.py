"""Shared by all tests: one torch thread, a cache folder of the session's own, and the smallest useful parts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gan_backbones import GanMeta, GanPopulation, ReplicaSetup, build, save_gan
from gan_backbones.data import DataSet, load_data

torch.set_num_threads(1)

_TEST_CACHE = "GANBALANCE_TEST_CACHE"


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data go to a temporary folder that all processes share, or to one that an environment variable names."""
    temporary = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        temporary = temporary.parent
    folder = Path(os.environ.get(_TEST_CACHE) or temporary / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBALANCE_CACHE", str(folder))
        yield folder


@pytest.fixture
def rng() -> torch.Generator:
    """A seeded generator of the test's own."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def tiny_backbone() -> Callable[[str], tuple[tuple[int, ...], dict[str, int], DataSet]]:
    """Name of a backbone -> (sample shape, options, data), all as small as they can be. One row per backbone."""
    pixels = torch.randint(256, (40, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    noise = DataSet(name="noise", samples=pixels, attributes={}, attribute_values={}, mixture=None)
    table = {
        "mlp": ((2,), {"latent_size": 3, "width": 8}, load_data("ring", count=200)),
        "dcgan": ((1, 16, 16), {"latent_size": 4, "width": 2}, noise),
        "mspg": ((1, 16, 16), {"latent_size": 4, "width": 2, "lite": True}, noise),
    }
    return table.__getitem__


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GAN of ``digits`` at 16 pixels, trained until its discriminator tells latents apart."""
    data, options = load_data("digits"), {"latent_size": 6, "width": 4}
    population = GanPopulation(lambda: build("dcgan", data.sample_shape, **options), 1, batch_size=16, workers=1)
    population.reset([0], [ReplicaSetup(5, data)])
    population.update({name: torch.full((1,), 3e-3) for name in ("lr_g", "lr_d")}, 80)
    path = tmp_path_factory.mktemp("gan") / "gan.safetensors"
    save_gan(path, *population.networks(0), GanMeta("dcgan", options, data.sample_shape, 6, {"data": "digits"}))
    population.close()
    return path
