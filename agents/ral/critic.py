"""The discriminator's side: its loss with a per-sample gradient penalty, and its scores as rewards of codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_backbones import AdversarialLoss
from gan_backbones.regularisers import gradient_penalty


def critic_loss(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    loss: AdversarialLoss,
    penalty_weight: float,
    generator: torch.Generator,
) -> Tensor:
    """The discriminator's loss, a scalar: the mean over patches of both terms, and the gradient penalty.

    ``real`` and ``fake``: ``(B, ...)`` of one shape; ``critic`` gives ``(B, h, w)`` scores.
    """
    real_term, fake_term = loss.discriminator(critic(real), critic(fake))
    total = real_term.mean() + fake_term.mean()
    if penalty_weight:
        norms = squared_gradient_norms(critic, between(real, fake, generator))
        total = total + penalty_weight * gradient_penalty(norms).mean()
    return total


def between(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """A uniformly random point on the line between each pair of samples, ``(B, ...)``."""
    share = torch.rand(len(real), generator=generator).to(real.device).reshape(-1, *[1] * (real.dim() - 1))
    return real.lerp(fake, share)


def squared_gradient_norms(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Squared norm of the gradient of each sample's mean score with respect to that sample, ``(B, ...) -> (B,)``.

    One number per sample, over all its entries: a norm per pixel, or over the batch, would bind something else than
    the discriminator's slope (arXiv 1704.00028, equation 3).
    """
    points = points.detach().requires_grad_()
    scores = critic(points).flatten(1).mean(1)
    (gradients,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
    return gradients.flatten(1).square().sum(1)


def rewards_of_codes(scores: Tensor, maps: Sequence[tuple[int, int]]) -> Tensor:
    """One reward per code, ``(B, h, w) -> (B, length)``.

    The last map has the scores' shape. A code of a coarser map gets the mean score of the patches that it covers.
    """
    return torch.cat([F.adaptive_avg_pool2d(scores, shape).flatten(1) for shape in maps], 1)
