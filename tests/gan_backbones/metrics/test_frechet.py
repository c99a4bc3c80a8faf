"""Frechet distances against closed forms, a second derivation and a third in 50 digits."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from gan_backbones.metrics import DiagonalReference, GaussianReference, frechet_distance, gaussian_statistics


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_gaussian(width: int, seed: int) -> tuple[Tensor, Tensor]:
    factor = draw(width, width + 2, seed=seed)
    return draw(width, seed=seed + 1000), factor @ factor.T / width


def by_matrix_root(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The textbook formula with the square root of the non-symmetric product."""
    root = sqrtm((cov_a @ cov_b).numpy())
    offset = (mean_a - mean_b).square().sum()
    return float(offset + torch.trace(cov_a) + torch.trace(cov_b)) - 2 * float(np.trace(root).real)


def test_one_dimension_is_difference_of_means_and_of_deviations() -> None:
    distance = frechet_distance(
        torch.tensor([1.0]), torch.tensor([[4.0]]), torch.tensor([-2.0]), torch.tensor([[0.25]])
    )
    assert distance.dtype == torch.float64
    assert distance.item() == pytest.approx(3.0**2 + (2.0 - 0.5) ** 2, rel=1e-14)


def test_diagonal_covariances_add_up_by_axis() -> None:
    deviations_a, deviations_b = draw(6, seed=1).abs(), draw(6, seed=2).abs()
    mean_a, mean_b = draw(6, seed=3), draw(6, seed=4)
    expected = (mean_a - mean_b).square().sum() + (deviations_a - deviations_b).square().sum()
    distance = frechet_distance(mean_a, deviations_a.square().diag(), mean_b, deviations_b.square().diag())
    torch.testing.assert_close(distance, expected, rtol=1e-12, atol=0)


