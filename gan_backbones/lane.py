"""One lane of a population: some rows that one thread trains together.

The mathematics of GAN training stands here once. A plain lane holds one row in ordinary modules; a stacked lane holds
several in modules with a leading replica axis. The batch is always the last axis of the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gan_backbones.flat import FlatParameters, flatten_gradients
from gan_backbones.losses import AdversarialLoss
from gan_backbones.optim import AdamState, adam_step
from gan_backbones.regularisers import AuxiliaryRegulariser, FeatureRegulariser, GradientRegulariser, Regulariser
from gan_backbones.train_stats import Logits, Norms, TrainStats, measure_updates


@dataclass(frozen=True)
class Player:
    """One network of all rows and its optimizer's state."""

    parameters: FlatParameters
    adam: AdamState

    @classmethod
    def zeros(cls, template: nn.Module, count: int, device: torch.device, dtype: torch.dtype) -> Player:
        """``count`` rows of networks like ``template``, all zero."""
        parameters = FlatParameters(template, count, device, dtype)
        return cls(parameters, AdamState.zeros_like(parameters.matrix))

    def tensors(self) -> list[Tensor]:
        return [*self.parameters.tensors(), *self.adam.tensors()]


@dataclass(frozen=True)
class Noise:
    """Random numbers of one environment step, drawn before it begins.

    ``latents`` is ``(n, steps, batch, latent_size)``; ``indices`` is ``(n, steps, batch)`` into the data pool;
    ``mix``, shaped likewise, is uniform in [0, 1]: where between a generated and a real sample a gradient is
    penalised; none where no regulariser asks.
    """

    latents: Tensor
    indices: Tensor
    mix: Tensor | None = None


