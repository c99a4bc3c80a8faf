"""Adam on flat parameters, every hyperparameter a tensor with one value per replica."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-8
ADAM_BETAS = (0.5, 0.999)
"""Those of DCGAN (arXiv 1511.06434, section 4) and of most GANs since."""


@dataclass(frozen=True)
class AdamState:
    """Moments and step counts of N replicas with P parameters each.

    ``exp_avg`` and ``exp_avg_sq`` are ``(N, P)``, ``steps`` is ``(N,)`` in the parameters' dtype.
    """

    exp_avg: Tensor
    exp_avg_sq: Tensor
    steps: Tensor

    @classmethod
    def zeros_like(cls, parameters: Tensor) -> AdamState:
        """The state before the first step for ``parameters`` of shape ``(N, P)``."""
        return cls(torch.zeros_like(parameters), torch.zeros_like(parameters), parameters.new_zeros(len(parameters)))

    def rows(self, rows: slice) -> AdamState:
        """A view of some replicas."""
        return AdamState(self.exp_avg[rows], self.exp_avg_sq[rows], self.steps[rows])

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.exp_avg, self.exp_avg_sq, self.steps

    @torch.no_grad()
    def direction(self, betas: Tensor, epsilon: float = EPSILON) -> Tensor:
        """Adam's bias-corrected direction ``m_hat / (sqrt(v_hat) + eps)``, ``(N, P)``; zero before the first step.

        ``betas`` is ``(N, 2)``. The next update is ``-learning_rate`` times this.
        """
        steps = self.steps.clamp(min=1).unsqueeze(1)
        first, second = betas[:, :1], betas[:, 1:]
        return corrected_direction(self.exp_avg, self.exp_avg_sq, 1 - first**steps, (1 - second**steps).sqrt(), epsilon)


@torch.no_grad()
def corrected_direction(
    exp_avg: Tensor, exp_avg_sq: Tensor, first: Tensor | float, second: Tensor | float, epsilon: float
) -> Tensor:
    """Adam's direction in the moments' shape, ``(exp_avg / first) / (sqrt(exp_avg_sq) / second + epsilon)``.

    ``first`` is ``1 - beta_1^t``, ``second`` the root of ``1 - beta_2^t`` (Kingma & Ba, arXiv 1412.6980, algorithm 1).
    """
    denominator = exp_avg_sq.sqrt().div_(second).add_(epsilon)
    return torch.div(exp_avg, denominator).div_(first)


@torch.no_grad()
def adam_step(
    parameters: Tensor,
    gradients: Tensor,
    state: AdamState,
    learning_rate: Tensor,
    betas: Tensor,
    gate: Tensor | None = None,
) -> None:
    """One step of Adam (Kingma & Ba, arXiv 1412.6980, algorithm 1) in place.

    ``parameters`` and ``gradients`` are ``(N, P)``, ``learning_rate`` is ``(N,)``, ``betas`` is ``(N, 2)``. Replicas
    whose ``gate`` ``(N,)`` is 0 stay as they are; those with 1 step.
    """
    fresh = 1 - betas
    if gate is not None:
        fresh, learning_rate = fresh * gate.unsqueeze(1), learning_rate * gate
    state.steps.add_(1 if gate is None else gate)
    state.exp_avg.lerp_(gradients, fresh[:, :1])
    state.exp_avg_sq.lerp_(gradients.square(), fresh[:, 1:])
    parameters.sub_(state.direction(betas).mul_(learning_rate.unsqueeze(1)))
