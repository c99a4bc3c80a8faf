"""The progressive two-flow pair: scales, switches, and the head that looks for a lack of diversity."""

import copy
import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gan_backbones import GanPopulation, ReplicaSetup, build, initialise
from gan_backbones.layers import average_pool, dead_branches, fusion_weights, upsample
from gan_backbones.mspg import AuxiliaryHead, MspgOptions
from tests.gan_backbones.layer_tools import close, normal
from tests.gan_backbones.populations import knobs

SHAPE, SIZES = (1, 32, 32), {"latent_size": 4, "width": 2}
SWITCHES = [name for name, value in vars(MspgOptions()).items() if value is True]
every_form = pytest.mark.parametrize("lite", [True, False], ids=["lite", "dense"])


def make(seed=0, **options):
    pair, rng = build("mspg", SHAPE, **SIZES, **options), torch.Generator().manual_seed(seed)
    initialise(pair.generator.double(), rng)
    initialise(pair.discriminator.double(), rng)
    with torch.no_grad():  # less quiet than at the start
        for parameter in pair.generator.to_image.parameters():
            parameter.mul_(20)
    return pair


@pytest.mark.parametrize(("stage", "weights"), [(1.0, (0, 0, 1)), (0.5, (0, 1, 0)), (0.1, (1, 0, 0))])
def test_an_image_is_that_of_its_scale_enlarged(stage, weights):
    generator, latents = make().generator.eval(), normal(3, 4)
    scales = generator.scales(latents)
    assert [image.shape[-1] for image in scales] == [8, 16, 32]
    enlarged = [upsample(upsample(scales[0])), upsample(scales[1]), scales[2]]
    generator.stage.fill_(stage)
    close(generator(latents), sum(weight * image for weight, image in zip(weights, enlarged, strict=True)))
    assert all(torch.equal(one, other) for one, other in zip(scales, generator.scales(latents), strict=True))


def test_between_two_stages_images_mix_before_the_tanh():
    generator, latents = make().generator.eval(), normal(3, 4)
    _, middle, fine = (image.atanh() for image in generator.scales(latents))
    generator.stage.fill_(2**-0.25)
    close(generator(latents), (0.25 * upsample(middle) + 0.75 * fine).tanh(), 1e-6)


def test_a_coarse_discriminator_is_blind_to_detail_and_a_generator_without_it_untouched():
    discriminator, images = make().discriminator.eval(), normal(3, *SHAPE)
    smooth, block = upsample(average_pool(images)), upsample(upsample(average_pool(average_pool(images))))
    logits = {stage: [] for stage in (1.0, 0.5, 0.25)}
    for stage, seen in logits.items():
        discriminator.stage.fill_(stage)
        seen.extend(discriminator(one) for one in (images, smooth, block))
    assert not torch.allclose(logits[1.0][0], logits[1.0][1])
    close(logits[0.5][0], logits[0.5][1])
    assert not torch.allclose(logits[0.5][1], logits[0.5][2])
    close(logits[0.25][0], logits[0.25][2])


def test_parts_of_scales_that_are_not_shown_get_no_gradient():
    pair = make()
    pair.generator.stage.fill_(0.5)
    pair.discriminator.stage.fill_(0.5)
    pair.discriminator(pair.generator(normal(3, 4))).sum().backward()
    shown = [
        [bool(part.weight.grad.any()) for part in parts]
        for parts in (pair.generator.to_image, pair.discriminator.from_image)
    ]
    assert shown == [[True, True, False]] * 2


@pytest.mark.parametrize("scales", [1, 2])
def test_scales_that_are_not_shown_need_not_be_computed(scales):
    """The same images and logits at a stage that hides them, for less."""
    latents, images = normal(3, 4), normal(3, *SHAPE)
    results, flops = [], []
    for options in ({}, {"scales": scales}):
        pair = make(**options)
        for network in (pair.generator.eval(), pair.discriminator.eval()):
            network.stage.fill_(2.0 ** (scales - 3))
        with FlopCounterMode(display=False) as counter:
            results.append((pair.generator(latents), pair.discriminator(images)))
        flops.append(counter.get_total_flops())
        assert len(pair.generator.scales(latents)) == options.get("scales", 3)
    close(results[0][0], results[1][0])
    close(results[0][1], results[1][1])
    assert flops[1] < 0.75 * flops[0]


