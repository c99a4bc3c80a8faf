"""Knobs beside the rates: the update ratio and the weights in the discriminator's loss."""

import pytest
import torch
import torch.nn.functional as F

from gan_backbones import GanPopulation, build, initialise
from tests.gan_backbones.populations import BATCH, assert_close, every_strategy, knobs


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
