import copy
import pickle

import pytest
import torch

from gan_backbones.data import DataError, DataSet, Mixture


def make(name="toy", samples=None, **parts):
    if samples is None:
        samples = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    return DataSet(name, samples, parts.pop("attributes", {}), parts.pop("values", {}), parts.pop("mixture", None))


def test_images_are_scaled_to_minus_one_and_one():
    grey = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
    data = make(samples=grey)
    batch = data.batch(torch.tensor([2, 0, 1, 2]))
    assert batch.dtype == torch.float32 and batch.shape == (4, 1, 1, 1)
    torch.testing.assert_close(batch.flatten(), torch.tensor([1.0, -1.0, -0.6, 1.0]))
    assert (data.is_image, data.sample_shape, len(data)) == (True, (1, 1, 1), 3)
    assert data.samples.flatten().tolist() == [0, 51, 255]


def test_points_come_as_they_are_and_are_copied():
    points = torch.tensor([[3.0, -4.0], [0.5, 0.25]])
    data = make(samples=points)
    batch = data.batch([1])
    assert torch.equal(batch, points[1:]) and not data.is_image and data.sample_shape == (2,)
    batch.zero_()
    assert torch.equal(data.samples, torch.tensor([[3.0, -4.0], [0.5, 0.25]]))


def test_fingerprint_follows_the_content_and_not_the_name():
    labels = {"size": torch.tensor([0, 1])}
    values = {"size": ("small", "large")}
    data = make(attributes=labels, values=values)
    assert len(data.fingerprint) == 64
    assert make("other", attributes=labels, values=values).fingerprint == data.fingerprint
    assert pickle.loads(pickle.dumps(data)).fingerprint == copy.copy(data).fingerprint == data.fingerprint

    changed = data.samples.clone()
    changed[1, 2, 3, 3] ^= 1
    others = [
        make(samples=changed, attributes=labels, values=values),
        make(samples=data.samples.reshape(2, 3, 2, 8), attributes=labels, values=values),
        make(attributes={"size": torch.tensor([1, 0])}, values=values),
        make(attributes=labels, values={"size": ("large", "small")}),
        make(),
    ]
    assert len({other.fingerprint for other in others} | {data.fingerprint}) == len(others) + 1


def test_fingerprint_sees_values_not_memory_layout():
    samples = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert make(samples=samples.to(memory_format=torch.channels_last)).fingerprint == make(samples=samples).fingerprint


@pytest.mark.parametrize(
    "parts",
    [
        {"samples": torch.zeros(2, 3, 4, 4)},
        {"samples": torch.zeros(2, 3)},
        {"samples": torch.zeros(0, 2)},
        {"samples": torch.zeros(2, 2, dtype=torch.float64)},
        {"attributes": {"size": torch.tensor([0, 0])}},
        {"attributes": {"size": torch.tensor([0])}, "values": {"size": ("small",)}},
        {"attributes": {"size": torch.tensor([0, 1])}, "values": {"size": ("small",)}},
        {"attributes": {"size": torch.tensor([0.0, 0.0])}, "values": {"size": ("small",)}},
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_line(parts):
    with pytest.raises(DataError) as caught:
        make(**parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("centres", "sigma"), [(torch.zeros(3), 1.0), (torch.zeros(0, 2), 1.0), (torch.zeros(1, 2), 0.0)]
)
def test_impossible_mixtures_are_refused(centres, sigma):
    with pytest.raises(DataError):
        Mixture(centres, sigma)
