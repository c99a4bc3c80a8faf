"""Terms beside the adversarial loss. Which ones exist is fixed when a population is built; their weights are knobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class GeneratorRegulariser:
    """A term of the generator's loss that compares discriminator features.

    ``penalty(real_features, fake_features)`` takes ``(..., batch, *feature_shape)`` each, gradients flowing through
    the second only, and gives ``(...)``. ``knob`` names its weight.
    """

    knob: str
    penalty: Callable[[Tensor, Tensor], Tensor]


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """Mean over features of the squared difference of batch means (Salimans et al., arXiv 1606.03498, section 3.1).

    ``(..., batch, features) -> (...)``. The paper sums over features; the mean keeps one weight right for every width.
    """
    return (real_features.mean(-2) - fake_features.mean(-2)).square().mean(-1)


REGULARISERS: Mapping[str, GeneratorRegulariser] = {
    "feature_matching": GeneratorRegulariser("fm_weight", feature_matching),
}
