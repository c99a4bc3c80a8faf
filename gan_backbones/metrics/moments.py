"""Mean and covariance of features that arrive in pieces, in float64 and without the features being kept."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS = 4096  # converted to float64 at once


class FeatureMoments:
    """Count, mean and covariance of all features added so far.

    Pieces are centred by themselves and joined by the pairwise update of Chan, Golub and LeVeque (1983, "Algorithms
    for computing the sample variance", eq. 2.1), so that a mean far from zero costs no digits. The result depends on
    how the features are cut into pieces by round-off only.

    Args:
        width: d, features per sample.

    Raises:
        ValueError: if width < 1.
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.count = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self._scatter = torch.zeros(width, width, dtype=torch.float64)

    @classmethod
    def of(cls, features: Tensor) -> FeatureMoments:
        """The moments of features (n, d)."""
        return cls(features.shape[-1]).add(features)

    def add(self, features: Tensor) -> FeatureMoments:
        """Take in features (n, d), n >= 0, on any device; returns itself.

        Raises:
            ValueError: on another shape.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features must be (n, {len(self.mean)}), got {tuple(features.shape)}")
        for piece in features.split(_ROWS):
            if len(piece):
                piece = piece.to("cpu", torch.float64)
                mean = piece.mean(0)
                centred = piece - mean
                self._join(len(piece), mean, centred.mT @ centred)
        return self

    def merge(self, other: FeatureMoments) -> FeatureMoments:
        """Take in what another one has seen; returns itself.

        Raises:
            ValueError: if the widths differ.
        """
        if other.mean.shape != self.mean.shape:
            raise ValueError(f"cannot merge moments of widths {len(self.mean)} and {len(other.mean)}")
        if other.count:
            self._join(other.count, other.mean, other._scatter)
        return self

    @property
    def covariance(self) -> Tensor:
        """(d, d) float64, unbiased (divided by n - 1).

        Raises:
            ValueError: with fewer than two samples.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 samples, got {self.count}")
        return self._scatter / (self.count - 1)

    def _join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        total = self.count + count
        offset = mean - self.mean
        self._scatter += scatter
        self._scatter.addr_(offset, offset, alpha=self.count * count / total)
        self.mean = self.mean + offset * (count / total)
        self.count = total
