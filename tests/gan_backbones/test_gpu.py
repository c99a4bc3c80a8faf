"""The same contracts on a GPU, in float32; marked, and run where there is one."""

import pytest
import torch

from gan_backbones import ReplicaSetup
from tests.gan_backbones.populations import BETAS, assert_rows_equal, every_backbone, knobs, state, statistics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
OPTIONS = {"device": "cuda", "dtype": torch.float32}


def close(one, other, tolerance):
    for a, b in zip(one.state_dict()["tensors"], other.state_dict()["tensors"], strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@every_backbone
def test_a_graph_does_what_single_launches_do(backbone, make):
    graphed, eager = (make(backbone, [0, 1, 2], cuda_graph=graph, **OPTIONS) for graph in (True, False))
    for _ in range(4):  # as usual, recorded, replayed twice
        seen = [statistics(population.update(knobs(population), 2)) for population in (graphed, eager)]
        torch.testing.assert_close(*seen, rtol=1e-4, atol=1e-5)
    close(graphed, eager, 1e-4)


@every_backbone
def test_rows_are_reset_in_place_under_a_recorded_graph(backbone, make):
    population, fresh = (make(backbone, seeds, **OPTIONS) for seeds in ([0, 1, 2], [5]))
    for _ in range(3):
        population.update(knobs(population), 2)
    others = state(population)
    population.reset([1], [ReplicaSetup(5, fresh._data[0], BETAS[5 % 3])])
    assert_rows_equal(state(population), others, [0, 2])
    for _ in range(3):
        population.update(knobs(population), 2)
        fresh.update(knobs(fresh), 2)
    for a, b in zip(state(population), state(fresh), strict=True):
        torch.testing.assert_close(a[1], b[0], rtol=1e-3, atol=1e-4)


@every_backbone
def test_idle_rows_stay_untouched_by_a_replay(backbone, make):
    population = make(backbone, [0, 1, 2], **OPTIONS)
    for _ in range(3):
        population.update(knobs(population), 2)
    before = state(population)
    stats = population.update(knobs(population), 2, torch.tensor([True, False, True]))
    assert_rows_equal(state(population), before, [1])
    assert statistics(stats)[:, 1].abs().max() == 0
    assert not torch.equal(state(population)[0][0], before[0][0])


@every_backbone
def test_two_runs_are_equal_bit_for_bit(backbone, make):
    first, second = (make(backbone, [0, 1], **OPTIONS) for _ in range(2))
    for population in (first, second):
        for _ in range(3):
            population.update(knobs(population), 3)
    assert_rows_equal(state(first), state(second), [0, 1])


@every_backbone
def test_stacked_equals_looped(backbone, make):
    stacked, looped = (make(backbone, [0, 1], strategy=name, **OPTIONS) for name in ("stacked", "looped"))
    for population in (stacked, looped):
        population.update(knobs(population), 1)
    close(stacked, looped, 1e-4)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
@every_backbone
def test_coarser_products_stay_near_the_reference(backbone, precision, make):
    reference, coarse = (make(backbone, [0, 1], precision=name, **OPTIONS) for name in ("float32", precision))
    losses = [population.update(knobs(population), 2).loss_d for population in (reference, coarse)]
    torch.testing.assert_close(*losses, rtol=0.05, atol=0.02)


@every_backbone
def test_one_update_waits_for_nothing(backbone, make):
    population = make(backbone, [0, 1], **OPTIONS)
    values = {name: value.to("cuda", torch.float32) for name, value in knobs(population).items()}
    for _ in range(2):
        population.update(values, 2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        population.update(values, 2)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@every_backbone
def test_the_plan_is_within_a_tenth_of_what_the_card_allocates(backbone, make):
    options = OPTIONS | {"batch_size": 16}
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    population = make(backbone, range(64), cuda_graph=False, **options)
    population.update(knobs(population), 1)
    torch.cuda.synchronize()
    taken = torch.cuda.max_memory_allocated() - before - population._pool.untyped_storage().nbytes()
    assert population.memory.total(64) == pytest.approx(taken, rel=0.1)
