"""The only trainer: its two strategies against each other and against plain PyTorch, and the independence of rows."""

import itertools
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F

from gan_backbones import BACKBONES, OPTIONAL_KNOBS, GanPair, GanPopulation, ReplicaSetup, build, initialise
from gan_backbones.data import DataSet, load_data
from gan_backbones.lane import read_samples, store_samples
from gan_backbones.population import STRATEGIES
from gan_backbones.train_stats import TrainStats

KNOB_SETS = ((), *((name,) for name in OPTIONAL_KNOBS), OPTIONAL_KNOBS)
BATCH = 4
BETAS = ((0.5, 0.999), (0.9, 0.99), (0.0, 0.9))

every_backbone = pytest.mark.parametrize("backbone", BACKBONES)
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES[1:])  # without "auto"
every_knob = pytest.mark.parametrize("extra", KNOB_SETS, ids=lambda names: "+".join(names) or "-")


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


def knobs(population: GanPopulation, rate: float = 2e-4, **changes) -> dict[str, torch.Tensor]:
    """Equal rates for all rows, 1/2 for every other knob."""
    values = dict.fromkeys(population.knob_names, 0.5) | {"lr_g": rate, "lr_d": rate} | changes
    return {name: torch.as_tensor(value, dtype=torch.float64).expand(population.size) for name, value in values.items()}


def state(population: GanPopulation) -> list[torch.Tensor]:
    """Every tensor that has one entry per row, random generators included."""
    saved = population.state_dict()
    return [*saved["tensors"], torch.stack(saved["train_rng"]), torch.stack(saved["sample_rng"])]


def assert_rows_equal(
    one: list[torch.Tensor], other: list[torch.Tensor], rows: Sequence[int], others: Sequence[int] | None = None
) -> None:
    """Bit for bit."""
    others = rows if others is None else others
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a[list(rows)], b[list(others)])


def statistics(stats: TrainStats) -> torch.Tensor:
    return torch.stack([value.double() for value in vars(stats).values()])


def assert_close(one: GanPopulation, other: GanPopulation, tolerance: float) -> None:
    for a, b in zip(one.state_dict()["tensors"], other.state_dict()["tensors"], strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# --- Strategies compute the same thing ---------------------------------------------------------------------------


@every_knob
@every_backbone
def test_stacked_equals_looped_after_fifty_updates(make, backbone, extra):
    options = {"knobs": extra, "workers": 1}
    stacked, looped = (make(backbone, range(3), strategy=strategy, **options) for strategy in ("stacked", "looped"))
    start = state(looped)
    rates = torch.tensor([2e-4, 1e-4, 2e-4], dtype=torch.float64)
    for population in (stacked, looped):
        stats = population.update(knobs(population, lr_d=rates), 50)
        assert not stats.diverged.any()
    assert stacked.strategy == "stacked" and looped.strategy == "looped"
    assert_close(stacked, looped, 1e-8)
    # Two updates more: the statistics agree, too.
    both = [statistics(population.update(knobs(population), 2)) for population in (stacked, looped)]
    torch.testing.assert_close(*both, rtol=1e-8, atol=1e-8)
    # Weights, moments and step counts of both players have moved, and the training generators; not the sampling ones.
    moved = [bool((new != old).any()) for new, old in zip(state(looped), start, strict=True)]
    assert sum(moved) >= 9 and not moved[-1]


@every_knob
@every_backbone
def test_stacked_equals_looped_in_single_precision(make, backbone, extra):
    populations = [
        make(backbone, range(3), strategy=strategy, knobs=extra, dtype=torch.float32) for strategy in STRATEGIES[1:]
    ]
    both = [statistics(population.update(knobs(population), 1)) for population in populations]
    assert_close(*populations, 1e-4)
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-4)


@every_strategy
@every_backbone
def test_a_row_does_what_it_would_do_alone(make, backbone, strategy):
    crowd, row = make(backbone, range(8), strategy=strategy, workers=2), 5
    alone = make(backbone, [row], strategy=strategy)
    both = [statistics(p.update(knobs(p, 1e-3), 20))[:, index] for p, index in ((crowd, row), (alone, 0))]
    torch.testing.assert_close(*both, rtol=1e-9, atol=1e-9)
    for a, b in zip(crowd.state_dict()["tensors"], alone.state_dict()["tensors"], strict=True):
        torch.testing.assert_close(a[row], b[0], rtol=1e-9, atol=1e-9)
    assert_rows_equal(state(crowd)[-2:], state(alone)[-2:], [row], [0])


