"""Bytes predicted before anything is allocated, against bytes seen to be allocated."""

import functools

import pytest
import torch

from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones import memory as memory_module
from gan_backbones.memory import LiveBytes, MemoryPlan, NotEnoughMemoryError, free_bytes
from tests.gan_backbones.populations import every_backbone, every_strategy, knobs


def test_live_bytes_counts_storages_once_and_forgets_them():
    with LiveBytes() as storage:
        kept = torch.zeros(1000)
        view = kept[10:]
        assert storage.now == 4000
        other = view[:500] + 1
        assert storage.now == 6000
        del other
        assert storage.now == 4000
    assert storage.peak == 6000
    del kept, view
    assert storage.now == 0


@pytest.mark.parametrize("parallel", [None, 2])
def test_the_largest_size_is_the_last_that_fits(parallel):
    plan = MemoryPlan(state=10, work=30, fixed=5, parallel=parallel)
    for free in (0, 4, 45, 100, 1234):
        largest = plan.largest(free)
        assert largest == 0 or plan.total(largest) <= free < plan.total(largest + 1)


@every_strategy
@every_backbone
def test_the_plan_is_within_a_tenth_of_what_training_takes(backbone, strategy, tiny_backbone, monkeypatch):
    monkeypatch.setattr(GanPopulation, "_map_lanes", lambda self, work, lanes=None: list(map(work, self._lanes)))
    shape, sizes, data = tiny_backbone(backbone)

    def train(count):
        pair = functools.partial(build, backbone, shape, **sizes | {"width": 16})
        population = GanPopulation(pair, count, batch_size=16, strategy=strategy, workers=1)
        population.reset(range(count), [ReplicaSetup(seed, data) for seed in range(count)])
        population.update(knobs(population), 1)
        return population

    train(1)  # what is cached once for all is cached now
    with LiveBytes() as storage:
        population = train(7)
    assert population.memory.total(7) == pytest.approx(storage.peak, rel=0.1)


@every_strategy
def test_more_than_fits_is_refused_with_the_largest_size_that_does(strategy, make, monkeypatch):
    plan = make("dcgan", [1], strategy=strategy, workers=1).memory
    monkeypatch.setattr(memory_module, "free_bytes", lambda device: plan.total(5))
    make("dcgan", range(5), strategy=strategy, workers=1)
    with pytest.raises(NotEnoughMemoryError, match=r"6 GANs .* GB are free on cpu; at most 5 fit"):
        make("dcgan", range(6), strategy=strategy, workers=1)


def test_free_memory_of_this_machine_is_known_or_unlimited():
    free = free_bytes(torch.device("cpu"))
    assert free is None or free > 1e6


def test_a_plan_is_that_of_the_very_networks_and_loss():
    """Networks of equal parameters may do different work; growth computes some of the scales alone."""

    def planned(**options):
        loss = options.pop("loss", "hinge")
        build_pair = functools.partial(build, "mspg", (1, 32, 32), latent_size=4, width=2, lite=True, **options)
        population = GanPopulation(build_pair, 1, batch_size=4, loss=loss, workers=1)
        population.close()
        return population.memory

    coarse, fine = planned(scales=1), planned(scales=3)
    assert coarse.state == fine.state and coarse.work < fine.work
    assert planned(scales=1) is coarse and planned(scales=1, loss="wasserstein") is not coarse
