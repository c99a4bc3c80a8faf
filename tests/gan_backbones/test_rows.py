"""What a row does depends on its own setup alone, and looking at it changes nothing."""

import pytest
import torch

from gan_backbones import ReplicaSetup, build
from tests.gan_backbones.populations import (
    BETAS,
    assert_rows_equal,
    every_backbone,
    every_strategy,
    knobs,
    state,
    statistics,
)


@every_strategy
@every_backbone
def test_inactive_rows_stay_untouched(make, backbone, strategy):
    population = make(backbone, range(4), strategy=strategy, workers=2)
    twin = make(backbone, range(4), strategy=strategy, workers=2)
    for one in (population, twin):
        one.update(knobs(one, 1e-3), 3)
    before = state(population)
    stats = population.update(knobs(population, 1e-3), 5, torch.tensor([True, False, False, False]))
    assert_rows_equal(state(population), before, [1, 2, 3])
    assert not statistics(stats)[:, 1:].any() and statistics(stats)[2:-1, 0].all()
    # The active row did what it would have done anyway; the others then do what they would have done.
    twin.update(knobs(twin, 1e-3), 5)
    assert_rows_equal(state(population), state(twin), [0])
    population.update(knobs(population, 1e-3), 5, torch.tensor([False, True, True, True]))
    assert_rows_equal(state(population), state(twin), range(4))


def test_an_update_of_no_row_changes_nothing(make):
    population = make("mlp", range(3))
    before = state(population)
    stats = population.update(knobs(population), 5, torch.zeros(3, dtype=torch.bool))
    assert_rows_equal(state(population), before, range(3))
    assert not statistics(stats).any()


@every_strategy
@every_backbone
def test_a_neighbour_that_explodes_disturbs_nobody(make, backbone, strategy):
    options = {"strategy": strategy, "workers": 1, "dtype": torch.float32, "knobs": ("fm_weight",)}
    calm, wild = (make(backbone, range(4), **options) for _ in range(2))
    rates = torch.tensor([1e-3, 1e30, 1e-3, 1e-3], dtype=torch.float64)
    for _ in range(3):
        calm_stats = calm.update(knobs(calm, 1e-3), 4)
        wild_stats = wild.update(knobs(wild, rates), 4)
    assert wild_stats.diverged.tolist() == [False, True, False, False]
    assert not calm_stats.diverged.any()
    rows = [0, 2, 3]
    assert_rows_equal(state(wild), state(calm), rows)
    assert torch.equal(statistics(wild_stats)[:, rows], statistics(calm_stats)[:, rows])


@every_strategy
@every_backbone
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_single_bad_weight_is_reported_and_stays_in_its_row(make, backbone, strategy, player, value, tiny_backbone):
    population, twin = (make(backbone, range(3), strategy=strategy, workers=1) for _ in range(2))
    saved, data = population.state_dict(), tiny_backbone(backbone)[2]
    pair = build(backbone, tiny_backbone(backbone)[0], **tiny_backbone(backbone)[1])
    size = sum(parameter.numel() for parameter in getattr(pair, player).parameters())
    matrix = next(tensor for tensor in saved["tensors"] if tensor.shape == (3, size))
    matrix[2, -1] = value
    population.load_state_dict(saved, {data.fingerprint: data})
    for one in (population, twin):
        stats = one.update(knobs(one), 2)
        if one is population:
            assert stats.diverged.tolist() == [False, False, True]
    assert_rows_equal(state(population), state(twin), [0, 1])


@every_strategy
@every_backbone
def test_reset_in_place_recreates_a_row_exactly(make, backbone, strategy, tiny_backbone):
    fresh, used = (make(backbone, range(4), strategy=strategy, workers=2) for _ in range(2))
    used.update(knobs(used, 1e-3), 5)
    used.sample(3)
    before = state(used)
    data = tiny_backbone(backbone)[2]
    used.reset([2, 0], [ReplicaSetup(2, data, BETAS[2]), ReplicaSetup(0, data, BETAS[0])])
    assert_rows_equal(state(used), state(fresh), [0, 2])
    assert_rows_equal(state(used), before, [1, 3])
    for one in (fresh, used):
        one.update(knobs(one, 1e-3), 3)
    assert_rows_equal(state(used), state(fresh), [0, 2])


