"""Sliced Wasserstein distances against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from gan_backbones.metrics import fixed_directions, squared_sliced_wasserstein


def points(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_directions_are_unit_vectors_at_equal_angles() -> None:
    directions = fixed_directions(7, seed=3)
    angles = torch.atan2(directions[:, 1], directions[:, 0])
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(angles.diff(), torch.full((6,), math.pi / 7, dtype=torch.float64))
    assert 0 <= angles[0] < math.pi / 7


def test_directions_depend_on_the_seed_alone() -> None:
    state = torch.get_rng_state()
    assert torch.equal(fixed_directions(4, seed=1), fixed_directions(4, seed=1))
    assert not torch.equal(fixed_directions(4, seed=1), fixed_directions(4, seed=2))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="at least 1"):
        fixed_directions(0, seed=1)


@pytest.mark.parametrize("count", [2, 5, 32])
def test_shifted_set_costs_half_the_squared_shift(count: int) -> None:
    # The mean of (v.u)^2 over equally spaced directions is |v|^2 / 2, exactly, from two directions on.
    original = points(100)
    shifted = original[torch.randperm(100)] + torch.tensor([3.0, -1.0], dtype=torch.float64)
    distance = squared_sliced_wasserstein(shifted, original, fixed_directions(count, seed=0))
    assert distance.item() == pytest.approx((9 + 1) / 2, rel=1e-12)


def test_scaled_set_costs_the_squared_difference_of_scales() -> None:
    original = points(50)
    distance = squared_sliced_wasserstein(3 * original, original, fixed_directions(8, seed=0))
    assert distance.item() == pytest.approx(4 * original.square().sum(-1).mean().item() / 2, rel=1e-12)


def test_one_direction_by_hand() -> None:
    a = torch.tensor([[0.0, 9.0], [4.0, 9.0]])
    b = torch.tensor([[1.0, 0.0], [2.0, 5.0]])
    axis = torch.tensor([[1.0, 0.0]])
    assert squared_sliced_wasserstein(a, b, axis).item() == pytest.approx((1 + 4) / 2)  # 0 to 1, 4 to 2
    assert squared_sliced_wasserstein(a, a.flip(0), axis).item() == 0


def test_rows_of_a_batch_equal_single_rows() -> None:
    a, shared, own = points(3, 4, 20, seed=1), points(20, seed=2), points(3, 4, 20, seed=3)
    directions = fixed_directions(6, seed=0)
    with_shared = squared_sliced_wasserstein(a, shared, directions)
    with_own = squared_sliced_wasserstein(a, own, directions)
    assert with_shared.shape == with_own.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            alone = squared_sliced_wasserstein(a[i, j], shared, directions)
            torch.testing.assert_close(with_shared[i, j], alone, rtol=1e-13, atol=0)
            alone = squared_sliced_wasserstein(a[i, j], own[i, j], directions)
            torch.testing.assert_close(with_own[i, j], alone, rtol=1e-13, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_bad_row_is_infinite_and_isolated(bad: float) -> None:
    a, b = points(3, 20), points(20, seed=1)
    directions = fixed_directions(6, seed=0)
    clean = squared_sliced_wasserstein(a, b, directions)
    a[1, 5, 0] = bad
    distance = squared_sliced_wasserstein(a, b, directions)
    assert distance[1] == math.inf
    assert torch.equal(distance[[0, 2]], clean[[0, 2]])


def test_sizes_and_shapes_are_checked() -> None:
    directions = fixed_directions(4, seed=0)
    with pytest.raises(ValueError, match="21 and 20"):
        squared_sliced_wasserstein(points(21), points(20), directions)
    with pytest.raises(ValueError, match=r"\(k, 2\)"):
        squared_sliced_wasserstein(torch.zeros(5, 3), points(5), directions)
