"""Ways to draw latents of a frozen generator by what its discriminator says of the images; they train nothing.

Every sampler is called as ``sampler(generator, discriminator, count, latent_size=..., seed=...)`` and answers with
:class:`Drawn`: latents, and how many images were generated for them. The discriminator maps images to logits; where a
method divides probabilities, the logits should be calibrated (:mod:`gan_backbones.calibration`). Latents are drawn on
the CPU, so that they are the same whatever computes; networks that are elsewhere take them there and bring logits back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Generator, Tensor

Network = Callable[[Tensor], Tensor]

_BATCH = 128
_DRS_EPSILON = 1e-6  # keeps the logarithm finite at the largest logit, as in the paper


@dataclass(frozen=True)
class Drawn:
    """What a sampler gives."""

    latents: Tensor
    """``(count, latent_size)``"""
    images: int
    """Images that were generated, and judged unless none were rejected, until ``count`` latents stood."""

    @property
    def cost(self) -> float:
        """Images generated per image kept."""
        return self.images / len(self.latents)


class Sampler(Protocol):
    """Draws ``count`` latents; equal seeds give equal latents."""

    def __call__(
        self, generator: Network, discriminator: Network, count: int, *, latent_size: int, seed: int
    ) -> Drawn: ...


@torch.no_grad()
def judge_latents(generator: Network, discriminator: Network, latents: Tensor) -> Tensor:
    """Logits ``(n,)`` of the images of ``(n, latent_size)``."""
    return torch.cat([discriminator(generator(chunk)) for chunk in latents.split(_BATCH)])


def prior(generator: Network, discriminator: Network, count: int, *, latent_size: int, seed: int) -> Drawn:
    """What the generator was trained on: N(0, I), nothing rejected."""
    return Drawn(torch.randn(count, latent_size, generator=Generator().manual_seed(seed)), count)


def truncation(
    generator: Network, discriminator: Network, count: int, *, latent_size: int, seed: int, threshold: float = 0.7
) -> Drawn:
    """Entries beyond ``threshold`` are drawn again (Brock et al., arXiv 1809.11096, section 3.1); D is not asked."""
    rng = Generator().manual_seed(seed)
    # By the inverse of the distribution function: what drawing again leads to, without drawing again.
    edge = math.erf(threshold / math.sqrt(2))
    uniform = torch.rand(count, latent_size, generator=rng, dtype=torch.float64) * 2 - 1
    return Drawn((torch.erfinv(uniform * edge) * math.sqrt(2)).float(), count)


def exhaustive(
    generator: Network, discriminator: Network, count: int, *, latent_size: int, seed: int, keep: float = 0.1
) -> Drawn:
    """A codebook of ``count / keep`` latents, all judged; those with the largest logits are kept."""
    codes = math.ceil(count / keep)
    latents = torch.randn(codes, latent_size, generator=Generator().manual_seed(seed))
    best = judge_latents(generator, discriminator, latents).topk(count).indices
    return Drawn(latents[best], codes)


def rejection(
    generator: Network,
    discriminator: Network,
    count: int,
    *,
    latent_size: int,
    seed: int,
    burn_in: int = 1024,
    percentile: float = 0.8,
) -> Drawn:
    """Discriminator rejection sampling (Azadi et al., arXiv 1810.06758, equations 7 to 9).

    With M the largest logit met so far, first among ``burn_in`` images, an image of logit l is kept with probability
    ``sigmoid(F - gamma)``, F = l - M - log(1 - exp(l - M - epsilon)); gamma is the ``percentile`` of F over the
    burn-in, so that one in few is kept where exact rejection would keep hardly any.
    """
    rng = Generator().manual_seed(seed)
    logits = judge_latents(generator, discriminator, torch.randn(burn_in, latent_size, generator=rng))
    largest = logits.max()
    gamma = torch.quantile(_drs_score(logits, largest), percentile)
    kept: list[Tensor] = []
    images = burn_in
    while sum(map(len, kept)) < count:
        latents = torch.randn(4 * _BATCH, latent_size, generator=rng)
        logits = judge_latents(generator, discriminator, latents)
        largest = torch.maximum(largest, logits.max())
        accepted = torch.rand(len(logits), generator=rng) < torch.sigmoid(_drs_score(logits, largest) - gamma)
        kept.append(latents[accepted])
        images += len(latents)
    return Drawn(torch.cat(kept)[:count], images)


def _drs_score(logits: Tensor, largest: Tensor) -> Tensor:
    excess = (logits - largest).double()
    return excess - torch.log1p(-torch.exp(excess - _DRS_EPSILON))


def metropolis_hastings(
    generator: Network,
    discriminator: Network,
    count: int,
    *,
    latent_size: int,
    seed: int,
    steps: int = 64,
    start_logit: float | None = None,
) -> Drawn:
    """MH-GAN (Turner et al., arXiv 1811.11357, section 3.2, equation 8): ``count`` chains, the end of each is kept.

    A proposal, drawn from the prior whatever the present state, is accepted with probability
    ``min(1, exp(l' - l))``, the ratio of (1/D - 1) at calibrated logits. ``start_logit`` is that of a real image, at
    which the paper begins its chains; a chain that never leaves it goes on from its last proposal. Without one, chains
    begin at a first draw.
    """
    rng = Generator().manual_seed(seed)
    state = torch.randn(count, latent_size, generator=rng)
    if start_logit is None:
        logits, images = judge_latents(generator, discriminator, state), count
    else:
        logits, images = torch.full((count,), start_logit), 0
    left = torch.full((count,), start_logit is None)  # chains that stand on a latent of their own
    for _ in range(steps):
        proposal = torch.randn(count, latent_size, generator=rng)
        proposed = judge_latents(generator, discriminator, proposal)
        accepted = torch.rand(count, generator=rng).log() < proposed - logits
        state = torch.where((accepted | ~left)[:, None], proposal, state)
        logits = torch.where(accepted, proposed, logits)
        left |= accepted
    return Drawn(state, images + count * steps)


def langevin(
    generator: Network,
    discriminator: Network,
    count: int,
    *,
    latent_size: int,
    seed: int,
    steps: int = 50,
    step_size: float = 0.1,
) -> Drawn:
    """Discriminator-driven latent sampling (Che et al., arXiv 2003.06060, algorithm 1).

    Langevin dynamics in the latent space of the energy ``E(z) = |z|^2 / 2 - logit(G(z))``:
    ``z <- z - step_size / 2 * grad E(z) + sqrt(step_size) * noise``. Every step generates an image and goes back
    through both networks, which costs about three times as much as looking at it. Under the prior alone a chain
    forgets where it began at a rate of ``step_size / 2`` per step: ``steps`` should be some times ``2 / step_size``.
    """
    rng = Generator().manual_seed(seed)
    drawn: list[Tensor] = []
    for start in torch.randn(count, latent_size, generator=rng).split(_BATCH):
        state = start
        for _ in range(steps):
            point = state.detach().requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(discriminator(generator(point)).sum(), point)
            noise = torch.randn(state.shape, generator=rng)
            state = state - step_size / 2 * (state - slope) + step_size**0.5 * noise
        drawn.append(state)
    return Drawn(torch.cat(drawn), count * (steps + 1))


SAMPLERS: Mapping[str, Sampler] = {
    "random latents": prior,
    "truncation": truncation,
    "exhaustive": exhaustive,
    "DRS": rejection,
    "MH-GAN": metropolis_hastings,
    "DDLS": langevin,
}
"""By the name in tables, with the settings above."""

CHEAP_SAMPLERS: Mapping[str, Sampler] = {
    **SAMPLERS,
    "MH-GAN": partial(metropolis_hastings, steps=16),
    "DDLS": partial(langevin, steps=15, step_size=0.2),
}
"""The same with short chains, for a quick look."""
