"""Splits, weights on disk, and what is sampled to measure exposure bias."""

import pytest
import torch

from agents.ral.exposure import completions, prefixes, sample_many
from agents.ral.images import decode_all, encode_all, load_weights, save_weights, split_images, to_pixels
from gan_backbones.data import DataSet, load_data
from gan_backbones.prior import CodePrior, PriorOptions
from gan_backbones.vqvae import VqVae, VqVaeOptions

SMALL = PriorOptions(channels=16, layers=1, heads=2)


@pytest.fixture
def prior(rng):
    model = CodePrior(3, 8, SMALL, rng)
    with torch.no_grad():
        model.head.weight.normal_(0, 1, generator=rng)
    return model


def noise(rng, count=40):
    pixels = torch.randint(256, (count, 1, 16, 16), generator=rng, dtype=torch.uint8)
    return DataSet(name="noise", samples=pixels, attributes={}, attribute_values={}, mixture=None)


def test_completions_keep_the_prefix_and_no_more(prior, rng):
    given = torch.randint(3, (64, 8), generator=rng)
    completed = completions(prior, given, 5, rng)
    assert torch.equal(completed[:, :5], given[:, :5])
    assert (completed[:, 5:] != given[:, 5:]).any(0).all()


def test_prefixes_go_from_none_to_almost_all():
    assert list(prefixes(64)) == [0, 16, 32, 48]
    assert list(prefixes(8, 2)) == [0, 4]


def test_many_samples_are_all_there(prior):
    drawn = sample_many(prior, 10, torch.Generator().manual_seed(0), batch_size=4)
    assert drawn.shape == (10, 8)
    assert torch.equal(drawn[:4], prior.sample(4, torch.Generator().manual_seed(0)))


def test_the_parts_of_a_data_set_are_disjoint_and_whole(rng):
    data = noise(rng)
    split = split_images(data)
    assert [len(part) for part in vars(split).values()] == [32, 4, 4]
    assert torch.equal(torch.cat([*vars(split).values()]), data.samples)
    with pytest.raises(ValueError, match="square images"):
        split_images(load_data("ring", count=50))
    with pytest.raises(ValueError, match="at least 20"):
        split_images(noise(rng, 19))


def test_weights_come_back_and_other_sizes_are_told(prior, rng, tmp_path):
    path = tmp_path / "prior.safetensors"
    save_weights(path, prior)
    other = CodePrior(3, 8, SMALL, rng)
    load_weights(path, other)
    assert all(torch.equal(a, b) for a, b in zip(prior.parameters(), other.parameters(), strict=True))
    with pytest.raises(ValueError, match="other options"):
        load_weights(path, CodePrior(4, 8, SMALL, rng))
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="damaged"):
        load_weights(path, other)
    with pytest.raises(ValueError, match="train that stage first"):
        load_weights(tmp_path / "nothing.safetensors", other)


def test_an_autoencoder_comes_back_with_its_codebooks(rng, tmp_path):
    options = VqVaeOptions(width=8, code_size=4, codes=6, levels=2)
    first, second = VqVae(1, 16, options, rng), VqVae(1, 16, options, rng)
    images = noise(rng).samples
    first(to_pixels(images), rng)
    first.eval(), second.eval()
    save_weights(tmp_path / "vqvae.safetensors", first)
    load_weights(tmp_path / "vqvae.safetensors", second)
    codes = encode_all(first, images)
    assert torch.equal(codes, encode_all(second, images))
    assert torch.equal(decode_all(first, codes), decode_all(second, codes))
