import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_backbones.data import load_data, mixtures


def nearest(data):
    return torch.cdist(data.samples, data.mixture.centres).argmin(dim=1)


def test_ring_centres_are_exact():
    centres = load_data("ring", count=1).mixture.centres
    diagonal = 1.5 / math.sqrt(2)
    expected = [(1.5, 0), (diagonal, diagonal), (0, 1.5), (-diagonal, diagonal), (-1.5, 0), (-diagonal, -diagonal)]
    torch.testing.assert_close(centres[:6], torch.tensor(expected), atol=1e-7, rtol=0)
    assert centres.shape == (8, 2)


def test_grid_centres_are_exact():
    centres = load_data("grid", count=1).mixture.centres
    assert {tuple(centre) for centre in centres.tolist()} == {
        (float(x), float(y)) for x in range(-2, 3) for y in range(-2, 3)
    }


@pytest.mark.parametrize(("name", "components"), [("ring", 8), ("grid", 25)])
def test_samples_are_balanced_and_have_the_stated_width(name, components):
    data = load_data(name)
    assert data.samples.shape == (20_000, 2) and data.mixture.sigma == 0.05 and not data.attributes
    owner = nearest(data)
    assert torch.bincount(owner).tolist() == [20_000 // components] * components
    noise = (data.samples - data.mixture.centres[owner]) / data.mixture.sigma
    # 40,000 standard normals: mean 0 +- 0.005, variance 1 +- 0.007.
    assert abs(noise.mean()) < 0.025 and abs(noise.var() - 1) < 0.035
    assert abs((noise[:, 0] * noise[:, 1]).mean()) < 0.035


@given(count=st.integers(1, 200), seed=st.integers(0, 2**63 - 1))
def test_any_count_is_balanced_up_to_rounding(count, seed):
    counts = torch.bincount(nearest(load_data("grid", count=count, seed=seed)), minlength=25)
    assert counts.sum() == count and counts.max() - counts.min() <= 1


def test_the_order_is_shuffled():
    owner = nearest(load_data("ring", count=800))
    assert torch.bincount(owner[:400]).ne(50).any()


def test_asymmetric_mixture_is_sampled_where_it_is():
    mixture = mixtures.Mixture(torch.tensor([[10.0, -3.0], [0.0, 1.0], [0.0, 2.0]]), 1e-4)
    points = mixtures.sample_balanced(mixture, 4, torch.Generator().manual_seed(0))
    # The first component takes the one point that does not divide.
    torch.testing.assert_close(points.sort(dim=0).values[:, 0], torch.tensor([0.0, 0.0, 10.0, 10.0]), atol=1e-3, rtol=0)
