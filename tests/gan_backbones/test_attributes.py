"""The reader of attributes: it reads, it is cached, it says how well."""

import pytest
import torch

from gan_backbones import attributes
from gan_backbones.attributes import load_reader, majority_shares
from gan_backbones.data import DataError, DataSet, load_data


@pytest.fixture
def squares():
    """Images whose colour and whose place of a bright square are attributes."""
    rng = torch.Generator().manual_seed(0)
    colour, place = torch.randint(2, (600,), generator=rng), torch.randint(3, (600,), generator=rng)
    samples = torch.randint(60, (600, 3, 16, 16), generator=rng, dtype=torch.uint8)
    for image, c, p in zip(samples, colour, place, strict=True):
        image[2 * c, 5 * p : 5 * p + 5, 4:9] = 230
    values = {"colour": ("red", "blue"), "place": ("top", "middle", "bottom")}
    return DataSet("squares", samples, {"colour": colour, "place": place}, values, None)


def test_it_reads_what_can_be_read_and_is_trained_once(squares, tmp_path, monkeypatch):
    before = torch.get_rng_state()
    reader = load_reader(squares, cache_dir=tmp_path, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert set(reader.accuracy) == {"colour", "place"} and min(reader.accuracy.values()) > 0.9
    probabilities = reader(squares.batch(range(40)))
    assert probabilities.shape == (40, 5) and not probabilities.requires_grad
    for columns in reader.columns.values():
        torch.testing.assert_close(probabilities[:, columns].sum(1), torch.ones(40))
    assert (
        probabilities[:, reader.columns["place"]].argmax(1) == squares.attributes["place"][:40]
    ).float().mean() > 0.9
    monkeypatch.setattr(attributes, "_trained", None)
    again = load_reader(squares, cache_dir=tmp_path, progress=False)
    assert torch.equal(again(squares.batch(range(40))), probabilities) and again.accuracy == reader.accuracy


def test_noise_cannot_be_read(squares, tmp_path):
    rng = torch.Generator().manual_seed(1)
    labels = {"luck": torch.randint(2, (600,), generator=rng)}
    lottery = DataSet("lottery", squares.samples, labels, {"luck": ("good", "bad")}, None)
    share = majority_shares(lottery)["luck"]
    assert 0.5 <= share < 0.6
    assert load_reader(lottery, cache_dir=tmp_path, progress=False).accuracy["luck"] < (1 + share) / 2


def test_data_without_attributes_or_images_are_refused():
    bare = DataSet("bare", torch.zeros(3, 1, 16, 16, dtype=torch.uint8), {}, {}, None)
    with pytest.raises(DataError, match="'bare' has no attributes"):
        load_reader(bare)
    with pytest.raises(DataError, match="'ring' holds points"):
        load_reader(load_data("ring", count=10))
