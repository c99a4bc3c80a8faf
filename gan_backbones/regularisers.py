"""Terms beside the adversarial loss. Which ones exist is fixed when a population is built; their weights are knobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.1
"""Of the contrastive term's similarities; within the range of Chen et al., arXiv 2002.05709, table 5."""
_SMALLEST_NORM = 1e-12


@dataclass(frozen=True)
class FeatureRegulariser:
    """A term of the generator's loss that compares discriminator features.

    ``penalty(real_features, fake_features)`` takes ``(..., batch, *feature_shape)`` each, gradients flowing through
    the second only, and gives ``(...)``. ``knob`` names its weight.
    """

    knob: str
    penalty: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class GradientRegulariser:
    """A term of the discriminator's loss made of the gradient of its logits with respect to its input.

    ``at`` says where: at real samples, or at random points between real and generated ones. ``penalty`` maps squared
    gradient norms ``(..., batch)``, one per sample, to numbers of the same shape. ``knob`` names its weight. It costs
    a second backward pass.
    """

    knob: str
    at: Literal["real", "between"]
    penalty: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AuxiliaryRegulariser:
    """The adversarial loss of a second head of the discriminator, in both networks' losses.

    The head, ``auxiliary(features)`` of the discriminator, is given the real and the generated half of a batch apart,
    so that it can judge a batch as a whole; see :data:`~gan_backbones.backbone.PAIR_KNOBS`. ``knob`` names its weight.
    """

    knob: str


Regulariser = FeatureRegulariser | GradientRegulariser | AuxiliaryRegulariser


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """Mean over features of the squared difference of batch means (Salimans et al., arXiv 1606.03498, section 3.1).

    ``(..., batch, features) -> (...)``. The paper sums over features; the mean keeps one weight right for every width.
    """
    return (real_features.mean(-2) - fake_features.mean(-2)).square().mean(-1)


def contrastive(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """Draws each generated sample to the real ones and away from the other generated ones.

    InfoNCE (van den Oord et al., arXiv 1807.03748, equation 4) on the cosine similarity of features, with real
    samples as positives and the rest of the generated batch as negatives:

        -log( mean_j e^(s(f_i, r_j) / T) / (mean_j e^(s(f_i, r_j) / T) + mean_(k != i) e^(s(f_i, f_k) / T)) ),

    averaged over i. ln 2 where generated samples are as like the data as they are like each other; more where they
    crowd together. ``(..., batch, features) -> (...)``; a batch of one has no negatives and gives 0.
    """
    count = fake_features.shape[-2]
    if count < 2:
        return fake_features.sum((-2, -1)) * 0
    real, fake = F.normalize(real_features, dim=-1), F.normalize(fake_features, dim=-1)
    itself = torch.eye(count, dtype=torch.bool, device=fake.device)
    positives = (fake @ real.mT / TEMPERATURE).logsumexp(-1) - math.log(real.shape[-2])
    negatives = (fake @ fake.mT / TEMPERATURE).masked_fill(itself, -torch.inf).logsumexp(-1) - math.log(count - 1)
    return F.softplus(negatives - positives).mean(-1)


def r1(squared_norms: Tensor) -> Tensor:
    """``||grad D(x)||^2 / 2`` at real samples (Mescheder et al., arXiv 1801.04406, equation 9)."""
    return squared_norms / 2


def gradient_penalty(squared_norms: Tensor) -> Tensor:
    """``(||grad D|| - 1)^2`` between real and generated samples (Gulrajani et al., arXiv 1704.00028, equation 3)."""
    return ((squared_norms + _SMALLEST_NORM).sqrt() - 1).square()  # the root has no slope at 0


REGULARISERS: Mapping[str, Regulariser] = {
    "feature_matching": FeatureRegulariser("fm_weight", feature_matching),
    "contrastive": FeatureRegulariser("contrastive_weight", contrastive),
    "r1": GradientRegulariser("r1_weight", "real", r1),
    "gradient_penalty": GradientRegulariser("gp_weight", "between", gradient_penalty),
    "auxiliary": AuxiliaryRegulariser("aux_weight"),
}
