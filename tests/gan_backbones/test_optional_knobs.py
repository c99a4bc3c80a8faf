"""Knobs beside the rates: the update ratio and the weights in the discriminator's loss."""

import pytest
import torch
import torch.nn.functional as F

from gan_backbones import PAIR_KNOBS, REGULARISERS, GanPopulation, ReplicaSetup, build, initialise
from gan_backbones.layers import average_pool, upsample
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


@every_strategy
def test_the_auxiliary_term_by_hand(make, tiny_backbone, strategy):
    """Without momentum Adam's first moment is the gradient: four terms for each network, from their definitions."""
    shape, sizes, data = tiny_backbone("mspg")
    weights = {"fm_weight": 0.3, "contrastive_weight": 0.6, "aux_weight": 2.0}
    population = make("mspg", [2], strategy=strategy, knobs=tuple(weights))  # BETAS[2] has no momentum
    pair, initial = build("mspg", shape, **sizes), torch.Generator().manual_seed(2)
    initialise(pair.generator, initial)
    initialise(pair.discriminator, initial)
    generator, discriminator = pair.generator.double(), pair.discriminator.double()
    draws = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=initial)))
    latents = torch.empty(BATCH, sizes["latent_size"], dtype=torch.float64).normal_(generator=draws)
    real = data.samples[torch.empty(BATCH, dtype=torch.int64).random_(0, len(data), generator=draws)].double()
    fake = generator(latents)

    def judge(images):
        features = discriminator.features(images)
        return features, discriminator.classify(features), discriminator.auxiliary(features)

    features = discriminator.features(torch.cat([real / 127.5 - 1, fake.detach()]))  # one pass: spectral norm moves
    real_logits, fake_logits = discriminator.classify(features).chunk(2)
    verdicts = [discriminator.auxiliary(half) for half in features.chunk(2)]
    loss = (F.softplus(-real_logits) + F.softplus(fake_logits)).mean()
    loss = loss + 2.0 * (F.softplus(-verdicts[0]) + F.softplus(verdicts[1])).mean()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(discriminator.parameters()))])
    rates = {"lr_g": 1e-3, "lr_d": 0.0}  # the generator's step then sees the discriminator that is here
    population.update(knobs(population, **rates, **weights), 1)
    torch.testing.assert_close(population._discriminator.adam.exp_avg[0], expected, rtol=1e-6, atol=1e-9)

    real_features = features.detach().chunk(2)[0]
    fake_features, fake_logits, _ = judge(fake)
    loss = F.softplus(-fake_logits).mean()
    for name in ("feature_matching", "contrastive"):
        term = REGULARISERS[name]
        loss = loss + weights[term.knob] * term.penalty(real_features, fake_features)
    loss = loss + 2.0 * F.softplus(-discriminator.auxiliary(fake_features)).mean()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(generator.parameters()))])
    torch.testing.assert_close(population._generator.adam.exp_avg[0], expected, rtol=1e-6, atol=1e-9)


@every_strategy
def test_each_row_has_its_stage(make, strategy):
    """At 16 pixels there are two scales; a row at half the resolution shows no detail within 2x2 pixels."""
    population, fresh = (make("mspg", range(3), strategy=strategy, knobs=("stage",), workers=1) for _ in range(2))
    latents = population.draw_latents(4)
    stages = torch.tensor([1.0, 0.5, 2**-0.5], dtype=torch.float64)
    population.update(knobs(population, 0.0, stage=stages), 1)
    fine, coarse, between = population.sample(4, latents)

    def detail(images):
        return (images - upsample(average_pool(images))).abs().max()

    assert detail(coarse) == 0 < detail(between) < detail(fine)
    networks = [population.networks(row) for row in range(3)]
    assert [float(generator.stage) for generator, _ in networks] == pytest.approx(stages.tolist())
    # And it sees none: pixels that keep their 2x2 means keep the logits.
    noise = torch.rand(3, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = upsample(average_pool(noise))
    changed = (population.discriminate(noise) - population.discriminate(smooth)).abs().amax(1)
    assert changed[1] < 1e-12 and changed[2] > 1e-6 and changed[0] > changed[2]
    # Idle rows keep theirs, a reset starts at the finest, and a state brings it back.
    saved = population.state_dict()
    population.update(knobs(population, 0.0, stage=1.0), 1, torch.tensor([True, False, True]))
    assert detail(population.sample(4, latents)[1]) == 0
    population.reset([1], [ReplicaSetup(1, population._data[1])])
    torch.testing.assert_close(population.sample(4, latents)[1], fresh.sample(4, latents)[1])
    population.load_state_dict(saved, {data.fingerprint: data for data in population._data})
    assert torch.equal(population.sample(4, latents)[1], coarse)


def test_networks_follow_their_row(make):
    population = make("mspg", range(2))
    population.update(knobs(population, 1e-2), 2)
    generator, discriminator = population.networks(1)
    latents = population.draw_latents(3)
    samples = population.sample(3, latents)
    torch.testing.assert_close(generator(latents[1]), samples[1])
    torch.testing.assert_close(discriminator(samples[1]), population.discriminate(samples)[1])
    population.update(knobs(population, 1e-2), 1)
    torch.testing.assert_close(generator(latents[1]), population.sample(3, latents)[1])


@pytest.mark.parametrize("knob", PAIR_KNOBS)
def test_networks_that_are_not_made_for_a_knob_refuse_it(tiny_backbone, knob):
    switch = {"aux_weight": "auxiliary", "stage": "progression"}[knob]
    for backbone, options in (("dcgan", {}), ("mspg", {switch: False})):
        shape, sizes, _ = tiny_backbone(backbone)
        pair = build(backbone, shape, **sizes, **options)
        with pytest.raises(ValueError, match=f"not made for knob '{knob}'; those of backbone 'mspg' are") as caught:
            GanPopulation(lambda pair=pair: pair, 1, batch_size=BATCH, knobs=(knob,))
        assert "\n" not in str(caught.value)
