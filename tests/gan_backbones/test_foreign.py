"""Pairs of ordinary modules: what is refused at registration, and that those accepted train like any other."""

import pytest
import torch
from torch import nn

from gan_backbones import BACKBONES, GanPopulation, ReplicaSetup, build, register_gan
from gan_backbones.data import load_data

LATENT = 3


def generator(size=2, *extra):
    return nn.Sequential(nn.Linear(LATENT, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, size), *extra)


def discriminator(size=2, *extra):
    return nn.Sequential(nn.Linear(size, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), *extra)


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Registrations of a test end with it."""
    monkeypatch.setattr("gan_backbones.backbone._BACKBONES", table := dict(BACKBONES))
    monkeypatch.setattr("gan_backbones.backbone.BACKBONES", table)


def register(make_generator=generator, make_discriminator=discriminator, shape=(2,)):
    register_gan("mine", lambda _: (make_generator(), make_discriminator()), latent_size=LATENT, example_shape=shape)


class Idle(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, samples):
        return self.used(samples)


def frozen():
    module = discriminator()
    module[0].weight.requires_grad_(False)
    return module


def irreproducible():
    module = discriminator()
    with torch.no_grad():
        module[0].weight.normal_(generator=torch.Generator().manual_seed(int(torch.seed() % 2**31)))
    return module


REFUSED = {
    r"the generator gave torch.Size\(\[4, 3\]\) for 4 latents": {"make_generator": lambda: generator(3)},
    "the generator does not take latents": {"make_generator": lambda: nn.Linear(7, 2)},
    "the discriminator must give one logit per sample": {"make_discriminator": lambda: nn.Linear(2, 5)},
    "verdict on a sample depends on the others": {
        "make_discriminator": lambda: nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.LeakyReLU(), nn.Linear(8, 1))
    },
    "parameter module.unused.weight of the discriminator gets no gradient": {"make_discriminator": Idle},
    "both networks need parameters": {"make_discriminator": lambda: nn.Flatten()},
    "module.0.weight is frozen": {"make_discriminator": frozen},
    "differs between two builds from one seed": {"make_discriminator": irreproducible},
    "draws random numbers": {"make_discriminator": lambda: nn.Sequential(nn.Dropout(), nn.Linear(2, 1))},
    "build failed": {"make_discriminator": lambda: nn.Linear(2, None)},
    "must be finite": {
        "make_generator": lambda: nn.Sequential(nn.Linear(LATENT, 12), nn.Unflatten(1, (3, 2, 2)), Scale(100)),
        "make_discriminator": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 1)),
        "shape": (3, 2, 2),
    },
}


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, samples):
        return self.factor * samples


@pytest.mark.parametrize("reason", REFUSED)
def test_what_could_not_be_trained_is_refused_in_one_line(reason):
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=reason) as caught:
        register(**REFUSED[reason])
    assert "\n" not in str(caught.value).rstrip() and "'mine'" in str(caught.value)
    if reason != "differs between two builds from one seed":  # that one re-seeds torch on purpose
        assert torch.equal(before, torch.get_rng_state())


def test_another_shape_is_tried_when_it_is_first_built():
    register()
    build("mine", (2,))
    with pytest.raises(ValueError, match=r"backbone 'mine' for samples of shape \(3,\): the generator gave"):
        build("mine", (3,))


def test_it_trains_reproducibly_row_by_row():
    register()
    data = load_data("ring", count=200)

    def make(*seeds):
        population = GanPopulation(lambda: build("mine", (2,)), len(seeds), batch_size=8, knobs=("fm_weight",))
        population.reset(range(len(seeds)), [ReplicaSetup(seed, data) for seed in seeds])
        return population

    def train(population):
        knobs = {name: torch.full((population.size,), 1e-2) for name in population.knob_names}
        population.update(knobs, 5)
        return population.sample(6, torch.ones(population.size, 6, LATENT))

    three, two = train(make(1, 2, 3)), train(make(2, 3))
    assert torch.equal(three[1:], two), "a row depends on its seed alone"
    assert not torch.equal(three[0], three[1])
    population = make(1)
    assert population.strategy == "looped"
    first = train(population)
    population.reset([0], [ReplicaSetup(1, data)])
    assert torch.equal(train(population), first)