def test_scaled_covariance_of_any_shape() -> None:
    mean, cov = random_gaussian(8, seed=5)
    expected = (3 - 1) ** 2 * torch.trace(cov)  # C and 9 C share their eigenvectors
    torch.testing.assert_close(frechet_distance(mean, cov, mean, 9 * cov), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_identical_gaussians_have_distance_zero(rank: int) -> None:
    factor = draw(16, rank, seed=6)
    mean, cov = draw(16, seed=7), factor @ factor.T
    cov = cov / torch.trace(cov)
    assert 0 <= frechet_distance(mean, cov, mean, cov).item() < 1e-12


def test_against_matrix_square_root() -> None:
    pair = (*random_gaussian(12, seed=8), *random_gaussian(12, seed=9))
    assert frechet_distance(*pair).item() == pytest.approx(by_matrix_root(*pair), rel=1e-9)


def test_against_fifty_digits() -> None:
    mean_a, cov_a = random_gaussian(3, seed=10)
    mean_b, cov_b = random_gaussian(3, seed=11)
    with mpmath.workdps(50):
        root = mpmath.sqrtm(mpmath.matrix(cov_a.tolist()) * mpmath.matrix(cov_b.tolist()))
        expected = sum(
            (mpmath.mpf(a) - mpmath.mpf(b)) ** 2 for a, b in zip(mean_a.tolist(), mean_b.tolist(), strict=True)
        )
        expected += sum(mpmath.mpf(v) for v in [*cov_a.diagonal().tolist(), *cov_b.diagonal().tolist()])
        expected -= 2 * sum(mpmath.re(root[i, i]) for i in range(3))
    assert frechet_distance(mean_a, cov_a, mean_b, cov_b).item() == pytest.approx(float(expected), rel=1e-12)


def test_rank_deficient_covariances_in_different_subspaces() -> None:
    # Along the first axis against along a diagonal: tr sqrt is |cos| of the angle times both deviations.
    axis = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    diagonal = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    distance = frechet_distance(zero, 4 * axis.outer(axis), zero, diagonal.outer(diagonal))
    assert distance.item() == pytest.approx(4 + 2 - 2 * 2 * 1, rel=1e-12)


def test_leading_axes_broadcast() -> None:
    means, covs = zip(*(random_gaussian(4, seed=20 + i) for i in range(3)), strict=True)
    mean, cov = random_gaussian(4, seed=30)
    batch = frechet_distance(torch.stack(means)[:, None], torch.stack(covs)[:, None], mean, cov)
    assert batch.shape == (3, 1)
    for row in range(3):
        torch.testing.assert_close(batch[row, 0], frechet_distance(means[row], covs[row], mean, cov))


@given(st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_symmetric_and_not_negative(width: int, seed: int) -> None:
    a, b = random_gaussian(width, seed), random_gaussian(width, seed + 1)
    there, back = frechet_distance(*a, *b), frechet_distance(*b, *a)
    assert there >= 0
    torch.testing.assert_close(there, back, rtol=1e-9, atol=1e-12)


def test_not_finite_input_gives_infinity_in_its_row_only() -> None:
    mean, cov = random_gaussian(4, seed=40)
    covs = torch.stack([cov, cov.clone(), 2 * cov])
    covs[1, 2, 2] = torch.nan
    distance = frechet_distance(mean, covs, mean, cov)
    assert distance.isfinite().tolist() == [True, False, True]
    assert distance[1] == torch.inf


def test_fewer_samples_than_two_thousand_features() -> None:
    """The trace term is the nuclear norm of the product of the centred features, which is small and well behaved."""
    a, b = (draw(count, 2048, seed=count) * torch.linspace(0.1, 2, 2048).double() for count in (64, 300))
    (mean_a, cov_a), (mean_b, cov_b) = gaussian_statistics(a), gaussian_statistics(b + 0.1)
    left, right = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    nuclear = torch.linalg.svdvals(left @ right.mT).sum()
    expected = (mean_a - mean_b).square().sum() + left.square().sum() + right.square().sum() - 2 * nuclear
    assert frechet_distance(mean_a, cov_a, mean_b, cov_b).item() == pytest.approx(expected.item(), rel=1e-9)


def test_constant_images_are_as_far_as_their_offset_and_the_others_variance() -> None:
    features = draw(50, 30, seed=45)
    mean, cov = gaussian_statistics(features)
    flat, none = gaussian_statistics(torch.full((50, 30), 0.3))
    expected = (flat - mean).square().sum() + torch.trace(cov)
    torch.testing.assert_close(frechet_distance(flat, none, mean, cov), expected, rtol=1e-12, atol=0)
    assert frechet_distance(flat, none, flat, none).item() == 0


def test_against_torch_fidelity() -> None:
    a, b = draw(400, 64, seed=46), draw(300, 64, seed=47) * 1.2 + 0.1
    statistics = [fid_features_to_statistics(features) for features in (a, b)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    distance = frechet_distance(*gaussian_statistics(a), *gaussian_statistics(b))
    assert distance.item() == pytest.approx(expected, rel=1e-9)


def test_shapes_are_checked() -> None:
    mean, cov = random_gaussian(4, seed=41)
    with pytest.raises(ValueError, match="one d"):
        frechet_distance(mean, cov, mean[:3], cov)
    with pytest.raises(ValueError, match="at least 2"):
        gaussian_statistics(mean[None])


def test_statistics_agree_with_numpy_and_accumulate_in_double() -> None:
    features = (draw(50, 3, seed=50) + 1e4).float()
    mean, cov = gaussian_statistics(features.expand(2, 50, 3))
    assert mean.shape == (2, 3) and cov.shape == (2, 3, 3) and cov.dtype == torch.float64
    np.testing.assert_allclose(cov[1].numpy(), np.cov(features.double().numpy().T), rtol=1e-9)
    np.testing.assert_allclose(mean[0].numpy(), features.double().numpy().mean(0), rtol=1e-14)


class TestGaussianReference:
    """The batched form against the plain one."""

    @pytest.mark.parametrize(("count", "width"), [(40, 5), (5, 5), (6, 20), (2, 20)])
    def test_agrees_with_frechet_distance(self, count: int, width: int) -> None:
        reference = GaussianReference.fit(draw(100, width, seed=60) @ draw(width, width, seed=61))
        features = draw(2, 3, count, width, seed=62) * 2 + 1
        distance = reference.distance(features)
        assert distance.shape == (2, 3) and distance.dtype == torch.float64
        expected = frechet_distance(*gaussian_statistics(features), reference.mean, reference.covariance)
        torch.testing.assert_close(distance, expected, rtol=1e-6, atol=0)

    def test_fewer_samples_than_features_against_matrix_root(self) -> None:
        reference = GaussianReference.fit(draw(60, 10, seed=63))
        features = draw(4, 10, seed=64)
        mean, cov = gaussian_statistics(features)
        ridge = 1e-12 * torch.eye(10, dtype=torch.float64)  # sqrtm needs full rank
        expected = by_matrix_root(mean, cov + ridge, reference.mean, reference.covariance)
        assert reference.distance(features).item() == pytest.approx(expected, rel=1e-4)

    def test_own_data_has_distance_zero(self) -> None:
        features = draw(64, 6, seed=65)
        assert 0 <= GaussianReference.fit(features).distance(features).item() < 1e-12

    @pytest.mark.parametrize("count", [3, 30])
    def test_repeated_sample_costs_its_offset_and_the_whole_variance(self, count: int) -> None:
        reference = GaussianReference.fit(draw(64, 8, seed=66))
        sample = draw(8, seed=67)
        expected = (sample - reference.mean).square().sum() + torch.trace(reference.covariance)
        torch.testing.assert_close(reference.distance(sample.expand(count, 8)), expected, rtol=1e-12, atol=0)

    def test_reference_of_constant_features(self) -> None:
        reference = GaussianReference.fit(torch.ones(10, 4))
        features = draw(20, 4, seed=68)
        mean, cov = gaussian_statistics(features)
        expected = (mean - 1).square().sum() + torch.trace(cov)
        torch.testing.assert_close(reference.distance(features), expected, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("count", [3, 30])
    @pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e200])
    def test_bad_row_is_infinite_and_isolated(self, count: int, bad: float) -> None:
        reference = GaussianReference.fit(draw(64, 8, seed=69))
        features = draw(4, count, 8, seed=70)
        alone = torch.stack([reference.distance(row) for row in features])
        features[2, 1, 3] = bad
        distance = reference.distance(features)
        assert distance[2] == torch.inf
        rest = [0, 1, 3]
        torch.testing.assert_close(distance[rest], alone[rest], rtol=1e-12, atol=0)

    def test_refuses_bad_statistics(self) -> None:
        with pytest.raises(ValueError, match="finite"):
            GaussianReference(torch.zeros(2), torch.full((2, 2), torch.nan))
        with pytest.raises(ValueError, match=r"\(d, d\)"):
            GaussianReference(torch.zeros(2), torch.zeros(2, 3))
        with pytest.raises(ValueError, match=r"\(n, d\)"):
            GaussianReference.fit(torch.zeros(2, 3, 4))
        with pytest.raises(ValueError, match="n, 4"):
            GaussianReference.fit(draw(9, 4)).distance(draw(9, 5))


class TestDiagonalReference:
    def test_equals_the_frechet_distance_of_diagonal_gaussians(self) -> None:
        one, other = draw(50, 5, seed=70) * 2 + 1, draw(40, 5, seed=71)
        (mean_a, cov_a), (mean_b, cov_b) = (gaussian_statistics(features) for features in (one, other))
        diagonals = [covariance.diagonal().diag() for covariance in (cov_a, cov_b)]
        expected = frechet_distance(mean_a, diagonals[0], mean_b, diagonals[1])
        distance, spread = DiagonalReference.fit(other).distance(one)
        torch.testing.assert_close(distance, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(spread, (cov_a.trace() / cov_b.trace()).sqrt(), rtol=1e-10, atol=1e-12)
        deviations = (cov_a.diagonal().sqrt() - cov_b.diagonal().sqrt()).square().sum()
        weighted, _ = DiagonalReference.fit(other).distance(one, 3.0)
        torch.testing.assert_close(weighted - distance, 2 * deviations, rtol=1e-10, atol=1e-12)

    def test_is_never_above_the_distance_with_all_correlations(self) -> None:
        for seed in range(5):
            one, other = (draw(60, 6, seed=seed + k) @ draw(6, 6, seed=seed + k + 50) for k in (80, 90))
            assert DiagonalReference.fit(other).distance(one)[0] <= GaussianReference.fit(other).distance(one)

    def test_rows_are_independent_and_not_finite_ones_are_infinitely_far(self) -> None:
        populations = torch.stack([draw(20, 3, seed=seed) for seed in (75, 76, 77)])
        populations[1, 4, 2] = torch.nan
        reference = DiagonalReference.fit(draw(20, 3, seed=78))
        distance, _ = reference.distance(populations)
        assert distance[1] == torch.inf
        for row in (0, 2):
            torch.testing.assert_close(distance[row], reference.distance(populations[row])[0])
        own, _ = DiagonalReference.fit(populations[0]).distance(populations[0])
        assert own == 0 < distance[0]
