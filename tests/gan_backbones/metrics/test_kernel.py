"""The kernel distance against torch-fidelity, a double loop, and closed forms."""

import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from gan_backbones.metrics import kernel_distance
from gan_backbones.metrics.kernel import squared_mmd


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("seed", "size"), [(0, 50), (2020, 17), (7, 90)])
def test_against_torch_fidelity_on_the_same_subsets(seed, size):
    fake, real = draw(120, 6, seed=1) * 1.3, draw(90, 6, seed=2)
    options = {"kid_subsets": 20, "kid_subset_size": size, "rng_seed": seed, "verbose": False}
    expected = kid_features_to_metric(fake, real, **options)
    found = kernel_distance(fake, real, seed=seed, subsets=20, subset_size=size)
    assert found.mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)
    assert found.deviation == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-9)


def test_against_sums_over_pairs():
    a, b = draw(5, 3, seed=3).tolist(), draw(4, 3, seed=4).tolist()

    def kernel(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / 3 + 1) ** 3

    among_a = [kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
    among_b = [kernel(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j]
    between = [kernel(x, y) for x in a for y in b]
    expected = sum(among_a) / 20 + sum(among_b) / 12 - 2 * sum(between) / 20
    assert float(squared_mmd(torch.tensor(a), torch.tensor(b))) == pytest.approx(expected, rel=1e-5)


def test_two_constants_are_as_far_apart_as_their_kernels_say():
    # k(a, a) + k(b, b) - 2 k(a, b) with a = 0, b = 1 in one dimension: 1 + 8 - 2.
    found = kernel_distance(torch.zeros(10, 1), torch.ones(10, 1), seed=0)
    assert found.mean == pytest.approx(7) and found.deviation == pytest.approx(0, abs=1e-12)


def test_the_interval_covers_the_true_distance():
    """Known law: x ~ N(0, 1), y ~ N(m, 1); the kernel's moments are those of products of normal numbers."""
    shift, hits, trials = 0.5, 0, 120
    # E (xy + 1)^3 = E x^3 E y^3 + 3 E x^2 E y^2 + 3 E x E y + 1
    second, third = 1 + shift**2, shift**3 + 3 * shift
    true = (3 + 1) + (third**2 + 3 * second**2 + 3 * shift**2 + 1) - 2 * (3 * second + 1)
    for trial in range(trials):
        found = kernel_distance(
            draw(400, 1, seed=2 * trial) + shift, draw(400, 1, seed=2 * trial + 1), seed=trial, subset_size=100
        )
        low, high = found.interval
        hits += low <= true <= high
    assert 0.88 * trials <= hits <= trials


def test_default_subsets_are_half_of_a_small_set():
    a, b = draw(30, 2, seed=5), draw(50, 2, seed=6)
    assert kernel_distance(a, b, seed=1) == kernel_distance(a, b, seed=1, subset_size=15)


def test_bad_input_is_refused():
    points = draw(10, 2)
    with pytest.raises(ValueError, match="one d"):
        kernel_distance(points, draw(10, 3), seed=0)
    with pytest.raises(ValueError, match="11 cannot be drawn from 10"):
        kernel_distance(points, points, seed=0, subset_size=11)
    with pytest.raises(ValueError, match="finite"):
        kernel_distance(points / 0, points, seed=0)