@every_backbone
def test_a_row_that_diverged_is_well_after_a_reset(make, backbone, tiny_backbone):
    broken, fresh = (make(backbone, range(2), dtype=torch.float32) for _ in range(2))
    broken.update(knobs(broken, torch.tensor([1e30, 1e-3])), 8)
    broken.reset([0], [ReplicaSetup(0, tiny_backbone(backbone)[2], BETAS[0])])
    assert_rows_equal(state(broken), state(fresh), [0])
    assert not broken.update(knobs(broken), 3).diverged.any()


def test_seeds_decide_everything_and_differ(make):
    population = make("mlp", [3, 3, 6])  # seed mod 3 gives equal betas
    population.update(knobs(population), 3)
    tensors = state(population)
    assert_rows_equal(tensors, tensors, [0], [1])
    assert not torch.equal(tensors[0][0], tensors[0][2])
    latents = population.draw_latents(2)
    assert torch.equal(latents[0], latents[1]) and not torch.equal(latents[0], latents[2])


def test_nothing_is_drawn_from_the_global_generator(make):
    torch.manual_seed(1)
    expected = torch.get_rng_state()
    population = make("dcgan", range(2))
    population.update(knobs(population), 2)
    population.sample(2)
    assert torch.equal(torch.get_rng_state(), expected)


@every_strategy
@every_backbone
def test_sampling_has_no_effect_on_training(make, backbone, strategy):
    watched, alone = (make(backbone, range(3), strategy=strategy, workers=2) for _ in range(2))
    for _ in range(3):
        watched.update(knobs(watched, 1e-3), 2)
        samples = watched.sample(5)
        watched.discriminate(samples)
        watched.evaluate(lambda images, _: images.flatten(1).mean(1), watched.draw_latents(4, [1]), [1])
        alone.update(knobs(alone, 1e-3), 2)
    assert_rows_equal(state(watched)[:-1], state(alone)[:-1], range(3))
    assert not torch.equal(state(watched)[-1], state(alone)[-1]), "fresh latents move the sampling generator"


@every_strategy
@every_backbone
def test_samples_are_in_evaluation_mode_and_repeatable(make, backbone, strategy, tiny_backbone):
    population = make(backbone, range(3), strategy=strategy)
    population.update(knobs(population, 1e-3), 3)
    shape, before = tiny_backbone(backbone)[0], state(population)
    latents = population.draw_latents(6)
    samples = population.sample(6, latents)
    assert samples.shape == (3, 6, *shape) and samples.dtype == torch.float64
    assert torch.equal(samples, population.sample(6, latents))
    # In evaluation mode a sample does not depend on those beside it.
    torch.testing.assert_close(population.sample(2, latents[:, :2]), samples[:, :2], rtol=1e-10, atol=1e-10)
    assert_rows_equal(state(population)[:-1], before[:-1], range(3))
    if len(shape) == 3:
        assert samples.abs().max() <= 1
    assert not torch.equal(population.sample(6), population.sample(6)), "fresh latents each time"


@every_strategy
@every_backbone
def test_evaluating_some_rows_equals_evaluating_all(make, backbone, strategy):
    population = make(backbone, range(4), strategy=strategy, workers=2)
    population.update(knobs(population, 1e-3), 2)
    latents = population.draw_latents(5)
    every = population.evaluate(lambda samples, _: samples.flatten(2).sum(2), latents)
    some = population.evaluate(lambda samples, _: samples.flatten(2).sum(2), latents[[3, 1]], [3, 1])
    numbers = population.evaluate(lambda samples, rows: torch.tensor(list(rows)), latents)
    assert numbers.tolist() == list(range(len(latents))), "a measure is told whose samples it sees"
    torch.testing.assert_close(some, every[[3, 1]], rtol=1e-10, atol=1e-10)


def test_latents_come_from_each_row_by_itself(make):
    one, other = (make("mlp", range(3)) for _ in range(2))
    chosen = one.draw_latents(4, [2, 0])
    assert torch.equal(chosen, other.draw_latents(4)[[2, 0]])
    every = torch.cat([one.draw_latents(4000, [row]) for row in range(3)])
    assert abs(float(every.mean())) < 0.03 and float(every.std()) == pytest.approx(1.0, abs=0.03)
