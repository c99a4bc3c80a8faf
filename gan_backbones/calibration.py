"""A discriminator's logits turned into honest probabilities, as samplers that divide by them need."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_ITERATIONS = 50
_RIDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """``sigmoid(scale * logit + offset)`` is the probability that an image is real, among as many real as generated."""

    scale: float = 1.0
    offset: float = 0.0

    def logits(self, logits: Tensor) -> Tensor:
        """Calibrated logits, same shape."""
        return self.scale * logits + self.offset


def calibrate(real_logits: Tensor, fake_logits: Tensor) -> Calibration:
    """Platt scaling: logistic regression of "real" on the logit (Platt 1999, "Probabilistic outputs for SVMs").

    Both kinds count half, whatever their numbers. As there, the targets are (n + 1) / (n + 2) and 1 / (n + 2) instead
    of 1 and 0, so that the answer is finite where the logits separate the two kinds. Newton's method in float64.

    Args:
        real_logits, fake_logits: (n,) and (m,), of images that the discriminator was not trained on where possible.

    Raises:
        ValueError: where either is empty or not finite.
    """
    if min(len(real_logits), len(fake_logits)) < 1:
        raise ValueError("a calibration needs logits of real and of generated images")
    logits = torch.cat([real_logits, fake_logits]).double().cpu()
    if not logits.isfinite().all():
        raise ValueError("a calibration needs finite logits")
    n, m = len(real_logits), len(fake_logits)
    targets = torch.cat([torch.full((n,), (n + 1) / (n + 2)), torch.full((m,), 1 / (m + 2))]).double()
    weights = torch.cat([torch.full((n,), 0.5 / n), torch.full((m,), 0.5 / m)]).double()
    # In units in which the problem is well conditioned; the answer is told in the caller's.
    centre, spread = logits.mean(), logits.std(correction=0).clamp_min(1e-12)
    design = torch.stack([(logits - centre) / spread, torch.ones_like(logits)], dim=1)
    parameters = torch.zeros(2, dtype=torch.float64)
    ridge = _RIDGE * torch.eye(2, dtype=torch.float64)

    def loss(candidate: Tensor) -> Tensor:
        scores = design @ candidate
        return (weights * (torch.nn.functional.softplus(scores) - targets * scores)).sum() + (
            candidate @ ridge @ candidate
        ) / 2

    for _ in range(_ITERATIONS):
        probabilities = torch.sigmoid(design @ parameters)
        gradient = design.T @ (weights * (probabilities - targets)) + ridge @ parameters
        hessian = design.T @ (design * (weights * probabilities * (1 - probabilities))[:, None]) + ridge
        step = torch.linalg.solve(hessian, gradient)
        before = loss(parameters)
        while (
            loss(parameters - step) > before and float(step.norm()) > 1e-12
        ):  # far from the solution Newton overshoots
            step = step / 2
        parameters = parameters - step
        if float(step.norm()) < 1e-12:
            break
    scale = float(parameters[0] / spread)
    return Calibration(scale, float(parameters[1] - parameters[0] * centre / spread))
