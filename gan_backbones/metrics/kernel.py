"""Kernel distance between two sets of features: KID, the squared maximum mean discrepancy of a cubic kernel.

    k(x, y) = (x . y / d + 1)^3

(Binkowski et al. 2018, arXiv 1801.01401, section 3.) Unlike the Frechet distance its estimate has no bias, so values
with different n may be compared, and an estimate may be negative.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SUBSETS, SUBSET_SIZE = 100, 1000
"""As in torch-fidelity."""


class KernelDistance(NamedTuple):
    """What subsets of the features say."""

    mean: float
    """Mean over the subsets: the estimate."""
    deviation: float
    """Standard deviation over the subsets, which torch-fidelity prints: the error of *one subset*, not of the mean."""
    error: float
    """Standard error of the mean as an estimate for the distributions, from all samples."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the distributions' distance."""
        return self.mean - 1.96 * self.error, self.mean + 1.96 * self.error


def kernel_distance(
    features: Tensor, real: Tensor, *, seed: int, subsets: int = SUBSETS, subset_size: int | None = None
) -> KernelDistance:
    """Mean of the unbiased estimates on random subsets, drawn without repetition within each.

    The subsets are those of torch-fidelity for the same seed, when `features` is its first input. The standard error
    follows from the deviation by subsampling (Politis and Romano 1994, Annals of Statistics 22, theorem 2.1, with
    the usual correction for finite n): variances fall as 1 / n, and subsets that share samples vary too little by
    1 - m / n. It is right where the distributions differ, and too large where they are equal.

    Args:
        features: (n, d) of generated images.
        real: (n', d) of real ones.
        seed: of the subsets.
        subsets: how many.
        subset_size: m; by default 1000, or half of the smaller set where that is less.

    Raises:
        ValueError: on other shapes, a feature that is not finite, or subsets that the sets cannot give.
    """
    if features.ndim != 2 or real.ndim != 2 or features.shape[1] != real.shape[1]:
        raise ValueError(f"features must be (n, d) with one d, got {tuple(features.shape)} and {tuple(real.shape)}")
    fewest = min(len(features), len(real))
    size = min(SUBSET_SIZE, fewest // 2) if subset_size is None else subset_size
    if not 2 <= size <= fewest or subsets < 2:
        raise ValueError(
            f"a kernel distance needs 2 subsets of 2 samples or more; {subsets} of {size} cannot be drawn from "
            f"{len(features)} and {len(real)}"
        )
    if not (features.isfinite().all() and real.isfinite().all()):
        raise ValueError("features must be finite")
    rng = np.random.RandomState(seed)  # frozen by NumPy's policy, hence the same subsets for ever
    estimates = []
    for _ in range(subsets):
        chosen = rng.choice(len(features), size, replace=False)
        partners = rng.choice(len(real), size, replace=False)
        estimates.append(squared_mmd(features[chosen], real[partners]))
    values = torch.stack(estimates)
    deviation = float(values.std(correction=0))
    share = size / fewest
    error = deviation * (share / (1 - share)) ** 0.5 if share < 1 else float("nan")
    return KernelDistance(float(values.mean()), deviation, error)


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy of (m, d) and (m', d); float64, may be negative."""
    a, b = a.double(), b.double()

    def kernel(left: Tensor, right: Tensor) -> Tensor:
        return (left @ right.mT / left.shape[1] + 1).pow(3)

    def among(points: Tensor) -> Tensor:
        gram = kernel(points, points)
        return (gram.sum() - gram.diagonal().sum()) / (len(points) * (len(points) - 1))

    return among(a) + among(b) - 2 * kernel(a, b).mean()
