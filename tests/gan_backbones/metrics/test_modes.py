"""Mode coverage on mixtures whose answer is known."""

import math

import pytest
import torch
from torch import Tensor

from gan_backbones.metrics import high_quality_share, mode_coverage

SIGMA = 0.05


def ring(modes: int) -> Tensor:
    angles = 2 * math.pi * torch.arange(modes) / modes
    return 1.5 * torch.stack([angles.cos(), angles.sin()], dim=-1)


def sample(centres: Tensor, count: int, seed: int = 0) -> Tensor:
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return centres[torch.arange(count) % len(centres)] + SIGMA * noise


def test_exact_mixture_is_covered_and_as_good_as_theory_says() -> None:
    centres = ring(8)
    points = sample(centres, 20_000)
    assert mode_coverage(points, centres, SIGMA) == 1
    expected = 1 - math.exp(-4.5)
    assert high_quality_share(points, centres, SIGMA).item() == pytest.approx(expected, abs=0.003)
    narrow = high_quality_share(points, centres, SIGMA, within=1.0).item()
    assert narrow == pytest.approx(1 - math.exp(-0.5), abs=0.01)


@pytest.mark.parametrize("covered", [1, 3, 8])
def test_missing_modes_are_counted(covered: int) -> None:
    centres = ring(8)
    points = sample(centres[:covered], 512)
    assert mode_coverage(points, centres, SIGMA).item() == pytest.approx(covered / 8)
    assert high_quality_share(points, centres, SIGMA).item() > 0.95


def test_threshold_is_a_fifth_of_the_fair_count() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    for stray, expected in ((9, 0.5), (10, 1.0)):  # 0.2 * 100 / 2 = 10
        points = centres[torch.tensor([0] * (100 - stray) + [1] * stray)]
        assert mode_coverage(points, centres, SIGMA).item() == expected


def test_radius_is_in_units_of_sigma() -> None:
    centres = torch.zeros(1, 2, dtype=torch.float64)
    points = torch.tensor([[0.29, 0.0], [0.0, -0.31], [0.21, 0.21], [0.22, 0.22]], dtype=torch.float64)
    assert high_quality_share(points, centres, 0.1).item() == 0.5
    assert high_quality_share(points, centres, 0.1, within=3.5).item() == 1


def test_a_point_counts_for_its_nearest_mode_only() -> None:
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    points = torch.tensor([[0.4, 0.0]]).expand(50, 2)  # within 3 sigma of both
    assert mode_coverage(points, centres, 1.0).item() == 0.5


def test_bad_points_belong_nowhere_and_rows_are_independent() -> None:
    centres = ring(4)
    batch = sample(centres, 400).repeat(3, 1, 1)
    batch[1] = math.nan
    batch[2, ::2] = math.inf  # modes 0 and 2
    assert mode_coverage(batch, centres, SIGMA).tolist() == [1.0, 0.0, 0.5]
    share = high_quality_share(batch, centres, SIGMA)
    assert share[1] == 0
    assert share[2].item() == pytest.approx(share[0].item() / 2, abs=0.02)


def test_arguments_are_checked() -> None:
    points, centres = torch.zeros(5, 2), torch.zeros(3, 2)
    with pytest.raises(ValueError, match="points"):
        mode_coverage(points[:, :1], centres, 1.0)
    with pytest.raises(ValueError, match="centres"):
        mode_coverage(points, centres[:0], 1.0)
    with pytest.raises(ValueError, match="positive"):
        high_quality_share(points, centres, 0.0)
