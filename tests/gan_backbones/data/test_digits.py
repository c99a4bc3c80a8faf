import pytest
import torch

from gan_backbones.data import load_data


@pytest.fixture(scope="module")
def small():
    return load_data("digits", resolution=16)


def test_all_digits_are_there(small):
    assert small.samples.shape == (1797, 1, 16, 16)
    # The class sizes that scikit-learn's description gives for this test set.
    assert torch.bincount(small.attributes["digit"]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert small.attribute_values["digit"] == tuple("0123456789")
    assert small.samples.min() == 0 and small.samples.max() == 255


def test_the_seed_permutes_order_only(small):
    other = load_data("digits", resolution=16, seed=1)

    def rows(data):
        labels = data.attributes["digit"].tolist()
        return sorted(
            (bytes(image.flatten().tolist()), label) for image, label in zip(data.samples, labels, strict=True)
        )

    assert not torch.equal(other.samples, small.samples)
    assert rows(other) == rows(small)


def test_count_takes_the_first_of_the_same_order(small):
    first = load_data("digits", resolution=16, count=10)
    assert torch.equal(first.samples, small.samples[:10])
    assert torch.equal(first.attributes["digit"], small.attributes["digit"][:10])
    assert len(load_data("digits", count=5000)) == 1797


def test_enlarging_keeps_the_brightness(small):
    large = load_data("digits", resolution=32)
    assert large.samples.shape == (1797, 1, 32, 32)
    torch.testing.assert_close(
        large.samples.double().mean((1, 2, 3)), small.samples.double().mean((1, 2, 3)), atol=1, rtol=0
    )


def test_a_zero_has_a_hole_and_a_one_has_none(small):
    digit = small.attributes["digit"]
    middle = small.samples[:, 0, 7:9, 7:9].double().mean((1, 2))
    assert middle[digit == 0].mean() < 30
    assert middle[digit == 1].mean() > 150


def test_three_channels_are_the_grey_one_thrice(small):
    colour = load_data("digits-rgb", resolution=16)
    assert torch.equal(colour.samples, small.samples.expand(-1, 3, -1, -1)) and colour.name == "digits-rgb"
    assert torch.equal(colour.attributes["digit"], small.attributes["digit"])
