"""Streaming mean and covariance against NumPy on everything at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_backbones.metrics import FeatureMoments, moments


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_pieces_equal_the_whole(sizes, seed):
    pieces = [draw(size, 3, seed=seed + index) * (index + 1) + 5 for index, size in enumerate([2, *sizes])]
    streamed = FeatureMoments(3)
    for piece in pieces:
        streamed.add(piece)
    everything = torch.cat(pieces).numpy()
    assert streamed.count == len(everything)
    np.testing.assert_allclose(streamed.mean.numpy(), everything.mean(0), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance.numpy(), np.cov(everything.T), rtol=1e-10, atol=1e-12)


def test_merging_equals_adding():
    a, b = draw(30, 4, seed=1), draw(17, 4, seed=2) * 3 - 7
    merged = FeatureMoments.of(a).merge(FeatureMoments.of(b)).merge(FeatureMoments(4))
    other = FeatureMoments(4).merge(FeatureMoments.of(b)).merge(FeatureMoments.of(a))
    added = FeatureMoments.of(torch.cat([a, b]))
    assert merged.count == other.count == added.count == 47
    for found in (merged, other):
        torch.testing.assert_close(found.mean, added.mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.covariance, added.covariance, rtol=1e-11, atol=1e-12)


def test_a_mean_far_from_zero_costs_no_digits(monkeypatch):
    monkeypatch.setattr(moments, "_ROWS", 64)  # many joins
    spread = draw(1000, 3, seed=3)
    features = (spread + 1e6).double()
    exact = np.cov((features - 1e6).numpy().T)
    np.testing.assert_allclose(FeatureMoments.of(features).covariance.numpy(), exact, rtol=1e-9)
    sums = (features.float().T @ features.float()) / 1000 - features.float().mean(0).outer(features.float().mean(0))
    assert np.abs(sums.numpy() - exact).max() > 1  # what single precision and the textbook formula give


def test_constant_features_have_no_covariance():
    assert FeatureMoments.of(torch.full((10_000, 2), 0.1)).covariance.abs().max() < 1e-30


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        FeatureMoments(0)
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        FeatureMoments(3).add(torch.zeros(5, 2))
    with pytest.raises(ValueError, match="2 samples"):
        _ = FeatureMoments.of(torch.zeros(1, 3)).covariance
    with pytest.raises(ValueError, match="widths 3 and 2"):
        FeatureMoments(3).merge(FeatureMoments(2))