@every_strategy
@every_backbone
def test_the_number_of_workers_does_not_matter(make, backbone, strategy):
    populations = [
        make(backbone, range(5), strategy=strategy, workers=workers, dtype=torch.float32) for workers in (1, 2, 5)
    ]
    for population in populations:
        population.update(knobs(population), 1)
    for other in populations[1:]:
        assert_close(populations[0], other, 1e-6)


@every_strategy
@every_backbone
def test_the_same_twice(make, backbone, strategy):
    states = []
    for _ in range(2):
        population = make(backbone, range(4), strategy=strategy, dtype=torch.float32)
        population.update(knobs(population, 1e-3), 10)
        states.append(state(population))
    assert_rows_equal(*states, range(4))


def test_one_update_equals_a_plain_pytorch_loop(make, tiny_backbone):
    """Algorithm 1 of arXiv 1406.2661 with Adam, written with torch.nn.functional and torch.optim alone."""
    seed, rates, weight = 1, {"lr_g": 1e-2, "lr_d": 3e-2}, 0.7
    population = make("mlp", [seed], strategy="looped", knobs=("fm_weight",))
    updates = 3
    population.update(knobs(population, **rates, fm_weight=weight), updates)

    shape, sizes, data = tiny_backbone("mlp")
    pair, source = build("mlp", shape, **sizes), torch.Generator().manual_seed(seed)
    initialise(pair.generator, source)
    initialise(pair.discriminator, source)
    draws = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=source)))
    latents = torch.empty(updates, BATCH, sizes["latent_size"], dtype=torch.float64).normal_(generator=draws)
    indices = torch.empty(updates, BATCH, dtype=torch.int64).random_(0, len(data), generator=draws)
    g1, g1b, g2, g2b, g3, g3b = g = [p.detach().double().requires_grad_() for p in pair.generator.parameters()]
    d1, d1b, d2, d2b, d3, d3b = d = [p.detach().double().requires_grad_() for p in pair.discriminator.parameters()]

    def generate(z):
        return F.linear(F.linear(F.linear(z, g1, g1b).relu(), g2, g2b).relu(), g3, g3b)

    def features(x):
        return F.leaky_relu(F.linear(F.leaky_relu(F.linear(x, d1, d1b), 0.2), d2, d2b), 0.2)

    def judge(hidden):
        return F.linear(hidden, d3, d3b).squeeze(-1)

    adam_g = torch.optim.Adam(g, lr=rates["lr_g"], betas=BETAS[seed])
    adam_d = torch.optim.Adam(d, lr=rates["lr_d"], betas=BETAS[seed])
    ones = torch.ones(BATCH, dtype=torch.float64)
    for step in range(updates):
        real, fake = data.samples[indices[step]].double(), generate(latents[step])
        adam_d.zero_grad()
        real_features = features(real)
        loss_d = F.binary_cross_entropy_with_logits(judge(real_features), ones)
        loss_d = loss_d + F.binary_cross_entropy_with_logits(judge(features(fake.detach())), 0 * ones)
        loss_d.backward()
        adam_d.step()
        adam_g.zero_grad()
        fake_features = features(fake)
        loss_g = F.binary_cross_entropy_with_logits(judge(fake_features), ones)
        loss_g = loss_g + weight * F.mse_loss(fake_features.mean(0), real_features.detach().mean(0))
        loss_g.backward()
        adam_g.step()

    trained = population.state_dict()["tensors"]
    for module, matrix in ((g, trained[0]), (d, next(t for t in trained[1:] if t.shape[1:] == _flat(d).shape))):
        torch.testing.assert_close(matrix[0], _flat(module), rtol=1e-11, atol=1e-11)


