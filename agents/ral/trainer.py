"""One update of reinforced adversarial learning: sample, judge, reinforce."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from agents.ral.critic import critic_loss, rewards_of_codes
from agents.ral.policy_gradient import (
    CREDITS,
    Credit,
    credited_scores,
    entropy_and_divergence,
    leave_one_out,
    log_probability,
    surrogate,
    with_later,
)
from agents.ral.rendering import Rendering
from agents.ral.windows import Windows
from agents.restoring import require_finite, require_like, require_optimizer, restoring
from agents.tree_file import Tree
from gan_backbones import LOSSES
from gan_backbones.prior import CodePrior

_LARGEST_GRADIENT = 1.0  # norm to which the policy's gradient is cut
_SCALE_MEMORY = 0.95  # of the running spread of advantages


@dataclass(frozen=True)
class RalOptions:
    """How the prior is tuned."""

    batch_size: int = 64
    """Maps sampled per update."""
    learning_rate: float = 3e-4
    """Of the prior."""
    critic_learning_rate: float = 2e-3
    """Of the discriminator."""
    critic_steps: int = 1
    """Updates of the discriminator per update of the prior, each on other data."""
    warm_up: int = 100
    """Updates at the beginning in which the discriminator alone learns."""
    loss: str = "hinge"
    """Adversarial loss: hinge; wasserstein, which with a gradient penalty is WGAN-GP; or another of LOSSES."""
    penalty_weight: float = 0.0
    """Of the discriminator's gradient penalty."""
    credit: Credit = "to_go"
    """Scores that a code answers for: to_go (its own and all later patches') or image (all, one return per image)."""
    discount: float = 0.5
    """Of later patches' scores under to_go."""
    entropy_weight: float = 0.01
    """Of the policy's entropy per code."""
    kl_weight: float = 0.02
    """Of the divergence from the pretrained prior per code."""
    likelihood_weight: float = 0.5
    """Of the training maps' log likelihood per code."""
    average_decay: float = 0.98
    """Of the running average of the prior's weights, which is what tuning yields; 0 is the last weights."""
    windows: Windows = field(default_factory=Windows)
    """What is sampled in an update; the rest of each map is a training map's."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "critic_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("penalty_weight", "entropy_weight", "kl_weight", "likelihood_weight", "warm_up"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        for name in ("learning_rate", "critic_learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.loss not in LOSSES:
            raise ValueError(f"unknown loss {self.loss!r}; known: {', '.join(LOSSES)}")
        if self.credit not in CREDITS:
            raise ValueError(f"unknown credit {self.credit!r}; known: {', '.join(CREDITS)}")
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"average_decay must lie in [0, 1), not {self.average_decay}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], not {self.discount}")


@dataclass(frozen=True)
class RalStats:
    """One update in numbers, means over the batch; nats per code."""

    critic_loss: float
    reward: float
    """Mean score of the sampled maps' patches."""
    real_score: float
    """Mean score of the training maps' patches."""
    entropy: float
    divergence: float
    """From the pretrained prior."""
    nll: float
    """Of training maps."""


