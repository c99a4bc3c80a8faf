"""The two strategies of the only trainer against each other and against plain PyTorch; it learns."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from gan_backbones import GanPopulation, ReplicaSetup, build, initialise
from gan_backbones.data import load_data
from gan_backbones.lane import read_samples
from gan_backbones.population import STRATEGIES
from tests.gan_backbones.populations import (
    BATCH,
    BETAS,
    assert_close,
    assert_rows_equal,
    every_backbone,
    every_backbone_and_knob,
    every_strategy,
    knobs,
    state,
    statistics,
)


@every_backbone_and_knob
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


@every_backbone_and_knob
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
    read = read_samples(images, indices, torch.float64)
    assert read.shape == (1, 3, 3, 4, 4)
    torch.testing.assert_close(read, images[indices].double() / 127.5 - 1)
    torch.testing.assert_close(read[0, 1, 0, 0, :3], torch.tensor([-1.0, 1.0, -0.6], dtype=torch.float64))
    points = torch.tensor([[0.5, -3.0], [1.0, 2.0]])
    assert torch.equal(read_samples(points, torch.tensor([1]), torch.float32), points[1:])


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
