"""Losses and regularisers against closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from gan_backbones import LOSSES, OPTIONAL_KNOBS, REGULARISERS, AdversarialLoss, losses, register_loss
from gan_backbones.regularisers import (
    TEMPERATURE,
    AuxiliaryRegulariser,
    FeatureRegulariser,
    GradientRegulariser,
    contrastive,
    feature_matching,
    gradient_penalty,
    r1,
)


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
    real, fake = (logits(rng, 5).clamp(-0.9, 0.9).requires_grad_() for _ in range(2))  # within everybody's targets
    real_term, fake_term = LOSSES[name].discriminator(real, fake)
    real_gradient, fake_gradient = torch.autograd.grad((real_term + fake_term).sum(), (real, fake))
    assert (real_gradient <= 0).all() and (fake_gradient >= 0).all()  # a hinge may be flat
    assert (real_gradient < 0).any() and (fake_gradient > 0).any()
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


def test_other_losses_at_known_points():
    real, fake = torch.tensor([-0.5, 3.0]), torch.tensor([0.5, -3.0])
    known = {
        "hinge": ([1.5, 0.0], [1.5, 0.0], [-0.5, 3.0]),
        "least_squares": ([1.125, 2.0], [1.125, 2.0], [0.125, 8.0]),
        "wasserstein": ([0.5, -3.0], [0.5, -3.0], [-0.5, 3.0]),
    }
    for name, (real_expected, fake_expected, generator_expected) in known.items():
        real_term, fake_term = LOSSES[name].discriminator(real, fake)
        assert real_term.tolist() == real_expected and fake_term.tolist() == fake_expected
        assert LOSSES[name].generator(real, fake).tolist() == generator_expected


BAD_LOSSES = {
    "discriminator must return the real and the fake term": lambda r, f: r - f,
    "the real term must be finite and unreduced": lambda r, f: (r.mean(), f),
    "the fake term must be finite": lambda r, f: (r, f / 0),
    "the discriminator's loss has no gradient": lambda r, f: (r.detach(), f),
}


@pytest.mark.parametrize("reason", BAD_LOSSES)
def test_a_loss_that_cannot_train_is_refused(reason):
    with pytest.raises(ValueError, match=f"loss 'mine': {reason}"):
        register_loss(AdversarialLoss("mine", BAD_LOSSES[reason], lambda r, f: -f))
    with pytest.raises(ValueError, match="the generator term must be finite and unreduced"):
        register_loss(AdversarialLoss("mine", lambda r, f: (-r, f), lambda r, f: -f.mean()))
    assert "mine" not in LOSSES


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_loss_may_be_registered_where_nothing_is_differentiated(monkeypatch, mode):
    monkeypatch.setattr(losses, "_LOSSES", {})
    with mode():
        register_loss(LOSSES["hinge"])
        with pytest.raises(ValueError, match="has no gradient"):
            register_loss(AdversarialLoss("mine", lambda r, f: (r.detach(), f.detach()), lambda r, f: -f))


def test_a_taken_loss_name_is_refused():
    with pytest.raises(ValueError, match="'nonsaturating' is registered already"):
        register_loss(AdversarialLoss("nonsaturating", lambda r, f: (r, f), lambda r, f: f))


def test_feature_matching_by_hand():
    real = torch.tensor([[1.0, 2.0], [3.0, 6.0]])  # mean (2, 4)
    fake = torch.tensor([[0.0, 1.0], [2.0, 1.0]])  # mean (1, 1)
    assert float(feature_matching(real, fake)) == (1 + 9) / 2
    stacked = feature_matching(torch.stack([real, fake]), torch.stack([fake, fake]))
    assert stacked.tolist() == [5.0, 0.0]


FEATURE_TERMS = [name for name, term in REGULARISERS.items() if isinstance(term, FeatureRegulariser)]
GRADIENT_TERMS = [name for name, term in REGULARISERS.items() if isinstance(term, GradientRegulariser)]
AUXILIARY_TERMS = [name for name, term in REGULARISERS.items() if isinstance(term, AuxiliaryRegulariser)]


@pytest.mark.parametrize("name", FEATURE_TERMS)
def test_feature_terms_draw_generated_features_to_real_ones(name, rng):
    real = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64)
    fake = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64).requires_grad_()
    penalty = REGULARISERS[name].penalty(real, fake)
    assert penalty.shape == (2,) and (penalty > 0).all()
    (gradient,) = torch.autograd.grad(penalty.sum(), fake)
    with torch.no_grad():
        assert (REGULARISERS[name].penalty(real, fake - 0.01 * gradient) < penalty).all()
        # Each population member by itself.
        torch.testing.assert_close(REGULARISERS[name].penalty(real[1], fake[1]), penalty[1])


def test_feature_matching_vanishes_where_features_agree(rng):
    real = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64)
    assert feature_matching(real, real).abs().max() == 0


def test_contrastive_by_hand():
    """Two directions at right angles: similarities are 1 and 0, so every exponential is e^10 or 1."""
    across = torch.eye(2, dtype=torch.float64)
    same = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    near, far = math.exp(1 / TEMPERATURE), 1.0
    diverse = -math.log((near + far) / 2 / ((near + far) / 2 + far))  # the other generated sample is far
    crowded = -math.log((near + far) / 2 / ((near + far) / 2 + near))  # and here it is the same
    assert float(contrastive(across, across)) == pytest.approx(diverse, rel=1e-9)
    assert float(contrastive(across, same)) == pytest.approx(crowded, rel=1e-9)
    assert diverse < crowded
    assert float(contrastive(across, across[:1])) == 0.0


def test_gradient_terms_by_hand():
    squared_norms = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    assert r1(squared_norms).tolist() == [0.0, 0.5, 2.0]
    torch.testing.assert_close(
        gradient_penalty(squared_norms), torch.tensor([1.0, 0.0, 1.0]).double(), atol=1e-5, rtol=0
    )
    slope = squared_norms.clone().requires_grad_()
    assert torch.autograd.grad(gradient_penalty(slope).sum(), slope)[0].isfinite().all()


def test_every_regulariser_is_of_a_known_kind_and_has_a_knob_of_its_own():
    assert sorted(FEATURE_TERMS + GRADIENT_TERMS + AUXILIARY_TERMS) == sorted(REGULARISERS)
    knobs = [term.knob for term in REGULARISERS.values()]
    assert len(set(knobs)) == len(knobs) and set(knobs) <= set(OPTIONAL_KNOBS)