class RalTrainer:
    """Tunes ``prior`` in place; ``average``, a running average of its weights, is the result.

    Policy and discriminator circle around each other, and the average lies nearer to the middle.
    A score is worth the spread of advantages that it causes: returns are divided by its running standard deviation,
    so that the weights of entropy, leash and likelihood mean the same beside every discriminator.

    Args:
        prior: pretrained; a copy of it is the leash's other end.
        critic: samples to scores ``(B, h, w)``, the shape of the last map.
        codes: the training maps ``(N, length)``.
        maps: height and width of the map of each level.
        rendering: what the critic sees.
        options: see :class:`RalOptions`.
        generator: source of everything random; the CPU's.

    Raises:
        ValueError: if maps, codes and prior disagree.
    """

    def __init__(
        self,
        prior: CodePrior,
        critic: nn.Module,
        codes: Tensor,
        maps: Sequence[tuple[int, int]],
        rendering: Rendering,
        options: RalOptions,
        generator: torch.Generator,
    ) -> None:
        length = sum(rows * columns for rows, columns in maps)
        if not length == codes.shape[1] == prior.length:
            raise ValueError(f"maps hold {length} codes, training maps {codes.shape[1]}, the prior {prior.length}")
        self.prior, self.critic, self.codes, self.maps = prior, critic, codes, tuple(maps)
        self.rendering, self.options, self.generator = rendering, options, generator
        self.reference = copy.deepcopy(prior).eval().requires_grad_(False)
        self.average = copy.deepcopy(self.reference)
        self.updates = 0
        self._scale: Tensor | None = None
        self._loss = LOSSES[options.loss]
        self._policy_optimizer = torch.optim.Adam(prior.parameters(), options.learning_rate, betas=(0.9, 0.99))
        self._critic_optimizer = torch.optim.Adam(critic.parameters(), options.critic_learning_rate, betas=(0.5, 0.99))

    def update(self) -> RalStats:
        """Sample maps, train the discriminator on them, and the prior by its scores."""
        options, rows = self.options, self._rows()
        given = self.codes[rows]
        free = options.windows.free(self.maps, self.updates, self.generator)
        sampled = self.prior.sample(options.batch_size, self.generator, given=given, free=free)
        fake = self.rendering.fake(sampled)
        for _ in range(options.critic_steps):
            real = self.rendering.real(self._rows())
            loss = critic_loss(self.critic, real, fake, self._loss, options.penalty_weight, self.generator)
            self._critic_optimizer.zero_grad()
            loss.backward()
            self._critic_optimizer.step()
        with torch.no_grad():
            scores, real_scores = self.critic(fake), self.critic(real)
        learn = self.updates >= options.warm_up
        entropy, divergence, nll = self._reinforce(sampled, given, scores, free.to(scores.device), learn=learn)
        if learn:
            self.rendering.tune(self.critic, self._loss, sampled, rows)
        self.updates += 1
        return RalStats(
            loss.item(), scores.mean().item(), real_scores.mean().item(), entropy.item(), divergence.item(), nll.item()
        )

    def get_state(self) -> Tree:
        """Everything that the next update depends on; :meth:`set_state` goes on from it exactly."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        own = {"rendering": self.rendering.get_state(), "generator": self.generator.get_state()}
        return parts | own | {"updates": self.updates, "scale": self._scale}

    @restoring()
    def set_state(self, state: Tree) -> None:
        """Go on from what :meth:`get_state` of an equal trainer gave. Raises ``MisfitError`` for what cannot be one."""
        require_like(state, self.get_state() | {"policy_optimizer": {}, "critic_optimizer": {}, "rendering": None})
        for name, part in self._parts().items():
            if isinstance(part, torch.optim.Optimizer):
                require_optimizer(part, state[name], f"its {name}")
            require_finite(state[name], f"its {name}")
            part.load_state_dict(state[name])
        self.rendering.set_state(state["rendering"])
        self.generator.set_state(state["generator"])
        self.updates = state["updates"]
        require_finite(state["scale"], "its scale")
        self._scale = None if state["scale"] is None else state["scale"].to(self.prior.device)

    def _parts(self) -> dict[str, Any]:
        networks = {"prior": self.prior, "critic": self.critic, "average": self.average}
        return networks | {"policy_optimizer": self._policy_optimizer, "critic_optimizer": self._critic_optimizer}

    def _rows(self) -> Tensor:
        rows = torch.randint(len(self.codes), (self.options.batch_size,), generator=self.generator)
        return rows.to(self.codes.device)

    def _reinforce(
        self, sampled: Tensor, given: Tensor, scores: Tensor, free: Tensor, *, learn: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of the prior; entropy, divergence and likelihood per code, scalars."""
        options = self.options
        with torch.set_grad_enabled(learn):
            logits, real_logits = self.prior(torch.cat([sampled, given])).split(len(sampled))
        with torch.no_grad():
            reference_logits = self.reference(sampled)
        entropy, divergence = entropy_and_divergence(logits, reference_logits)
        nll = -log_probability(real_logits, given).mean()
        count = free.sum()
        means = [(value.detach() * free).sum() / (count * len(sampled)) for value in (entropy, divergence)]
        returns = credited_scores(rewards_of_codes(scores, self.maps), options.credit, options.discount)
        returns = returns / self._spread(returns, free)
        if learn:
            regular = options.entropy_weight * entropy - options.kl_weight * divergence
            baseline = leave_one_out(with_later(returns, regular, free))
            gain = surrogate(log_probability(logits, sampled), returns, baseline, regular, free).mean() / count
            self._policy_optimizer.zero_grad()
            (options.likelihood_weight * nll - gain).backward()
            torch.nn.utils.clip_grad_norm_(self.prior.parameters(), _LARGEST_GRADIENT)
            self._policy_optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(self.average.parameters(), self.prior.parameters(), strict=True):
                    slow.lerp_(fast, 1 - options.average_decay)
        return means[0], means[1], nll.detach()

    def _spread(self, returns: Tensor, free: Tensor) -> Tensor:
        """Running standard deviation of the returns about their baseline, a scalar."""
        spread = (returns - leave_one_out(returns))[:, free].square().mean().sqrt().clamp_min(1e-8)
        self._scale = spread if self._scale is None else self._scale.lerp(spread, 1 - _SCALE_MEMORY)
        return self._scale
