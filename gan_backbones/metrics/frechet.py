"""Frechet distance between Gaussians, for one population or for many at once.

    d^2(N(m_a, C_a), N(m_b, C_b)) = |m_a - m_b|^2 + tr(C_a) + tr(C_b) - 2 tr((C_a^(1/2) C_b C_a^(1/2))^(1/2))

(Dowson and Landau 1982, eq. 16; on features of images: Heusel et al. 2017, arXiv 1706.08500, eq. 6.) It is the squared
2-Wasserstein distance of the Gaussians. Estimated from n samples it is biased upwards by a term of order d/n
(Chong and Forsyth 2020, arXiv 1911.07023): compare only values with equal n.

Everything is float64 and uses symmetric matrices only, so no value is ever complex.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from gan_backbones.metrics.moments import FeatureMoments


def gaussian_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased (n - 1) covariance of features, accumulated in float64.

    Args:
        features: (..., n, d), n >= 2.

    Returns:
        mean (..., d) and covariance (..., d, d), float64.

    Raises:
        ValueError: if there are fewer than two samples.
    """
    mean, centred = _centred(features)
    return mean, centred.mT @ centred / (features.shape[-2] - 1)


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> Tensor:
    """Squared Frechet (2-Wasserstein) distance between Gaussians.

    The trace term is the sum of the singular values of C_a^(1/2) C_b^(1/2), which keeps full precision where a
    covariance is rank-deficient: the square root of an eigenvalue that is zero up to round-off never enters alone.

    Args:
        mean_a, mean_b: (..., d).
        cov_a, cov_b: (..., d, d), symmetric positive semi-definite. Leading axes broadcast.

    Returns:
        (...) float64, >= 0; infinite where an input is not finite.

    Raises:
        ValueError: if the last axes disagree.
    """
    width = mean_a.shape[-1]
    shapes_agree = mean_b.shape[-1:] == (width,) and cov_a.shape[-2:] == cov_b.shape[-2:] == (width, width)
    if not shapes_agree:
        shapes = [tuple(value.shape) for value in (mean_a, cov_a, mean_b, cov_b)]
        raise ValueError(f"means must be (..., d) and covariances (..., d, d) with one d, got {shapes}")
    mean_a, cov_a, mean_b, cov_b = (value.double() for value in (mean_a, cov_a, mean_b, cov_b))
    safe_a, safe_b = _zero_where_not_finite(cov_a), _zero_where_not_finite(cov_b)
    product = _zero_where_not_finite(symmetric_root(safe_a) @ symmetric_root(safe_b))
    return _assemble(mean_a - mean_b, _trace(cov_a), _trace(cov_b), torch.linalg.svdvals(product).sum(-1))


def symmetric_root(covariance: Tensor) -> Tensor:
    """Positive semi-definite square root of symmetric (..., d, d), float64; eigenvalues below round-off count as 0."""
    values, vectors = torch.linalg.eigh(covariance.double())
    return (vectors * _roots(values)[..., None, :]) @ vectors.mT


class GaussianReference:
    """A Gaussian fitted to real features, ready for its distance to many populations of generated ones.

    Args:
        mean: (d,).
        covariance: (d, d), symmetric positive semi-definite.

    Raises:
        ValueError: on other shapes or non-finite values.
    """

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            shapes = (tuple(mean.shape), tuple(covariance.shape))
            raise ValueError(f"mean must be (d,) and covariance (d, d), got {shapes}")
        if not (mean.isfinite().all() and covariance.isfinite().all()):
            raise ValueError("the reference's mean and covariance must be finite; check the features it is fitted to")
        self.mean = mean.double()
        self.covariance = covariance.double()

    @classmethod
    def fit(cls, features: Tensor) -> GaussianReference:
        """The reference of real features (n, d), n >= 2."""
        if features.ndim != 2:
            raise ValueError(f"features must be (n, d), got {tuple(features.shape)}")
        moments = FeatureMoments.of(features)
        return cls(moments.mean, moments.covariance)

    def to(self, device: torch.device | str) -> GaussianReference:
        """The same reference on another device."""
        return GaussianReference(self.mean.to(device), self.covariance.to(device))

    @cached_property
    def root(self) -> Tensor:
        """(d, d) positive semi-definite square root of the covariance; computed on first use."""
        return symmetric_root(self.covariance)

    def distance(self, features: Tensor) -> Tensor:
        """Squared Frechet distance of each population of features to the reference.

        With n >= d the trace term comes from the eigenvalues of R C R, R the reference's root and C the population's
        covariance (d x d). With n < d it comes from those of X S X^T / (n - 1), X the centred features and S the
        reference's covariance (n x n): the non-zero eigenvalues are the same, and nothing of size d is decomposed.

        Args:
            features: (..., n, d), n >= 2.

        Returns:
            (...) float64, >= 0; infinite for a population with a non-finite feature, the other rows unaffected.

        Raises:
            ValueError: if d is not the reference's, or n < 2.
        """
        if features.shape[-1] != len(self.mean):
            raise ValueError(f"features must be (..., n, {len(self.mean)}), got {tuple(features.shape)}")
        count, width = features.shape[-2:]
        mean, centred = _centred(features)
        trace = centred.square().sum((-2, -1)) / (count - 1)
        scaled = _zero_where_not_finite(centred) / (count - 1) ** 0.5
        if count < width:
            matrix = scaled @ self.covariance @ scaled.mT
        else:
            projected = scaled @ self.root
            matrix = projected.mT @ projected
        values = torch.linalg.eigvalsh(_zero_where_not_finite(matrix))
        return _assemble(mean - self.mean, trace, _trace(self.covariance), _roots(values).sum(-1))


