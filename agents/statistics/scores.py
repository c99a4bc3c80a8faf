"""Normalised scores: 0 where GANs that are left alone end, 1 where the best constant rates in hindsight end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scale:
    """Two log distances that a normalised score of a suite is counted from.

    Both belong to the suite, not to a method: they stay as they are when runs or instances are resampled.
    """

    log_noop: float
    """Median over test instances of the log grade of ``noop``: score 0."""
    log_oracle: float
    """Median over test instances of the log grade of ``oracle``: score 1."""

    @classmethod
    def between(cls, noop: NDArray[np.float64], oracle: NDArray[np.float64]) -> Scale:
        """From grades of any shape, lower is better. Raises ``ValueError`` where the oracle is not better."""
        log_noop, log_oracle = float(np.median(np.log(noop))), float(np.median(np.log(oracle)))
        if not log_oracle < log_noop:
            raise ValueError("there is no scale: the oracle's median grade is not below that of noop")
        return cls(log_noop, log_oracle)

    def score(self, final: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of positive grades, elementwise. Below 0 is worse than leaving the GAN alone; above 1 is possible."""
        scores: NDArray[np.float64] = (self.log_noop - np.log(final)) / (self.log_noop - self.log_oracle)
        return scores
