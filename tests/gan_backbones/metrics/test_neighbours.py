"""Precision, recall, density and coverage against loops over the definitions, torch-fidelity, and known cases."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from gan_backbones.metrics import neighbour_scores, neighbours


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(fake, real, k_precision, k_density):
    """Lists of points, one distance at a time."""

    def radius(points, index, k):
        others = sorted(math.dist(points[index], other) for j, other in enumerate(points) if j != index)
        return others[k - 1]

    def balls(points, k):
        return [(point, radius(points, index, k)) for index, point in enumerate(points)]

    def inside(point, ball):
        return math.dist(point, ball[0]) <= ball[1]

    real_balls, fake_balls = balls(real, k_precision), balls(fake, k_precision)
    wide = balls(real, k_density)
    precision = sum(any(inside(point, ball) for ball in real_balls) for point in fake) / len(fake)
    recall = sum(any(inside(point, ball) for ball in fake_balls) for point in real) / len(real)
    density = sum(inside(point, ball) for point in fake for ball in wide) / (k_density * len(fake))
    coverage = sum(any(inside(point, ball) for point in fake) for ball in wide) / len(real)
    return precision, recall, density, coverage


@given(st.integers(7, 25), st.integers(7, 25), st.integers(1, 4), st.integers(0, 1000), st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_against_the_definitions(count, real_count, width, seed, shift):
    fake, real = draw(count, width, seed=seed) + shift, draw(real_count, width, seed=seed + 1)
    for k, wide in ((3, 5), (1, 2), (6, 4)):
        expected = by_definition(fake.tolist(), real.tolist(), k, wide)
        found = neighbour_scores(fake, real, precision_neighbours=k, density_neighbours=wide)
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_against_torch_fidelity(shift):
    fake, real = draw(150, 8, seed=1) + shift, draw(200, 8, seed=2)
    expected = prc_features_to_metric(fake, real, verbose=False)
    found = neighbour_scores(fake, real)
    assert found.precision == pytest.approx(expected["precision"]) and found.recall == pytest.approx(expected["recall"])


def test_blocks_change_nothing(monkeypatch):
    fake, real = draw(60, 3, seed=3) * 1.4, draw(45, 3, seed=4)
    whole = neighbour_scores(fake, real)
    monkeypatch.setattr(neighbours, "_ENTRIES", 45 * 7)
    assert neighbour_scores(fake, real) == whole


def test_copies_of_the_data_score_one_even_far_from_zero():
    real = draw(50, 4, seed=5) + 1e5
    scores = neighbour_scores(real.clone(), real)
    assert scores.precision == scores.recall == scores.coverage == 1
    assert scores.density == pytest.approx(1 + 1 / 5)  # every ball holds k others and its own centre


def test_one_real_image_over_and_over_has_precision_without_recall():
    real = draw(100, 4, seed=6)
    scores = neighbour_scores(real[:1].expand(80, 4), real)
    assert scores.precision == 1
    assert scores.recall == pytest.approx(0.01)  # the image itself
    assert scores.coverage < 0.2


def test_two_of_three_clusters_are_what_recall_and_coverage_say():
    centres = torch.tensor([[0.0, 0], [100, 0], [0, 100]], dtype=torch.float64)
    real = centres.repeat_interleave(100, 0) + draw(300, 2, seed=7)
    fake = centres[:2].repeat_interleave(100, 0) + draw(200, 2, seed=8)
    scores = neighbour_scores(fake, real)
    assert scores.precision > 0.9 and 0.55 < scores.recall <= 2 / 3 and 0.55 < scores.coverage <= 2 / 3


def test_bad_input_is_refused():
    points = draw(10, 2)
    with pytest.raises(ValueError, match="one d"):
        neighbour_scores(points, draw(10, 3))
    with pytest.raises(ValueError, match="10 neighbours"):
        neighbour_scores(points, points, density_neighbours=10)
    with pytest.raises(ValueError, match="at least 1"):
        neighbour_scores(points, points, precision_neighbours=0)
    with pytest.raises(ValueError, match="finite"):
        neighbour_scores(points / 0, points)