def _flat(parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


# --- Statistics --------------------------------------------------------------------------------------------------


@every_strategy
def test_statistics_by_their_definitions(make, strategy):
    """At a rate of zero nothing moves, so the discriminator can be asked afterwards about the same batch."""
    population = make("mlp", range(3), strategy=strategy)
    shadow = make("mlp", range(3), strategy=strategy)
    stats = population.update(knobs(population, 0.0), 200)
    latents, data = shadow.draw_latents(4000), load_data("ring", count=200)
    fake = shadow.discriminate(shadow.sample(4000, latents))
    real = shadow.discriminate(data.samples.double().expand(3, -1, -1))
    # 800 samples each: the standard error of a share is at most 0.018.
    torch.testing.assert_close(stats.real_accuracy, (real > 0).double().mean(1), rtol=0, atol=0.08)
    torch.testing.assert_close(stats.fake_accuracy, (fake < 0).double().mean(1), rtol=0, atol=0.08)
    torch.testing.assert_close(stats.real_logit, real.mean(1), rtol=0, atol=0.05)
    torch.testing.assert_close(stats.fake_logit, fake.mean(1), rtol=0, atol=0.05)
    torch.testing.assert_close(stats.loss_g, F.softplus(-fake).mean(1), rtol=0, atol=0.05)
    loss_d = F.softplus(-real).mean(1) + F.softplus(fake).mean(1)
    torch.testing.assert_close(stats.loss_d, loss_d, rtol=0, atol=0.08)
    assert not stats.update_ratio_g.any() and not stats.update_ratio_d.any() and not stats.diverged.any()


@every_strategy
def test_update_ratio_is_step_over_weights(make, strategy):
    """With beta1 = 0 ... every step is what the optimizer would repeat: it is seen in the weights themselves."""
    population = make("mlp", [1, 2], strategy=strategy)
    population.update(knobs(population, 1e-3), 5)
    before = population.state_dict()["tensors"]
    stats = population.update(knobs(population, lr_g=torch.tensor([1e-3, 2e-3]), lr_d=3e-3), 1)
    after = population.state_dict()["tensors"]
    matrices = [index for index, tensor in enumerate(after) if tensor.dim() == 2 and tensor.shape[1] > 2]
    generator, discriminator = matrices[0], matrices[3]  # each is followed by Adam's two moments
    for index, ratio in ((generator, stats.update_ratio_g), (discriminator, stats.update_ratio_d)):
        expected = (after[index] - before[index]).norm(dim=1) / after[index].norm(dim=1)
        torch.testing.assert_close(ratio, expected, rtol=1e-8, atol=0)
    assert (stats.update_ratio_g > 0).all()


def test_a_pool_keeps_the_samples_and_reads_bytes_as_numbers_between_minus_one_and_one():
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    images[0, 0, 0, :3] = torch.tensor([0, 255, 51], dtype=torch.uint8)
    indices = torch.tensor([[1, 0, 1]])
    read = read_samples(store_samples(images), indices, torch.float64)
    assert read.shape == (1, 3, 3, 4, 4)
    torch.testing.assert_close(read, images[indices].double() / 127.5 - 1)
    torch.testing.assert_close(read[0, 1, 0, 0, :3], torch.tensor([-1.0, 1.0, -0.6], dtype=torch.float64))
    points = torch.tensor([[0.5, -3.0], [1.0, 2.0]])
    assert torch.equal(read_samples(store_samples(points), torch.tensor([1]), torch.float32), points[1:])


# --- Rows are independent ----------------------------------------------------------------------------------------


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


# --- Looking changes nothing -------------------------------------------------------------------------------------


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


# --- State -------------------------------------------------------------------------------------------------------


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


# --- Data --------------------------------------------------------------------------------------------------------


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


# --- Mistakes ----------------------------------------------------------------------------------------------------


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


# --- It learns ---------------------------------------------------------------------------------------------------


@every_strategy
def test_perceptrons_learn_the_ring(strategy):
    """Sorted projections on eight directions: the squared sliced Wasserstein distance falls by more than three."""
    data, count = load_data("ring"), 4
    population = GanPopulation(
        lambda: build("mlp", (2,), latent_size=8, width=64), count, batch_size=64, strategy=strategy
    )
    population.reset(range(count), [ReplicaSetup(seed, data) for seed in range(count)])
    angles = torch.arange(8) * torch.pi / 8
    directions = torch.stack([angles.cos(), angles.sin()])
    real = (data.samples[:500] @ directions).sort(0).values
    latents = population.draw_latents(500)

    def distance(samples: torch.Tensor, rows: range) -> torch.Tensor:
        return ((samples @ directions).sort(1).values - real).square().mean((1, 2))

    start = population.evaluate(distance, latents)
    for _ in itertools.repeat(None, 5):
        stats = population.update(knobs(population, 3e-3), 100)
    end = population.evaluate(distance, latents)
    assert not stats.diverged.any()
    assert (start > 0.9).all() and float((start / end).median()) > 3


# --- Optional knobs ----------------------------------------------------------------------------------------------


def moved(population: GanPopulation, steps: int, **changes) -> tuple[torch.Tensor, torch.Tensor]:
    """How often each row's generator and discriminator stepped in ``steps`` updates."""
    before = [player.adam.steps.clone() for player in (population._generator, population._discriminator)]
    population.update(knobs(population, **changes), steps)
    return (population._generator.adam.steps - before[0], population._discriminator.adam.steps - before[1])


@every_strategy
def test_the_update_ratio_gates_each_row_by_itself(make, strategy):
    """Discriminator steps per generator step: both begin at the first tick, and thirds are counted exactly."""
    population = make("mlp", range(5), strategy=strategy, knobs=("update_ratio",))
    ratios = torch.tensor([1.0, 3.0, 1 / 3, 8.0, 1 / 8], dtype=torch.float64)
    generator, discriminator = moved(population, 24, update_ratio=ratios)
    assert generator.tolist() == [24, 8, 24, 3, 24] and discriminator.tolist() == [24, 24, 8, 24, 3]
    # Counting goes on across calls: four times 6 ticks are 24 ticks.
    again = make("mlp", range(5), strategy=strategy, knobs=("update_ratio",))
    counts = [moved(again, 6, update_ratio=ratios) for _ in range(4)]
    assert torch.equal(sum(count[0] for count in counts), generator)


def test_a_ratio_of_one_and_a_fake_weight_of_one_change_nothing(make):
    plain, both = make("mlp", range(2)), make("mlp", range(2), knobs=("update_ratio", "fake_weight"))
    plain.update(knobs(plain), 5)
    both.update(knobs(both, update_ratio=1.0, fake_weight=1.0), 5)
    assert_close(plain, both, 1e-12)


def test_a_gated_network_stays_bit_for_bit(make):
    population = make("mlp", [0], knobs=("update_ratio",))
    moved(population, 1, update_ratio=8.0)  # the generator's first step
    weights = population._generator.parameters.matrix.clone()
    moved(population, 7, update_ratio=8.0)
    assert torch.equal(population._generator.parameters.matrix, weights)
    moved(population, 1, update_ratio=8.0)
    assert not torch.equal(population._generator.parameters.matrix, weights)


@pytest.mark.parametrize("strategy", ["looped", "stacked"])
@pytest.mark.parametrize("knob", ["r1_weight", "gp_weight", "fake_weight"])
def test_the_discriminators_step_by_hand(make, strategy, knob):
    """Without momentum Adam's first moment is the gradient: here derived sample by sample from the definition."""
    population = make("mlp", [2], strategy=strategy, knobs=(knob,))  # BETAS[2] has no momentum
    state_before = population.state_dict()
    lane = population._lanes[0]
    noise = population._draw(lane, 1, [True])
    population.load_state_dict(state_before, {data.fingerprint: data for data in population._data})
    pair = build("mlp", (2,), latent_size=3, width=8)
    initial = torch.Generator().manual_seed(2)
    initialise(pair.generator, initial)
    initialise(pair.discriminator, initial)
    generator, discriminator = pair.generator.double(), pair.discriminator.double()
    real = population._pool[noise.indices[0, 0]].double()
    fake = generator(noise.latents[0, 0]).detach()
    weight = 3.0
    loss = F.softplus(-discriminator(real)).mean()
    loss = loss + (weight if knob == "fake_weight" else 1.0) * F.softplus(discriminator(fake)).mean()
    if knob != "fake_weight":
        total = 0.0
        for index in range(BATCH):
            point = real[index] if knob == "r1_weight" else fake[index] + noise.mix[0, 0, index] * (real - fake)[index]
            point = point.clone().requires_grad_()
            (slope,) = torch.autograd.grad(discriminator(point[None])[0], point, create_graph=True)
            total = total + (slope.square().sum() / 2 if knob == "r1_weight" else (slope.norm() - 1) ** 2)
        loss = loss + weight * total / BATCH
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(discriminator.parameters()))])
    population.update(knobs(population, **{knob: weight}), 1)
    torch.testing.assert_close(population._discriminator.adam.exp_avg[0], expected, rtol=1e-6, atol=1e-9)