@pytest.mark.parametrize("strategy", ["looped", "stacked"])
def test_scales_that_are_not_computed_lie_idle(strategy, tiny_backbone):
    shape, sizes, data = tiny_backbone("mspg")
    population = GanPopulation(
        lambda: build("mspg", shape, **sizes, scales=1), 2, batch_size=4, strategy=strategy, knobs=("stage",), workers=1
    )
    population.reset([0, 1], [ReplicaSetup(seed, data) for seed in (1, 2)])
    before = [dict(network.state_dict()) for network in map(copy.deepcopy, population.networks(1))]
    population.update(knobs(population, 1e-2, stage=torch.full((2,), 0.5)), 2)
    generator, discriminator = population.networks(1)
    for network, old, idle in (
        (generator, before[0], ("blocks.1.", "to_image.1.", "enlarge.")),
        (discriminator, before[1], ("from_image.1.", "reduce.", "second_head.")),
    ):
        for name, parameter in network.named_parameters():
            assert torch.equal(parameter, old[name]) == name.startswith(idle), name


@every_form
@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_changes_what_is_learned(tiny_backbone, switch, lite):
    """Two updates of each form from one seed; every form runs in both strategies to the same end."""
    shape, sizes, data = tiny_backbone("mspg")
    outputs = []
    for value, strategy in itertools.product([True, False], ["looped", "stacked"]):
        options = sizes | {"lite": lite, switch: value}
        pair = build("mspg", shape, **options)
        chosen = [name for name in ("aux_weight",) if name in pair.knobs]
        population = GanPopulation(
            lambda options=options: build("mspg", shape, **options),
            2,
            batch_size=4,
            strategy=strategy,
            knobs=chosen,
            workers=1,
            dtype=torch.float64,
        )
        population.reset([0, 1], [ReplicaSetup(seed, data) for seed in (1, 2)])
        population.update(knobs(population, 1e-2), 2)
        outputs.append(population.sample(3, normal(2, 3, 4)))
    with_it, with_it_stacked, without, without_stacked = outputs
    close(with_it, with_it_stacked, 1e-8)
    close(without, without_stacked, 1e-8)
    assert float((with_it - without).abs().max()) > 1e-6


def test_lite_has_fewer_parameters_and_another_output():
    lite, dense = (make(lite=lite).generator for lite in (True, False))
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (lite, dense)]
    assert counts[0] < counts[1]
    assert not torch.allclose(lite(normal(3, 4)), dense(normal(3, 4)))


def test_the_second_head_judges_a_batch_by_its_spread():
    """What has been seen of a sample by itself is the same; the rest of its batch is not."""
    discriminator, features = make().discriminator.eval(), normal(4, 128)
    alike = features[:1].expand(4, -1)
    assert not torch.allclose(discriminator.auxiliary(features)[0], discriminator.auxiliary(alike)[0])
    close(discriminator.classify(features)[0], discriminator.classify(alike)[0])
    with pytest.raises(ValueError, match="option auxiliary is off"):
        make(auxiliary=False).discriminator.auxiliary(features)


def test_the_second_head_by_hand():
    head = AuxiliaryHead(2, 3).double()
    initialise(head, torch.Generator().manual_seed(0))
    head.eval()
    maps = normal(4, 5, 2)  # a batch of four, five regions, two channels
    deviations = maps.std(0, correction=0)
    first, second, last = (
        layer.spectral_norm(layer.weight) for layer in (head.of_features, head.of_deviations, head.head)
    )
    expected = torch.zeros(4, dtype=torch.float64)
    for sample, region in itertools.product(range(4), range(5)):
        hidden = first @ maps[sample, region] + head.of_features.bias + second @ deviations[region]
        logit = last[0] @ torch.where(hidden > 0, hidden, 0.2 * hidden) + head.head.bias[0]
        expected[sample] += logit / 5
    close(head(maps), expected, 1e-7)


def test_fusion_weights_of_every_block_are_seen():
    generator = make().generator
    generator(normal(3, 4))
    table = fusion_weights(generator)
    assert list(table) == ["blocks.0.dema", "blocks.1.dema", "blocks.2.dema"]
    for weights in table.values():
        assert float(sum(weights.values())) == pytest.approx(1.0)
    assert not dead_branches(generator)
    assert not fusion_weights(make().discriminator)


def test_a_short_run_stays_finite_with_all_terms(tiny_backbone):
    shape, sizes, data = tiny_backbone("mspg")
    extra = ("fm_weight", "contrastive_weight", "aux_weight", "stage")
    population = GanPopulation(
        lambda: build("mspg", shape, **sizes), 4, batch_size=8, strategy="stacked", knobs=extra, workers=1
    )
    population.reset(range(4), [ReplicaSetup(seed, data) for seed in range(4)])
    stages = torch.tensor([1.0, 0.5, 0.7, 0.0625])
    for _ in range(4):
        assert not population.update(knobs(population, 2e-3, stage=stages), 30).diverged.any()
    assert population.sample(4).isfinite().all()
