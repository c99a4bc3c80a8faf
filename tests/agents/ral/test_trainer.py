"""Updates of reinforced adversarial learning."""

import pytest
import torch

from agents.ral import RalOptions, RalTrainer, Windows
from agents.ral.rendering import DecodedImages, OneHotMaps
from gan_backbones import LOSSES
from gan_backbones.patch_critic import PatchCritic, PatchCriticOptions
from gan_backbones.prior import CodePrior, PriorOptions
from gan_backbones.vqvae import VqVae, VqVaeOptions

SMALL = PriorOptions(channels=16, layers=1, heads=2)
QUICK = {"batch_size": 32, "warm_up": 0}


def of_maps(codes, options, seed=0, count=2, side=2):
    rng = torch.Generator().manual_seed(seed)
    prior = CodePrior(count, side**2, SMALL, rng)
    critic = PatchCritic(count, 1, PatchCriticOptions(width=8, layers=1), rng)
    shape = (side, side)
    return RalTrainer(prior, critic, codes, (shape,), OneHotMaps(codes, shape, count), options, rng)


def of_images(options, against="images", decoder_learning_rate=1e-3, levels=2):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (40, 1, 16, 16), generator=rng, dtype=torch.uint8)
    vqvae = VqVae(1, 16, VqVaeOptions(width=8, code_size=4, codes=6, levels=levels), rng)
    vqvae(images.float() / 127.5 - 1, rng)
    codes = vqvae.eval().encode(images.float() / 127.5 - 1)
    rendering = DecodedImages(vqvae, images, codes, against, decoder_learning_rate, 1.0)
    prior = CodePrior(6, vqvae.length, SMALL, rng)
    critic = PatchCritic(1, 4, PatchCriticOptions(width=8, layers=1), rng)
    return RalTrainer(prior, critic, codes, vqvae.maps, rendering, options, rng), vqvae


@pytest.mark.parametrize("loss", ["wasserstein", "hinge"])
def test_it_learns_what_the_data_are_from_the_discriminator_alone(loss):
    """Every map is ones; no likelihood term tells the prior so."""
    rates = {"learning_rate": 5e-3, "critic_learning_rate": 5e-3, "penalty_weight": 1.0, "discount": 0.9}
    trainer = of_maps(
        torch.ones(50, 4, dtype=torch.int64),
        RalOptions(batch_size=32, warm_up=30, loss=loss, **rates, likelihood_weight=0),
    )
    for _ in range(70):
        stats = trainer.update()
    assert trainer.prior.sample(200, torch.Generator().manual_seed(1)).float().mean() > 0.9
    assert stats.divergence > 0.1


def test_a_tight_leash_holds_it():
    options = RalOptions(**QUICK, learning_rate=5e-3, critic_learning_rate=5e-3, likelihood_weight=0, kl_weight=100.0)
    trainer = of_maps(torch.ones(50, 4, dtype=torch.int64), options)
    for _ in range(40):
        stats = trainer.update()
    assert stats.divergence < 0.02


def test_likelihood_and_entropy_pull_their_ways():
    data = torch.ones(50, 4, dtype=torch.int64)
    quiet = {"learning_rate": 5e-3, "kl_weight": 0.0}
    mixed = of_maps(data, RalOptions(**QUICK, **quiet, likelihood_weight=100.0))
    random = of_maps(data, RalOptions(**QUICK, **quiet, likelihood_weight=0.0, entropy_weight=100.0))
    for _ in range(40):
        told = mixed.update(), random.update()
    assert told[0].nll < 0.1
    assert told[1].entropy > 0.65  # of at most ln 2


def test_the_warm_up_leaves_the_prior_alone():
    trainer = of_maps(torch.ones(9, 4, dtype=torch.int64), RalOptions(batch_size=8, warm_up=2))
    before = [p.clone() for p in trainer.prior.parameters()]
    scores = [p.clone() for p in trainer.critic.parameters()]
    trainer.update(), trainer.update()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.prior.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(scores, trainer.critic.parameters(), strict=True))
    trainer.update()
    assert not all(torch.equal(a, b) for a, b in zip(before, trainer.prior.parameters(), strict=True))


@pytest.mark.parametrize("windows", [Windows(), Windows(0.5, 0.5), Windows(0.5, 1, "backwards")])
def test_the_same_seed_is_the_same_run_whatever_the_global_state(windows):
    def run():
        rng = torch.Generator().manual_seed(4)
        trainer = of_maps(torch.randint(2, (20, 16), generator=rng), RalOptions(**QUICK, windows=windows), side=4)
        return [trainer.update() for _ in range(3)]

    first = run()
    torch.rand(5)
    assert first == run()


@pytest.mark.parametrize("levels", [1, 2])
def test_the_decoder_learns_where_it_is_told_to(levels):
    trainer, vqvae = of_images(RalOptions(**QUICK), levels=levels)
    before = {name: value.clone() for name, value in vqvae.state_dict().items()}
    for _ in range(2):
        trainer.update()
    tuned = {id(parameter) for parameter in vqvae.decoder_parameters()}
    parameters = dict(vqvae.named_parameters())
    for name, value in vqvae.state_dict().items():
        changed = not torch.equal(value, before[name])
        assert changed == (name in parameters and id(parameters[name]) in tuned), name


def test_a_fixed_decoder_stays_and_reconstructions_are_decoded_codes():
    trainer, vqvae = of_images(RalOptions(**QUICK), "reconstructions", 0.0)
    before = {name: value.clone() for name, value in vqvae.state_dict().items()}
    trainer.update()
    assert all(torch.equal(value, before[name]) for name, value in vqvae.state_dict().items())
    rows = torch.tensor([3, 5])
    rendering = trainer.rendering
    assert torch.equal(rendering.real(rows), rendering.fake(rendering.codes[rows]))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_gives_finite_figures(loss):
    trainer = of_maps(torch.ones(9, 4, dtype=torch.int64), RalOptions(batch_size=8, warm_up=0, loss=loss))
    assert all(abs(value) < 1e6 for value in vars(trainer.update()).values())


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"kl_weight": -1.0},
        {"learning_rate": 0.0},
        {"loss": "gold"},
        {"credit": "all"},
        {"discount": 1.1},
    ],
)
def test_impossible_options(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        RalOptions(**change)


def test_parts_that_disagree():
    with pytest.raises(ValueError, match="4 codes"):
        of_maps(torch.ones(9, 5, dtype=torch.int64), RalOptions())
    with pytest.raises(ValueError, match="sketches"):
        of_images(RalOptions(), "sketches")
