"""FD-infinity: exact on a line, and closer to the distributions' distance than any finite sample's."""

import pytest
import torch

from gan_backbones.metrics import GaussianReference, frechet_infinity
from gan_backbones.metrics.infinity import extrapolate


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_points_on_a_line_give_the_line():
    counts = [10, 20, 50, 100]
    line = extrapolate(counts, [3 + 40 / n for n in counts])
    assert line.value == pytest.approx(3) and line.slope == pytest.approx(40)
    assert line.error == pytest.approx(0, abs=1e-9)


def test_error_is_that_of_a_regression_by_hand():
    # y = 1, 2, 4 at x = 1, 1/2, 1/4: by the normal equations.
    line = extrapolate([1, 2, 4], [1.0, 2.0, 4.0])
    x, y = torch.tensor([1, 0.5, 0.25], dtype=torch.float64), torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    design = torch.stack([torch.ones(3, dtype=torch.float64), x], 1)
    solution = torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
    variance = (y - design @ solution).square().sum() / 1 * torch.linalg.inv(design.T @ design)[0, 0]
    assert line.value == pytest.approx(float(solution[0])) and line.slope == pytest.approx(float(solution[1]))
    assert line.error == pytest.approx(float(variance.sqrt()))


def test_bias_is_taken_away():
    width = 24
    reference = GaussianReference(torch.zeros(width), torch.eye(width))
    features = draw(2000, width, seed=1) * 1.5
    features[:, 0] += 1
    true = 1 + width * 0.5**2
    half = reference.distance(features[:200]).item()
    found = frechet_infinity(features, reference, seed=0)
    assert abs(found.value - true) < 0.25 * abs(half - true)
    assert found.slope > 0
    assert found == frechet_infinity(features, reference, seed=0)
    assert found != frechet_infinity(features, reference, seed=1)


def test_bad_input_is_refused():
    reference = GaussianReference(torch.zeros(2), torch.eye(2))
    with pytest.raises(ValueError, match="n=10"):
        frechet_infinity(draw(10, 2), reference, seed=0)
    with pytest.raises(ValueError, match="finite"):
        frechet_infinity(torch.full((100, 2), torch.nan), reference, seed=0)