class DiagonalReference:
    """A Gaussian with independent coordinates, fitted to real features.

    Between two of them the squared Frechet distance is |m_a - m_b|^2 + |s_a - s_b|^2, s the standard deviations. Of
    Gaussians that have these means and variances and any correlations, no pair is closer. It needs no decomposition,
    so that any number of populations cost a few elementwise operations, on any device.

    Args:
        mean, deviation: (d,).
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean = mean.double()
        self.deviation = deviation.double()

    @classmethod
    def fit(cls, features: Tensor) -> DiagonalReference:
        """The reference of real features (n, d), n >= 2."""
        features = features.double()
        return cls(features.mean(0), features.std(0))

    def to(self, device: torch.device | str) -> DiagonalReference:
        """The same reference on another device."""
        return DiagonalReference(self.mean.to(device), self.deviation.to(device))

    def distance(self, features: Tensor, deviation_weight: float = 1.0) -> tuple[Tensor, Tensor]:
        """Squared distance of each population of features (..., n, d) to the reference, and each one's spread.

        Args:
            features: of one or more populations.
            deviation_weight: of |s_a - s_b|^2 against |m_a - m_b|^2; 1 gives the Frechet distance, more asks for
                variety.

        Returns:
            (...) float64 each: the distance, infinite for a population with a non-finite feature; and the root of
            the population's total variance over the reference's.
        """
        features = features.double()
        deviation = features.std(-2)
        squares = (features.mean(-2) - self.mean).square() + deviation_weight * (deviation - self.deviation).square()
        distance = squares.sum(-1)
        spread = deviation.norm(dim=-1) / self.deviation.norm()
        return torch.where(distance.isfinite(), distance, torch.inf), spread


def _centred(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (..., d) and features minus mean (..., n, d), float64."""
    if features.ndim < 2 or features.shape[-2] < 2:
        raise ValueError(f"features must be (..., n, d) with at least 2 samples, got {tuple(features.shape)}")
    features = features.double()
    mean = features.mean(-2)
    return mean, features - mean[..., None, :]


def _assemble(offset: Tensor, trace_a: Tensor, trace_b: Tensor, root_trace: Tensor) -> Tensor:
    """Adds up the terms: round-off below 0 becomes 0; NaN, which only bad inputs cause, becomes infinity."""
    distance = offset.square().sum(-1) + trace_a + trace_b - 2 * root_trace
    return torch.where(distance.isfinite(), distance.clamp_min(0), torch.inf)


def _roots(values: Tensor) -> Tensor:
    """Square roots of ascending eigenvalues (..., d); those below round-off are zeros, whose roots would be 1e-8."""
    round_off = torch.finfo(torch.float64).eps * values.shape[-1] * values[..., -1:].abs()
    return torch.where(values > round_off, values, 0.0).sqrt()


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


def _zero_where_not_finite(matrix: Tensor) -> Tensor:
    """Replaces matrices with any non-finite entry by zeros: LAPACK raises on them, which would fail the whole batch."""
    return torch.where(matrix.isfinite().all(-1).all(-1)[..., None, None], matrix, 0.0)
