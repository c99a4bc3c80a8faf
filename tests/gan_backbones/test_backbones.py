"""Every generator/discriminator pair in the table, and the table itself."""

import copy
import dataclasses

import pytest
import torch

from gan_backbones import BACKBONES, Backbone, build, initialise, register_backbone
from gan_backbones.dcgan import DcganOptions

BATCH = 6


@pytest.fixture
def pair(tiny_backbone, backbone):
    shape, options, _ = tiny_backbone(backbone)
    pair = build(backbone, shape, **options)
    rng = torch.Generator().manual_seed(0)
    initialise(pair.generator, rng)
    initialise(pair.discriminator, rng)
    return pair


@pytest.mark.parametrize("backbone", BACKBONES)
def test_shapes(tiny_backbone, pair, backbone, rng):
    shape, options, _ = tiny_backbone(backbone)
    assert pair.latent_size == options["latent_size"]
    samples = pair.generator(torch.randn(BATCH, pair.latent_size, generator=rng))
    assert samples.shape == (BATCH, *shape)
    features = pair.discriminator.features(samples)
    assert features.shape[0] == BATCH
    logits = pair.discriminator.classify(features)
    assert logits.shape == (BATCH,)
    discriminator = pair.discriminator.eval()
    assert torch.equal(discriminator(samples), discriminator.classify(discriminator.features(samples)))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_images_lie_between_minus_one_and_one(tiny_backbone, pair, backbone, rng):
    samples = pair.generator(1000 * torch.randn(BATCH, pair.latent_size, generator=rng))
    with torch.no_grad():
        for parameter in pair.generator.parameters():
            parameter.mul_(100)  # far from the quiet start
        louder = pair.generator(1000 * torch.randn(BATCH, pair.latent_size, generator=rng))
    assert samples.isfinite().all() and louder.isfinite().all()
    if len(tiny_backbone(backbone)[0]) == 3:
        assert samples.abs().max() <= 1
        assert 0.9 < louder.abs().max() <= 1


def test_a_dcgan_discriminator_without_spectral_norm_is_only_its_weights(rng):
    def logits(**options):
        pair = build("dcgan", (3, 16, 16), width=4, latent_size=4, **options)
        initialise(pair.discriminator, torch.Generator().manual_seed(0))
        with torch.no_grad():
            for parameter in pair.discriminator.parameters():
                parameter.mul_(10)
        return pair.discriminator, pair.discriminator(images).abs().mean()

    images = torch.randn(BATCH, 3, 16, 16, generator=rng)
    (normed, small), (plain, large) = logits(), logits(spectral_norm=False)
    assert list(normed.buffers()) and not list(plain.buffers())
    assert large > 10 * small, "only spectral norm does not care for the size of the weights"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_gradients_reach_every_parameter(pair, backbone, rng):
    samples = pair.generator(torch.randn(BATCH, pair.latent_size, generator=rng))
    weights = torch.randn(BATCH, generator=rng)
    features = pair.discriminator.features(samples)
    verdicts = [pair.discriminator.classify(features)]
    if "aux_weight" in pair.knobs:
        verdicts.append(pair.discriminator.auxiliary(features))
    (torch.stack(verdicts) * weights).sum().backward()
    for module in (pair.generator, pair.discriminator):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("backbone", BACKBONES)
def test_samples_and_logits_depend_on_their_inputs(pair, backbone, rng):
    latents = torch.randn(2, pair.latent_size, generator=rng)
    one, other = pair.generator.eval()(latents)
    assert not torch.allclose(one, other)
    first, second = pair.discriminator.eval()(torch.stack([one, other]))
    assert first != second


@pytest.mark.parametrize("backbone", BACKBONES)
def test_initialise_is_deterministic_by_its_generator(tiny_backbone, backbone):
    shape, options, _ = tiny_backbone(backbone)
    global_state = torch.get_rng_state()
    pairs = [build(backbone, shape, **options) for _ in range(3)]
    pairs[1] = copy.deepcopy(pairs[2])
    pairs[1].generator(torch.randn(BATCH, pairs[1].latent_size, generator=torch.Generator()))  # buffers have moved
    for pair, seed in zip(pairs, (1, 1, 2), strict=True):
        rng = torch.Generator().manual_seed(seed)
        initialise(pair.generator, rng)
        initialise(pair.discriminator, rng)
    states = [[*pair.generator.state_dict().values(), *pair.discriminator.state_dict().values()] for pair in pairs]
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))
    assert torch.equal(global_state, torch.get_rng_state()), "nothing may be drawn from the global generator"


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name != "mlp"])
def test_every_resolution(backbone, resolution, rng):
    pair = build(backbone, (3, resolution, resolution), latent_size=4, width=2)
    initialise(pair.generator, rng)
    initialise(pair.discriminator, rng)
    images = pair.generator(torch.randn(2, 4, generator=rng))
    assert images.shape == (2, 3, resolution, resolution)
    assert pair.discriminator(images).shape == (2,)


BAD_BUILDS = {
    "unknown name": ("dcgam", (1, 16, 16), {}, "unknown backbone 'dcgam'; known: .*mlp"),
    "unknown option": ("mlp", (2,), {"widht": 4}, "unknown option 'widht'.*known: latent_size, width"),
    "option of another": ("mlp", (2,), {"channels": 4}, "unknown option 'channels'.*known: latent_size, width"),
    "bad mlp value": ("mlp", (2,), {"width": 0}, "at least 1"),
    "bad dcgan value": ("dcgan", (1, 16, 16), {"latent_size": 0}, "at least 1"),
    "points for images": ("dcgan", (2,), {}, "makes images.*use 'mlp'"),
    "images for points": ("mlp", (1, 16, 16), {}, "makes points.*use 'dcgan'"),
    "not a power of two": ("dcgan", (3, 24, 24), {}, "power of two from 16.*24x24"),
    "too small": ("dcgan", (3, 8, 8), {}, "power of two from 16.*8x8"),
    "points for scales": ("mspg", (2,), {}, "makes images.*use 'mlp'"),
    "too large": ("mspg", (3, 256, 256), {}, "square images of 16, 32, 64, 128 pixels, not 256x256"),
    "a switch that is none": ("mspg", (3, 16, 16), {"lite": 1}, "mspg: lite must be true or false, not 1"),
    "one scale of one": ("mspg", (3, 16, 16), {"progression": False, "scales": 1}, "without progression there is one"),
    "nothing left": ("mspg", (3, 16, 16), {"local_flow": False, "global_flow": False}, "at least one of local_flow"),
    "not square": ("dcgan", (3, 16, 32), {}, "square.*16x32"),
}


@pytest.mark.parametrize("case", BAD_BUILDS)
def test_errors_are_one_clear_line(case):
    name, shape, options, message = BAD_BUILDS[case]
    with pytest.raises(ValueError, match=message) as caught:
        build(name, shape, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_options_that_are_no_whole_numbers_are_refused(tiny_backbone, backbone):
    shape, options, _ = tiny_backbone(backbone)
    for wrong in ("wide", 2.5, None):
        with pytest.raises(ValueError, match="width"):
            build(backbone, shape, **(options | {"width": wrong}))


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="'mlp' is registered already"):
        register_backbone(Backbone("mlp", DcganOptions, lambda shape, options: None))
    assert BACKBONES["mlp"].options is not DcganOptions


@pytest.mark.parametrize("backbone", BACKBONES)
def test_options_are_frozen_and_have_defaults(backbone):
    options = BACKBONES[backbone].options()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.width = 3
