"""One GAN under a controller: the same training as anywhere, its average, its growth, its end."""

import copy
import dataclasses

import pytest
import torch

from agents.controllers import find_controller
from agents.gan_training import GanTraining
from agents.growth import Growth, scales_of
from gan_backbones import GanPopulation, ReplicaSetup, build, load_gan
from gan_backbones.data import load_data
from gan_env import EnvConfig
from gan_env.instances import Task

SIZES = (("latent_size", 4), ("lite", True), ("width", 2))
TASK = Task(
    data="digits",
    resolution=16,
    backbone="mspg",
    backbone_options=SIZES,
    batch_size=4,
    updates_per_step=2,
    decisions=8,
    metric="",
    worst_grade=1.0,
    worst_proxy=1.0,
    proxy_samples=4,
    grade_samples=4,
)
LATENTS = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def make(rule="noop", growth=None, constants=(), task=TASK, **options):
    controller = find_controller(rule)
    config = EnvConfig(
        knobs=("lr_g", "lr_d"),
        constants=constants,
        reward="stability",
        measure_quality=False,
        workers=1,
        **controller.settings,
    )
    instance = task.instance(1e-3, 2e-3, 3)
    return GanTraining(config, task, instance, controller.build(config), growth=growth, **options)


def growing(share=0.5, **options):
    growth = Growth(2, share)
    return make(growth=growth, constants=(("stage", growth.stage(0.0)),), **options)


def images(training, kind="raw"):
    with torch.no_grad():
        return training.generators()[kind](LATENTS).clone()


def test_it_is_the_population_s_training():
    training = make()
    for _ in range(3):
        training.step()
    population = GanPopulation(lambda: build("mspg", (1, 16, 16), **dict(SIZES)), 1, batch_size=4, workers=1)
    population.reset([0], [ReplicaSetup(3, load_data("digits", resolution=16))])
    for _ in range(3):
        population.update({"lr_g": torch.tensor([1e-3]), "lr_d": torch.tensor([2e-3])}, 2)
    torch.testing.assert_close(images(training), population.sample(5, LATENTS[None])[0])
    assert training.updates == 6 and training.ended is None


@pytest.mark.parametrize("growth", [Growth(3, 0.8), Growth(5, 0.5), Growth(2, 1.0)], ids=str)
def test_scales_come_one_after_the_other(growth):
    steps = growth.scales - 1
    unit = growth.share / steps
    assert growth.position(0) == 0 and growth.computed(0) == 1
    for scale in range(steps):
        start = scale * unit
        assert growth.position(start + 0.49 * unit) == pytest.approx(scale)
        assert growth.position(start + 0.75 * unit) == pytest.approx(scale + 0.5)
        assert growth.computed(start + 0.75 * unit) == scale + 2
        assert growth.stage(start + 0.49 * unit) == pytest.approx(2.0 ** (scale - steps))
    for done in {growth.share, 1.0}:
        assert growth.stage(done) == 1 and growth.computed(done) == growth.scales


def test_only_networks_with_scales_grow():
    assert scales_of(TASK, (1, 16, 16)) == 2
    assert scales_of(TASK, (1, 64, 64)) == 4
    for other in (
        dataclasses.replace(TASK, backbone_options=(*SIZES, ("progression", False))),
        dataclasses.replace(TASK, backbone="dcgan", backbone_options=()),
    ):
        with pytest.raises(ValueError, match="does not grow; 'mspg' does"):
            scales_of(other, (1, 16, 16))


def test_growth_goes_on_from_what_was_learned():
    training = growing(ema_halflife=4.0)
    stages, computed = [], []
    for decision in range(8):
        before = images(training)
        average = images(training, training.average_name)
        old = training.core
        if decision == 3:  # the second scale has just begun to be computed; it fades in from the next decision on
            weights = copy.deepcopy(training.generator.state_dict())
            draws = [rng.get_state() for rng in old.population._train_rng]
            training._grow(training._growth, decision / 8)
            assert training.core is not old
            training.core.constants["stage"].fill_(0.5)
            for name, value in training.generator.state_dict().items():
                assert torch.equal(value, weights[name]), name
            torch.testing.assert_close(images(training), before)
            torch.testing.assert_close(images(training, training.average_name), average)
            assert not any(tensor.any() for tensor in training.core.population._generator.adam.tensors())
            assert all(map(torch.equal, [rng.get_state() for rng in training.core.population._train_rng], draws))
        training.step()
        assert training.updates == 2 * (decision + 1)
        stages.append(float(training.core.constants["stage"][0]))
        computed.append(training.generator.computed)
    assert computed == [1, 1, 1, 2, 2, 2, 2, 2]
    assert stages == pytest.approx([0.5, 0.5, 0.5, 2**-0.5, 1, 1, 1, 1])
    assert training.core.observations([0]).shape[1] == len(training.core.observer.names)
    blocks = torch.nn.functional.interpolate(images(training)[..., ::2, ::2], scale_factor=2.0)
    assert not torch.equal(images(training), blocks)  # there is detail at 16 pixels now


def test_the_average_by_hand(tmp_path):
    training = make(ema_halflife=2.0)  # one decision: half the weight is new
    expected = None
    for _ in range(4):
        training.step()
        present = [parameter.detach().clone() for parameter in training.generator.parameters()]
        expected = present if expected is None else [(a + b) / 2 for a, b in zip(expected, present, strict=True)]
    average = training.generators()["EMA, half-life 2 updates"]
    for one, other in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(average.buffers(), training.generator.buffers(), strict=True):
        assert torch.equal(one, other)
    training.save(tmp_path, {"data": "digits"})
    for file, name in (("gan", "raw"), ("gan-ema", "EMA, half-life 2 updates")):
        generator, _, meta = load_gan(tmp_path / f"{file}.safetensors")
        assert meta.notes == {"data": "digits", "updates": 8, "weights": name}
        with torch.no_grad():
            torch.testing.assert_close(generator(LATENTS), images(training, name))


def test_without_an_average_there_is_one_generator(tmp_path):
    training = make("cosine")
    training.step()
    training.save(tmp_path, {})
    assert list(training.generators()) == ["raw"]
    assert [path.name for path in tmp_path.iterdir()] == ["gan.safetensors"]


def test_divergence_ends_it():
    training = make("apfl")
    training.step()
    with torch.no_grad():
        next(training.generator.parameters()).fill_(torch.nan)
    training.step()
    assert training.ended == "diverged"
