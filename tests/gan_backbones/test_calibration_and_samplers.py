"""Calibration against a known law, and every sampler against the distribution that it is meant to reach."""

import inspect

import pytest
import torch

from gan_backbones.calibration import Calibration, calibrate
from gan_backbones.latent_samplers import (
    CHEAP_SAMPLERS,
    SAMPLERS,
    Drawn,
    exhaustive,
    langevin,
    metropolis_hastings,
    rejection,
    truncation,
)


def test_calibration_finds_the_scale_and_offset_of_a_wrong_logit(rng):
    """Unit Gaussians at +-1 have the exact logit 2 x; the discriminator says (2 x - 3) / 5."""
    real, fake = torch.randn(40_000, generator=rng) + 1, torch.randn(40_000, generator=rng) - 1
    found = calibrate((2 * real - 3) / 5, (2 * fake - 3) / 5)
    assert found.scale == pytest.approx(5, rel=0.03) and found.offset == pytest.approx(3, rel=0.03)
    logits = found.logits((2 * real - 3) / 5)
    torch.testing.assert_close(logits, 2 * real, atol=0.2, rtol=0.05)


def test_both_kinds_count_half_and_constants_mean_nothing(rng):
    real, fake = torch.randn(10_000, generator=rng) + 1, torch.randn(300, generator=rng) - 1
    assert calibrate(real, fake).scale == pytest.approx(2, rel=0.1) and abs(calibrate(real, fake).offset) < 0.2
    nothing = calibrate(torch.ones(5), torch.ones(5))
    assert abs(nothing.scale + nothing.offset) < 1e-6, "one half, at the only logit there is"


def test_separated_logits_give_a_finite_answer():
    found = calibrate(torch.tensor([5.0, 6.0, 7.0]), torch.tensor([-5.0, -6.0]))
    assert 0 < found.scale < 10 and abs(found.offset) < 10


@pytest.mark.parametrize("real", [torch.zeros(0), torch.tensor([float("nan")])])
def test_what_cannot_be_calibrated_is_refused(real):
    with pytest.raises(ValueError, match="calibration needs"):
        calibrate(real, torch.zeros(3))
    assert Calibration().logits(torch.ones(2)).tolist() == [1, 1]


def identity(latents):
    return latents


def tilted(images):
    """log of N(1, 1) over N(0, 1) in the first entry: latents weighted by its exponential follow N(1, 1) there."""
    return images[:, 0] - 0.5


@pytest.mark.parametrize("table", [SAMPLERS, CHEAP_SAMPLERS], ids=["full", "cheap"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_gives_what_was_asked_for_and_says_what_it_cost(name, table):
    draws = [table[name](identity, tilted, 40, latent_size=3, seed=seed) for seed in (1, 1, 2)]
    assert all(isinstance(one, Drawn) and one.latents.shape == (40, 3) for one in draws)
    assert torch.equal(draws[0].latents, draws[1].latents) and not torch.equal(draws[0].latents, draws[2].latents)
    assert draws[0].cost >= 1 and draws[0].latents.isfinite().all() and not draws[0].latents.requires_grad
    assert table[name](identity, tilted, 40, latent_size=3, seed=1).cost == draws[0].cost


@pytest.mark.parametrize("start", [None, 0.0])
def test_long_chains_reach_the_tilted_law(start):
    drawn = metropolis_hastings(identity, tilted, 4000, latent_size=2, seed=0, steps=40, start_logit=start)
    first, second = drawn.latents.T
    assert float(first.mean()) == pytest.approx(1, abs=0.08) and float(first.std()) == pytest.approx(1, abs=0.06)
    assert float(second.mean()) == pytest.approx(0, abs=0.08)
    assert drawn.images == 4000 * (40 + (start is None))


def test_a_chain_that_never_leaves_the_real_image_ends_at_its_last_proposal():
    drawn = metropolis_hastings(identity, tilted, 5, latent_size=2, seed=0, steps=3, start_logit=1e9)
    rng = torch.Generator().manual_seed(0)
    torch.randn(5, 2, generator=rng)
    for _ in range(3):
        last = torch.randn(5, 2, generator=rng)
        torch.rand(5, generator=rng)
    assert torch.equal(drawn.latents, last)


def test_rejection_without_a_shift_reaches_the_tilted_law_and_a_shift_spends_less():
    """With bounded logits and gamma at the smallest F, what is kept follows the law but for the shift's flattening."""
    exact = rejection(identity, tilted, 3000, latent_size=1, seed=0, percentile=0.999)
    loose = rejection(identity, tilted, 3000, latent_size=1, seed=0, percentile=0.5)
    assert float(exact.latents.mean()) == pytest.approx(1, abs=0.12) and float(loose.latents.mean()) < 0.8
    assert exact.cost > 2 * loose.cost > 2


def test_a_constant_discriminator_rejects_at_random():
    flat = rejection(identity, lambda images: torch.zeros(len(images)), 4000, latent_size=1, seed=0)
    assert abs(float(flat.latents.mean())) < 0.06 and float(flat.latents.std()) == pytest.approx(1, abs=0.05)


def test_langevin_dynamics_reach_the_tilted_law():
    """E = |z|^2 / 2 - z_0: a Gaussian around (1, 0)."""
    drawn = langevin(identity, tilted, 3000, latent_size=2, seed=0, steps=80, step_size=0.1)
    first, second = drawn.latents.T
    assert float(first.mean()) == pytest.approx(1, abs=0.1) and float(second.mean()) == pytest.approx(0, abs=0.1)
    assert float(first.std()) == pytest.approx(1, abs=0.06)


def test_truncated_latents_follow_the_truncated_law():
    latents = truncation(identity, tilted, 20_000, latent_size=1, seed=0, threshold=1.0).latents
    assert float(latents.abs().max()) <= 1 + 1e-6
    assert float(latents.std()) == pytest.approx(0.5396, abs=0.01), "standard deviation of N(0, 1) cut at +-1"


def test_exhaustive_scoring_keeps_the_best():
    drawn = exhaustive(identity, tilted, 100, latent_size=1, seed=0, keep=0.1)
    assert drawn.cost == 10 and float(drawn.latents.min()) > 1.0, "the best tenth of N(0, 1) begins at 1.28"


def test_all_samplers_share_one_interface():
    for sampler in (exhaustive, langevin, metropolis_hastings, rejection, truncation):
        names = list(inspect.signature(sampler).parameters)
        assert names[:5] == ["generator", "discriminator", "count", "latent_size", "seed"]
