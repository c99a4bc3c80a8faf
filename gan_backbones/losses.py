"""Adversarial losses: callables on logits, per sample, unreduced, always ``(real_logits, fake_logits)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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


_LOSSES: dict[str, AdversarialLoss] = {}
LOSSES: Mapping[str, AdversarialLoss] = _LOSSES


def register_loss(loss: AdversarialLoss) -> None:
    """Add an entry to :data:`LOSSES`; a name that is taken raises ``ValueError``."""
    if loss.name in _LOSSES:
        raise ValueError(f"loss {loss.name!r} is registered already")
    _LOSSES[loss.name] = loss


register_loss(AdversarialLoss("nonsaturating", nonsaturating_discriminator, nonsaturating_generator))
