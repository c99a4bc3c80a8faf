"""Losses and regularisers against closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from gan_backbones import LOSSES, REGULARISERS, AdversarialLoss, register_loss
from gan_backbones.regularisers import feature_matching


def logits(rng, *shape):
    return 3 * torch.randn(*shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_per_sample(name, rng):
    real, fake = logits(rng, 2, 5), logits(rng, 2, 7)
    real_term, fake_term = LOSSES[name].discriminator(real, fake)
    assert real_term.shape == (2, 5) and fake_term.shape == (2, 7)
    assert LOSSES[name].generator(real, fake).shape == (2, 7)


@pytest.mark.parametrize("name", LOSSES)
def test_the_players_want_opposite_things(name, rng):
    """The discriminator raises real logits and lowers fake ones, the generator raises fake ones: the argument order."""
    real, fake = logits(rng, 5).requires_grad_(), logits(rng, 5).requires_grad_()
    real_term, fake_term = LOSSES[name].discriminator(real, fake)
    real_gradient, fake_gradient = torch.autograd.grad((real_term + fake_term).sum(), (real, fake))
    assert (real_gradient < 0).all() and (fake_gradient > 0).all()
    (gradient,) = torch.autograd.grad(LOSSES[name].generator(real.detach(), fake).sum(), fake)
    assert (gradient < 0).all()


def test_nonsaturating_is_cross_entropy(rng):
    real, fake = logits(rng, 5), logits(rng, 5)
    real_term, fake_term = LOSSES["nonsaturating"].discriminator(real, fake)
    cross_entropy = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(real_term, cross_entropy(real, torch.ones_like(real), reduction="none"))
    torch.testing.assert_close(fake_term, cross_entropy(fake, torch.zeros_like(fake), reduction="none"))
    generator = LOSSES["nonsaturating"].generator(real, fake)
    torch.testing.assert_close(generator, cross_entropy(fake, torch.ones_like(fake), reduction="none"))


def test_nonsaturating_at_known_points():
    zero = torch.zeros(1, dtype=torch.float64)
    real_term, fake_term = LOSSES["nonsaturating"].discriminator(zero, zero)
    assert float(real_term) == float(fake_term) == pytest.approx(math.log(2), rel=1e-12)
    # A confident and right discriminator: nothing to lose, and the generator's gradient does not vanish.
    fake = torch.tensor([-40.0], dtype=torch.float64, requires_grad=True)
    loss = LOSSES["nonsaturating"].generator(-fake.detach(), fake)
    assert float(loss.detach()) == pytest.approx(40.0, rel=1e-12)
    assert float(torch.autograd.grad(loss, fake)[0]) == pytest.approx(-1.0, rel=1e-12)


def test_a_taken_loss_name_is_refused():
    with pytest.raises(ValueError, match="'nonsaturating' is registered already"):
        register_loss(AdversarialLoss("nonsaturating", lambda r, f: (r, f), lambda r, f: f))


def test_feature_matching_by_hand():
    real = torch.tensor([[1.0, 2.0], [3.0, 6.0]])  # mean (2, 4)
    fake = torch.tensor([[0.0, 1.0], [2.0, 1.0]])  # mean (1, 1)
    assert float(feature_matching(real, fake)) == (1 + 9) / 2
    stacked = feature_matching(torch.stack([real, fake]), torch.stack([fake, fake]))
    assert stacked.tolist() == [5.0, 0.0]


@pytest.mark.parametrize("name", REGULARISERS)
def test_regularisers_vanish_where_features_agree_and_move_only_the_generator(name, rng):
    real = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64)
    fake = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64).requires_grad_()
    penalty = REGULARISERS[name].penalty(real, fake)
    assert penalty.shape == (2,) and (penalty > 0).all()
    (gradient,) = torch.autograd.grad(penalty.sum(), fake)
    assert gradient.abs().sum() > 0
    # A step against the gradient brings the features closer.
    with torch.no_grad():
        assert (REGULARISERS[name].penalty(real, fake - 0.1 * gradient) < penalty).all()
        assert REGULARISERS[name].penalty(real, real).abs().max() == 0
