import itertools

import numpy as np
import pytest
import torch

from gan_backbones.data import glyphs, load_data

NAMES = ["letter", "font", "colour", "background"]


def plain(letter="H", font="DejaVuSans", **layout):
    """A black letter on white in the middle, upright."""
    labels = (glyphs.LETTERS.index(letter), glyphs.FONTS.index(font), 0, 2)
    layout = {"extent": 0.75, "turn": 0.0, "place": (0.5, 0.5)} | layout
    return glyphs.Glyph(labels=labels, ink=(0, 0, 0), paper=(255, 255, 255), **layout)


def inked(glyph, resolution=64):
    """Rows and columns that hold ink: first row, last row, first column, last column."""
    dark = glyphs.render_glyph(glyph, resolution)[0] < 128
    rows, columns = dark.any(axis=1).nonzero()[0], dark.any(axis=0).nonzero()[0]
    return rows[0], rows[-1], columns[0], columns[-1]


def test_a_glyph_depends_on_seed_and_index_alone(tmp_path):
    few, many = (load_data("glyphs", resolution=16, count=count, cache_dir=tmp_path) for count in (10, 100))
    assert torch.equal(many.samples[:10], few.samples)
    assert all(torch.equal(many.attributes[name][:10], few.attributes[name]) for name in NAMES)
    assert glyphs.sample_glyph(2**32, 0) != glyphs.sample_glyph(0, 1)


def test_labels_describe_the_pictures(tmp_path):
    data = load_data("glyphs", seed=2, count=8, cache_dir=tmp_path)
    assert list(data.attributes) == NAMES
    for row, image in enumerate(data.samples):
        glyph = glyphs.sample_glyph(2, row)
        assert glyph.labels == tuple(int(data.attributes[name][row]) for name in NAMES)
        assert np.array_equal(glyphs.render_glyph(glyph, 32), image.numpy())


def test_ink_and_paper_have_their_colours():
    glyph = glyphs.Glyph((LETTER_I, 1, 3, 8), (200, 10, 20), (30, 40, 250), 0.8, 0.0, (0.5, 0.5))
    image = glyphs.render_glyph(glyph, 64)
    assert image.shape == (3, 64, 64) and image[:, 0, 0].tolist() == [30, 40, 250]
    assert image[:, 32, 32].tolist() == [200, 10, 20]  # the stem of a bold I


LETTER_I = glyphs.LETTERS.index("I")


@pytest.mark.parametrize("extent", [0.5, 0.8])
def test_the_longer_side_is_the_stated_share(extent):
    top, bottom, left, right = inked(plain(extent=extent))
    assert bottom - top + 1 == pytest.approx(64 * extent, abs=1.5) and right - left < bottom - top
    assert (top + bottom) / 2 == pytest.approx(31.5, abs=1) and (left + right) / 2 == pytest.approx(31.5, abs=1)


def test_places_reach_from_edge_to_edge():
    assert inked(plain(place=(0.0, 0.0)))[::2] == (0, 0)
    assert inked(plain(place=(0.9999, 0.9999)))[1::2] == (63, 63)


def test_a_positive_turn_is_against_the_clock():
    upright, turned = (glyphs.render_glyph(plain("I", turn=turn), 64)[0] < 128 for turn in (0.0, 15.0))
    columns = np.arange(64)
    top_shift = (turned[10:14] * columns).sum() / turned[10:14].sum() - 31.5
    bottom_shift = (turned[50:54] * columns).sum() / turned[50:54].sum() - 31.5
    # 20 pixels above and below the centre: 20 tan 15 = 5.4.
    assert top_shift == pytest.approx(-5.3, abs=0.7) and bottom_shift == pytest.approx(5.3, abs=0.7)
    assert turned.sum() == pytest.approx(upright.sum(), rel=0.1)


@pytest.mark.parametrize("font", glyphs.FONTS)
def test_every_letter_of_every_font_differs_from_the_others(font):
    pictures = [glyphs.render_glyph(plain(letter, font), 32)[0].astype(float) for letter in glyphs.LETTERS]
    assert all(picture.min() < 100 for picture in pictures)
    assert min(np.abs(a - b).mean() for a, b in itertools.combinations(pictures, 2)) > 3


def test_fonts_differ():
    pictures = {glyphs.render_glyph(plain("R", font), 64).tobytes() for font in glyphs.FONTS}
    assert len(pictures) == len(glyphs.FONTS)


@pytest.mark.parametrize(("letter", "turn"), [("W", 15.0), ("Q", -15.0), ("g", 15.0), ("f", -15.0)])
@pytest.mark.parametrize("font", glyphs.FONTS)
def test_no_letter_is_cut_off(font, letter, turn):
    def ink(place):
        return (255 - glyphs.render_glyph(plain(letter, font, extent=0.8, turn=turn, place=place), 64)[0]).sum(
            dtype=int
        )

    whole = ink((0.5, 0.5))
    assert all(ink(corner) == pytest.approx(whole, rel=0.02) for corner in [(0.0, 0.0), (0.999, 0.0), (0.0, 0.999)])


def test_small_pictures_show_the_same_as_large_ones():
    glyph = glyphs.sample_glyph(0, 3)
    large, small = glyphs.render_glyph(glyph, 64).astype(float), glyphs.render_glyph(glyph, 16)
    assert np.abs(large.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4)) - small).max() <= 1.5


def test_contrast_has_its_known_values():
    assert glyphs.contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert glyphs.contrast((255, 0, 0), (255, 255, 255)) == pytest.approx(3.998, abs=0.001)  # 1.05 / (0.2126 + 0.05)
    assert glyphs.contrast((7, 8, 9), (7, 8, 9)) == 1


def test_draws_are_uniform_and_legible():
    drawn = [glyphs.sample_glyph(1, index) for index in range(2000)]
    assert min(glyphs.contrast(glyph.ink, glyph.paper) for glyph in drawn) >= 3
    for column, values in enumerate([glyphs.LETTERS, glyphs.FONTS, glyphs.COLOURS]):
        counts = np.bincount([glyph.labels[column] for glyph in drawn], minlength=len(values))
        expected = 2000 / len(values)
        assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert {glyph.labels[3] for glyph in drawn} == set(range(len(glyphs.COLOURS)))


@pytest.mark.parametrize("name", ["red", "green", "blue"])
def test_colours_are_what_they_are_called(name):
    channel = ["red", "green", "blue"].index(name)
    index = list(glyphs.COLOURS).index(name)
    generator = np.random.default_rng(0)
    for _ in range(50):
        colour = glyphs._pick_colour(index, generator)
        assert all(0 <= value <= 255 for value in colour) and max(colour) == colour[channel] >= min(colour) + 60


def test_a_hit_is_bit_equal_and_draws_nothing(tmp_path, monkeypatch):
    options = {"resolution": 16, "count": 4, "cache_dir": tmp_path}
    fresh = load_data("glyphs", **options)
    monkeypatch.setattr(glyphs, "render_glyph", None)
    assert load_data("glyphs", **options).fingerprint == fresh.fingerprint
    monkeypatch.setattr(glyphs, "_VERSION", glyphs._VERSION + 1)
    with pytest.raises(TypeError):
        load_data("glyphs", **options)
