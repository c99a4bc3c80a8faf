"""Adversarial losses: callables on logits, per sample, unreduced, always ``(real_logits, fake_logits)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class AdversarialLoss:
    """An entry of :data:`LOSSES`.

    ``discriminator(real_logits, fake_logits)`` gives the real and the fake term apart, each of the shape of its
    logits; ``generator(real_logits, fake_logits)`` gives the generator's loss, shaped like ``fake_logits``.
    """

    name: str
    discriminator: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    generator: Callable[[Tensor, Tensor], Tensor]


def nonsaturating_discriminator(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    """``-log sigmoid(D(x))`` and ``-log(1 - sigmoid(D(G(z))))`` (Goodfellow et al., arXiv 1406.2661, section 3)."""
    return F.softplus(-real_logits), F.softplus(fake_logits)


def nonsaturating_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``-log sigmoid(D(G(z)))`` (ibid.)."""
    return F.softplus(-fake_logits)


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    """``max(0, 1 - D(x))`` and ``max(0, 1 + D(G(z)))`` (Lim & Ye, arXiv 1705.02894, section 2)."""
    return F.relu(1 - real_logits), F.relu(1 + fake_logits)


def linear_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``-D(G(z))``: the generator's side of the hinge and of the Wasserstein loss."""
    return -fake_logits


def least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    """``(D(x) - 1)^2 / 2`` and ``(D(G(z)) + 1)^2 / 2`` (Mao et al., arXiv 1611.04076, equation 2 with a = -1, b = 1).

    Targets of both signs, so that a positive logit means real, as with every other loss here.
    """
    return (real_logits - 1).square() / 2, (fake_logits + 1).square() / 2


def least_squares_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """``(D(G(z)) - 1)^2 / 2`` (ibid., c = b)."""
    return (fake_logits - 1).square() / 2


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    """``-D(x)`` and ``D(G(z))`` (Arjovsky et al., arXiv 1701.07875, equation 3).

    The discriminator has to be Lipschitz by other means: spectral norm, or the knob ``gp_weight``.
    """
    return -real_logits, fake_logits


_LOSSES: dict[str, AdversarialLoss] = {}
LOSSES: Mapping[str, AdversarialLoss] = _LOSSES


@torch.inference_mode(False)
@torch.enable_grad()
def register_loss(loss: AdversarialLoss) -> None:
    """Add an entry to :data:`LOSSES`.

    Raises ``ValueError`` for a name that is taken, and for functions that do not give one finite, differentiable
    number per logit.
    """
    if loss.name in _LOSSES:
        raise ValueError(f"loss {loss.name!r} is registered already")
    real, fake = (torch.linspace(-2, 2, 6).reshape(2, 3).requires_grad_() for _ in range(2))
    terms = loss.discriminator(real, fake)
    if not isinstance(terms, tuple) or len(terms) != 2:
        raise ValueError(f"loss {loss.name!r}: discriminator must return the real and the fake term, a pair of tensors")
    for what, term in (("real", terms[0]), ("fake", terms[1]), ("generator", loss.generator(real, fake))):
        if not isinstance(term, Tensor) or term.shape != fake.shape or not term.isfinite().all():
            raise ValueError(f"loss {loss.name!r}: the {what} term must be finite and unreduced, one number per logit")
    for what, total, leaf in (
        ("discriminator", terms[0].sum() + terms[1].sum(), real),
        ("generator", loss.generator(real, fake).sum(), fake),
    ):
        if not total.requires_grad or torch.autograd.grad(total, leaf, allow_unused=True)[0] is None:
            raise ValueError(f"loss {loss.name!r}: the {what}'s loss has no gradient")
    _LOSSES[loss.name] = loss


register_loss(AdversarialLoss("nonsaturating", nonsaturating_discriminator, nonsaturating_generator))
register_loss(AdversarialLoss("hinge", hinge_discriminator, linear_generator))
register_loss(AdversarialLoss("least_squares", least_squares_discriminator, least_squares_generator))
register_loss(AdversarialLoss("wasserstein", wasserstein_discriminator, linear_generator))
