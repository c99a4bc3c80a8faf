"""State, data and mistakes of the only trainer."""

import pytest
import torch

from gan_backbones import GanPair, GanPopulation, ReplicaSetup, build
from gan_backbones.data import DataSet, load_data
from tests.gan_backbones.populations import BATCH, assert_rows_equal, every_backbone, every_strategy, knobs, state


@every_strategy
@every_backbone
def test_a_restored_state_continues_exactly(make, backbone, strategy, tiny_backbone):
    original = make(backbone, range(3), strategy=strategy, workers=2)
    original.update(knobs(original, 1e-3), 3)
    original.sample(2)
    saved = original.state_dict()
    copy = [tensor.clone() for tensor in saved["tensors"]]

    data = tiny_backbone(backbone)[2]
    restored = make(backbone, [7, 8, 9], strategy=strategy, workers=2)
    restored.load_state_dict(saved, {data.fingerprint: data})
    assert_rows_equal(state(restored), state(original), range(3))
    for population in (original, restored):
        population.update(knobs(population, 1e-3), 4)
    assert_rows_equal(state(restored), state(original), range(3))
    assert torch.equal(original.sample(3), restored.sample(3))
    assert all(torch.equal(a, b) for a, b in zip(copy, saved["tensors"], strict=True)), "the state is a copy"


def test_a_state_from_a_fresh_population_fits_one_without_data(make, tiny_backbone):
    shape, sizes, data = tiny_backbone("mlp")
    original = make("mlp", range(2))
    restored = GanPopulation(lambda: build("mlp", shape, **sizes), 2, batch_size=BATCH, dtype=torch.float64)
    restored.load_state_dict(original.state_dict(), {data.fingerprint: data})
    for population in (original, restored):
        population.update(knobs(population), 2)
    assert_rows_equal(state(restored), state(original), range(2))


def test_rows_train_on_their_own_data(make, tiny_backbone):
    shape, sizes, ring = tiny_backbone("mlp")
    grid = load_data("grid", count=100)
    mixed = GanPopulation(lambda: build("mlp", shape, **sizes), 3, batch_size=BATCH, dtype=torch.float64)
    mixed.reset([0, 1, 2], [ReplicaSetup(seed, data) for seed, data in enumerate((ring, grid, ring))])
    alone = GanPopulation(lambda: build("mlp", shape, **sizes), 1, batch_size=BATCH, dtype=torch.float64)
    alone.reset([0], [ReplicaSetup(1, grid)])
    for population in (mixed, alone):
        population.update(knobs(population, 1e-3), 10)
    torch.testing.assert_close(state(mixed)[0][1], state(alone)[0][0], rtol=1e-9, atol=1e-9)
    other = make("mlp", [1])
    other.update(knobs(other, 1e-3), 10)
    assert not torch.allclose(state(other)[0][0], state(alone)[0][0])


def test_every_sample_is_drawn_about_equally_often(tiny_backbone):
    """A discriminator whose logit is the sample itself shows what it was given."""
    shape, sizes, _ = tiny_backbone("mlp")
    values = torch.arange(5.0).repeat(2, 1).T.contiguous()
    data = DataSet(name="five", samples=values, attributes={}, attribute_values={}, mixture=None)

    class Reader(torch.nn.Module):
        """Logit = the sample itself."""

        def __init__(self) -> None:
            super().__init__()
            self.unused = torch.nn.Parameter(torch.ones(1))

        def features(self, samples):
            return samples * self.unused

        def classify(self, features):
            return features.mean(-1)

        def forward(self, samples):
            return self.classify(self.features(samples))

        def reset_parameters(self, generator):
            with torch.no_grad():
                self.unused.fill_(1.0)

    pair = build("mlp", shape, **sizes)
    population = GanPopulation(
        lambda: GanPair(pair.generator, Reader(), pair.latent_size, stackable=False), 1, batch_size=500
    )
    population.reset([0], [ReplicaSetup(0, data)])
    stats = population.update(knobs(population, 0.0), 20)
    assert population.strategy == "looped"
    # 10,000 draws from 0..4: mean 2, standard error 0.014; a share of 4/5 is above zero, standard error 0.004.
    assert float(stats.real_logit) == pytest.approx(2.0, abs=0.06)
    assert float(stats.real_accuracy) == pytest.approx(0.8, abs=0.02)


def test_wrong_options_are_named_in_one_line(tiny_backbone):
    shape, sizes, _ = tiny_backbone("mlp")
    cases = {
        "known: .*nonsaturating": {"loss": "wassersteen"},
        "known: auto, looped, stacked": {"strategy": "parallel"},
        "known: .*fm_weight": {"knobs": ("r3",)},
        "batch_size must be at least 1": {"batch_size": 0},
        "size and": {"size": 0},
    }
    for message, options in cases.items():
        arguments = {"size": 1, "batch_size": BATCH} | options
        with pytest.raises(ValueError, match=message) as caught:
            GanPopulation(lambda: build("mlp", shape, **sizes), **arguments)
        assert "\n" not in str(caught.value)


def test_a_pair_without_replica_axis_cannot_be_stacked(tiny_backbone):
    shape, sizes, _ = tiny_backbone("mlp")
    pair = build("mlp", shape, **sizes)
    plain = GanPair(pair.generator, pair.discriminator, pair.latent_size, stackable=False)
    with pytest.raises(ValueError, match="use strategy 'looped'"):
        GanPopulation(lambda: plain, 2, batch_size=BATCH, strategy="stacked")
    assert GanPopulation(lambda: plain, 2, batch_size=BATCH).strategy == "looped"
    assert GanPopulation(lambda: pair, 2, batch_size=BATCH).strategy == "stacked"


def test_wrong_calls_are_refused_and_change_nothing(make, tiny_backbone):
    population, images = make("mlp", range(2)), tiny_backbone("dcgan")[2]
    before, data = state(population), tiny_backbone("mlp")[2]
    good = knobs(population)
    for wrong in ({"lr_g": good["lr_g"]}, good | {"lr": good["lr_g"]}):
        with pytest.raises(ValueError, match="knobs must be lr_g, lr_d"):
            population.update(wrong, 1)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        population.update(good, 0)
    with pytest.raises(ValueError, match="2 rows but 1 setups"):
        population.reset([0, 1], [ReplicaSetup(0, data)])
    with pytest.raises(ValueError, match="data set 'noise' has samples of shape"):
        population.reset([0, 1], [ReplicaSetup(9, data), ReplicaSetup(9, images)])
    assert_rows_equal(state(population), before, range(2))


def test_training_before_a_reset_is_refused(tiny_backbone):
    shape, sizes, data = tiny_backbone("mlp")
    population = GanPopulation(lambda: build("mlp", shape, **sizes), 2, batch_size=BATCH)
    population.reset([0], [ReplicaSetup(0, data)])
    with pytest.raises(RuntimeError, match="every row needs a reset"):
        population.update(knobs(population), 1)


def test_a_closed_population_starts_again(make):
    population, twin = make("mlp", range(2)), make("mlp", range(2))
    for one in (population, twin):
        one.update(knobs(one), 1)
        if one is population:
            one.close()
            one.close()
        one.update(knobs(one), 1)
    assert_rows_equal(state(population), state(twin), range(2))
