import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from gan_backbones.data import load_data, photos


def test_a_piece_does_not_depend_on_the_count():
    few, many = (load_data("photos", resolution=16, count=count) for count in (10, 60))
    assert torch.equal(many.samples[:10], few.samples)
    assert torch.equal(many.attributes["photo"][:10], few.attributes["photo"])


def test_pieces_are_from_the_photograph_that_their_label_names():
    data = load_data("photos", resolution=64, count=40)
    assert data.attribute_values["photo"] == ("china", "flower")
    flower = data.attributes["photo"] == 1
    assert 8 <= flower.sum() <= 32
    # The temple stands before a bright sky, the flower before dark leaves; each piece's colours are the photograph's.
    mean = data.samples.float().mean((2, 3))
    assert mean[~flower, 2].mean() > 1.5 * mean[flower, 2].mean()
    for row in range(6):
        photograph = load_sample_image(data.attribute_values["photo"][data.attributes["photo"][row]] + ".jpg")
        low, high = photograph.reshape(-1, 3).min(axis=0), photograph.reshape(-1, 3).max(axis=0)
        pixels = data.samples[row].numpy().reshape(3, -1).T
        assert (pixels >= low).all() and (pixels <= high).all()


class Numbers:
    """A generator that gives these numbers."""

    def __init__(self, *rows):
        self.rows = list(rows)

    def random(self, count):
        return np.array(self.rows.pop(0))


def ramp(width, height, slope=2):
    """Red grows to the right by ``slope`` levels a pixel, green downwards."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = slope * np.arange(width)[None], slope * np.arange(height)[:, None]
    return Image.fromarray(pixels)


def test_place_scale_and_mirror_are_as_drawn():
    photo, steps = ramp(125, 100), 2 * np.arange(125)
    left_top = photos.cut(photo, 64, Numbers([0.0, 0.0, 0.0, 0.9]))
    assert np.array_equal(left_top[0], np.tile(steps[:64], (64, 1))) and np.array_equal(left_top[1, :, 0], steps[:64])
    right_bottom = photos.cut(photo, 64, Numbers([0.0, 0.9999, 0.9999, 0.9]))
    assert np.array_equal(right_bottom[0, 0], steps[61:]) and np.array_equal(right_bottom[1, :, 0], steps[36:100])
    assert np.array_equal(photos.cut(photo, 64, Numbers([0.0, 0.0, 0.0, 0.1])), left_top[:, :, ::-1])
    whole = photos.cut(photo, 64, Numbers([0.99999, 0.0, 0.0, 0.9]))
    assert int(whole[0, 32, 32]) == pytest.approx(100, abs=2) and int(whole[0, 0, -1]) == pytest.approx(198, abs=2)


def test_nothing_is_enlarged():
    piece = photos.cut(ramp(250, 140, slope=1), 128, Numbers([0.0, 0.0, 0.0, 0.9]))
    assert np.array_equal(piece[0, 0], np.arange(128))


def test_plain_pieces_are_drawn_again():
    photo = Image.new("RGB", (400, 100), "white")
    photo.paste(ramp(100, 100), (300, 0))
    piece = photos.cut(photo, 64, Numbers([0.0, 0.0, 0.0, 0.9], [0.0, 0.9999, 0.0, 0.9]))
    assert piece[0, 0].tolist() == list(range(72, 200, 2))
    data = load_data("photos", count=200)
    assert data.samples.float().std((2, 3)).max(1).values.min() > 24


def test_a_hit_is_bit_equal_and_cuts_nothing(tmp_path, monkeypatch):
    options = {"resolution": 16, "count": 4, "cache_dir": tmp_path}
    fresh = load_data("photos", **options)
    monkeypatch.setattr(photos, "cut", None)
    assert load_data("photos", **options).fingerprint == fresh.fingerprint
    monkeypatch.setattr(photos, "_VERSION", photos._VERSION + 1)
    with pytest.raises(TypeError):
        load_data("photos", **options)