class Lane:
    """The rows ``rows`` of two players, trained in one thread."""

    def __init__(
        self,
        rows: slice,
        generator: Player,
        discriminator: Player,
        loss: AdversarialLoss,
        regularisers: Sequence[Regulariser],
        *,
        stacked: bool,
    ) -> None:
        self.rows = rows
        self._stacked = stacked
        self._loss = loss
        self._feature_terms = [term for term in regularisers if isinstance(term, FeatureRegulariser)]
        self._gradient_terms = [term for term in regularisers if isinstance(term, GradientRegulariser)]
        self._auxiliary_terms = [term for term in regularisers if isinstance(term, AuxiliaryRegulariser)]
        self._generator: Any = generator.parameters.bind(rows, stacked=stacked)
        self._discriminator: Any = discriminator.parameters.bind(rows, stacked=stacked)
        self._players = (generator, discriminator)

    @property
    def range(self) -> range:
        return range(self.rows.start, self.rows.stop)

    @property
    def count(self) -> int:
        return len(self.range)

    @torch.enable_grad()  # whatever the caller's mode
    def update(
        self, knobs: Mapping[str, Tensor], betas: Tensor, pace: Tensor, noise: Noise, pool: Tensor
    ) -> TrainStats:
        """:meth:`train`, and the statistics of what was done."""
        logits = self.train(knobs, betas, pace, noise, pool)
        return measure_updates(logits, self.step_and_weight_norms(knobs, betas))

    def train(self, knobs: Mapping[str, Tensor], betas: Tensor, pace: Tensor, noise: Noise, pool: Tensor) -> Logits:
        """Make one update per step of ``noise`` in place.

        ``knobs`` are ``(n,)`` each, ``betas`` and ``pace`` are ``(n, 2)``, all of this lane's rows; ``pace`` counts
        each network towards its next step, the generator first; ``pool`` holds the data.
        """
        generator, discriminator = self._generator.train(), self._discriminator.train()
        generator_leaves, discriminator_leaves = list(generator.parameters()), list(discriminator.parameters())
        matrices = [player.parameters.matrix[self.rows] for player in self._players]
        states = [player.adam.rows(self.rows) for player in self._players]
        batch, dtype = noise.indices.shape[-1], noise.latents.dtype
        batch_axis = 1 if self._stacked else 0
        shape = noise.indices.shape
        logits = Logits(*(noise.latents.new_empty(shape) for _ in range(2)))

        shares = _shares(knobs["update_ratio"]) if "update_ratio" in knobs else None
        gates: tuple[Tensor | None, Tensor | None] = (None, None)

        for step in range(shape[1]):
            if shares is not None:
                gates = _advance(pace, shares)
            real = read_samples(pool, self._squeeze(noise.indices[:, step]), dtype)
            fake = generator(self._squeeze(noise.latents[:, step])).to(dtype)

            features = discriminator.features(_join(real, fake.detach(), stacked=self._stacked))
            real_logits, fake_logits = self._classify(features).split(batch, dim=-1)
            real_term, fake_term = self._loss.discriminator(real_logits, fake_logits)
            fake_loss = fake_term.mean(-1)
            if "fake_weight" in knobs:
                fake_loss = self._squeeze(knobs["fake_weight"]) * fake_loss
            loss = real_term.mean(-1) + fake_loss
            for term in self._gradient_terms:
                points = real
                if term.at == "between" and noise.mix is not None:
                    mix = self._squeeze(noise.mix[:, step])
                    points = torch.lerp(fake.detach(), real, mix[(...,) + (None,) * (real.dim() - mix.dim())])
                loss = loss + self._squeeze(knobs[term.knob]) * term.penalty(self._squared_slopes(points)).mean(-1)
            real_features, fake_features = features.split(batch, batch_axis)
            for auxiliary in self._auxiliary_terms:
                verdicts = [discriminator.auxiliary(half).to(dtype) for half in (real_features, fake_features)]
                real_verdicts = verdicts[0].detach()
                terms = self._loss.discriminator(*verdicts)
                loss = loss + self._squeeze(knobs[auxiliary.knob]) * sum(term.mean(-1) for term in terms)
            # A head that no term asks stays as it is, and so does a scale that is not computed.
            gradients = torch.autograd.grad(loss.sum(), discriminator_leaves, materialize_grads=True)
            adam_step(matrices[1], flatten_gradients(gradients, self.count), states[1], knobs["lr_d"], betas, gates[1])
            logits.real[:, step] = real_logits.detach()
            logits.fake[:, step] = fake_logits.detach()

            real_features, fake_features = real_features.detach(), discriminator.features(fake)
            loss = self._loss.generator(real_logits.detach(), self._classify(fake_features)).mean(-1)
            for regulariser in self._feature_terms:
                penalty = regulariser.penalty(real_features.to(dtype), fake_features.to(dtype))
                loss = loss + self._squeeze(knobs[regulariser.knob]) * penalty
            for auxiliary in self._auxiliary_terms:
                verdict = discriminator.auxiliary(fake_features).to(dtype)
                verdict_loss = self._loss.generator(real_verdicts, verdict).mean(-1)
                loss = loss + self._squeeze(knobs[auxiliary.knob]) * verdict_loss
            gradients = torch.autograd.grad(loss.sum(), generator_leaves, materialize_grads=True)
            adam_step(matrices[0], flatten_gradients(gradients, self.count), states[0], knobs["lr_g"], betas, gates[0])
        return logits

    def _classify(self, features: Tensor) -> Tensor:
        """Logits in the precision of the weights, whatever that of the products before: losses keep their digits."""
        logits: Tensor = self._discriminator.classify(features)
        return logits.to(self._players[1].parameters.matrix.dtype)

    def _squared_slopes(self, points: Tensor) -> Tensor:
        """``(..., batch)``: squared norm of the logit's gradient at each point, differentiable in the weights."""
        points = points.detach().requires_grad_()
        logits = self._classify(self._discriminator.features(points))
        (slopes,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
        return slopes.square().flatten(2 if self._stacked else 1).sum(-1)

    @torch.no_grad()
    def step_and_weight_norms(self, knobs: Mapping[str, Tensor], betas: Tensor) -> Norms:
        """Norms of what each optimizer would do next and of what it works on; arguments as for :meth:`train`."""
        weights = [player.parameters.matrix[self.rows].norm(dim=1) for player in self._players]
        directions = [player.adam.rows(self.rows).direction(betas).norm(dim=1) for player in self._players]
        steps = [norm * knobs[rate] for norm, rate in zip(directions, ("lr_g", "lr_d"), strict=True)]
        return Norms(torch.stack(steps, dim=1), torch.stack(weights, dim=1))

    @torch.no_grad()
    def sample(self, latents: Tensor) -> Tensor:
        """``(n, count, latent_size) -> (n, count, *sample_shape)`` in evaluation mode; changes nothing."""
        samples: Tensor = self._generator.eval()(self._squeeze(latents))
        return samples if self._stacked else samples.unsqueeze(0)

    @torch.no_grad()
    def discriminate(self, samples: Tensor) -> Tensor:
        """``(n, count, *sample_shape) -> (n, count)`` logits in evaluation mode; changes nothing."""
        module: nn.Module = self._discriminator.eval()
        logits: Tensor = module(self._squeeze(samples))
        return logits if self._stacked else logits.unsqueeze(0)

    def _squeeze(self, tensor: Tensor) -> Tensor:
        return tensor if self._stacked else tensor[0]


PACE_START = 0.999
"""Just short of a step, so that both networks make one at the first tick."""
_PACE_STEP = 1 - 1e-6  # a sum of thirds may fall short of 1 by rounding


def _shares(update_ratio: Tensor) -> Tensor:
    """Ticks at which each network steps, as shares ``(n, 2)``, from discriminator steps per generator step ``(n,)``."""
    return torch.stack([1 / update_ratio, update_ratio], dim=1).clamp(max=1)


def _advance(pace: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Move ``pace`` on by one tick, in place; 1 for rows whose generator, and whose discriminator, steps now."""
    steps = (pace.add_(shares) >= _PACE_STEP).to(pace)
    pace.sub_(steps)
    return steps[:, 0], steps[:, 1]


def read_samples(pool: Tensor, indices: Tensor, dtype: torch.dtype) -> Tensor:
    """Samples of a pool: bytes become [-1, 1]; ``indices`` of any shape give ``(*indices.shape, *sample_shape)``."""
    samples = pool[indices]
    return samples.to(dtype).div_(127.5).sub_(1.0) if pool.dtype == torch.uint8 else samples.to(dtype)


def _join(real: Tensor, fake: Tensor, *, stacked: bool) -> Tensor:
    """Both along the batch; stacked images keep the batch last in memory, as the layers want them."""
    if not stacked or real.dim() != 5:
        return torch.cat([real, fake], dim=1 if stacked else 0)
    return torch.cat([real.movedim(1, -1), fake.movedim(1, -1)], dim=-1).movedim(-1, 1)
