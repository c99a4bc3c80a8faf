import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_backbones.data import _render, cache, faces, load_data

NAMES = [attribute.name for attribute in _render.ATTRIBUTES]
PLAIN = (0,) * len(NAMES)  # bald, no glasses, no beard, white background


def changed(**values):
    """`PLAIN` with some attributes set by the names of their values."""
    choices = list(PLAIN)
    for name, value in values.items():
        column = NAMES.index(name)
        choices[column] = _render.ATTRIBUTES[column].values.index(value)
    return tuple(choices)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_processes_does_not_matter(workers):
    here = faces.render_faces(64, seed=5, count=7, workers=0)
    assert np.array_equal(faces.render_faces(64, seed=5, count=7, workers=workers), here)


def test_a_face_depends_on_seed_and_index_alone(tmp_path):
    few, many = (load_data("faces", resolution=16, count=count, cache_dir=tmp_path) for count in (5, 12))
    assert torch.equal(many.samples[:5], few.samples)
    assert all(torch.equal(many.attributes[name][:5], few.attributes[name]) for name in NAMES)
    # A large seed is not a small one with a large index.
    assert _render.sample_attributes(2**32, 0) != _render.sample_attributes(0, 1)


def test_labels_describe_the_pictures(tmp_path):
    data = load_data("faces", resolution=32, seed=2, count=6, cache_dir=tmp_path)
    assert list(data.attributes) == NAMES
    for row, image in enumerate(data.samples):
        choices = [int(data.attributes[name][row]) for name in NAMES]
        assert np.array_equal(_render.render_face(choices, 32), image.numpy())


@pytest.mark.parametrize("name", _render._BACKGROUND_COLOURS)
def test_the_background_has_its_colour(name):
    image = _render.render_face(changed(background=name), 64)
    assert "#" + bytes(image[:, 0, 0]).hex().upper() == _render._BACKGROUND_COLOURS[name]


def test_skin_and_clothes_have_their_colours():
    image = _render.render_face(changed(skin_colour="yellow", clothing_colour="red"), 64)
    assert bytes(image[:, 14, 32]).hex() == "f8d25c"  # the forehead
    assert bytes(image[:, 63, 16]).hex() == "ff5c5c"  # a shoulder


def test_every_value_of_every_attribute_shows():
    pictures = {_render.render_face(PLAIN, 64).tobytes()}
    expected = 1
    with_hair = changed(hair="bob")
    for column, attribute in enumerate(_render.ATTRIBUTES):
        # Without hair its colour cannot show; the bob itself is drawn by the attribute `hair`.
        base = with_hair if attribute.name == "hair_colour" else PLAIN
        for value in range(1, len(attribute.values)):
            pictures.add(_render.render_face((*base[:column], value, *base[column + 1 :]), 64).tobytes())
            expected += 1
    assert len(pictures) == expected


@pytest.mark.parametrize("hair", _render.ATTRIBUTES[0].values)
def test_every_hair_lets_glasses_and_beards_show(hair):
    kinds = [changed(hair=hair), changed(hair=hair, accessory="kurt"), changed(hair=hair, facial_hair="beard_medium")]
    pictures = [_render.render_face(choices, 32).astype(int) for choices in kinds]
    for first, second in itertools.combinations(pictures, 2):
        assert (np.abs(first - second).max(axis=0) > 40).sum() >= 15


def test_nobody_is_sick():
    assert all("vomit" not in attribute.values for attribute in _render.ATTRIBUTES)


def test_small_pictures_are_averages_of_large_ones():
    choices = _render.sample_attributes(0, 3)
    large, small = _render.render_face(choices, 64).astype(float), _render.render_face(choices, 16)
    means = large.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4))
    assert np.abs(means - small).max() <= 0.5


def test_attributes_have_their_probabilities_and_are_independent():
    count = 4000
    labels = np.array([_render.sample_attributes(1, index) for index in range(count)])
    for column, attribute in enumerate(_render.ATTRIBUTES):
        probabilities = np.array(attribute.probabilities())
        assert probabilities.sum() == pytest.approx(1)
        shares = np.bincount(labels[:, column], minlength=len(probabilities)) / count
        assert (np.abs(shares - probabilities) < 5 * np.sqrt(probabilities / count)).all(), attribute.name
    for (one, first), (two, second) in itertools.combinations(enumerate(_render.ATTRIBUTES), 2):
        expected = count * np.outer(first.probabilities(), second.probabilities())
        observed = np.zeros_like(expected)
        np.add.at(observed, (labels[:, one], labels[:, two]), 1)
        # Pearson's statistic has this mean and about this spread when the two are independent.
        freedom = expected.size - 1
        assert ((observed - expected) ** 2 / expected).sum() < freedom + 6 * np.sqrt(2 * freedom), (first, second)


@pytest.mark.parametrize(("uniform", "index"), [(0.0, 0), (0.59, 0), (0.61, 1), (0.79, 1), (0.81, 2), (0.999999, 2)])
def test_picking_follows_the_stated_probability(uniform, index):
    assert _render.Attribute("toy", ("a", "b", "c"), first_probability=0.6).pick(uniform) == index


def test_a_hit_is_bit_equal_and_draws_nothing(tmp_path, monkeypatch):
    options = {"resolution": 16, "count": 4, "cache_dir": tmp_path}
    fresh = load_data("faces", **options)
    monkeypatch.setattr(faces, "render_faces", None)
    again = load_data("faces", **options)
    assert again.fingerprint == fresh.fingerprint and again.attribute_values == fresh.attribute_values
    monkeypatch.setattr(_render, "VERSION", _render.VERSION + 1)
    with pytest.raises(TypeError):  # another version of the drawing code must draw anew
        load_data("faces", **options)


def test_a_damaged_entry_is_drawn_again(tmp_path):
    options = {"resolution": 16, "count": 4, "cache_dir": tmp_path}
    fresh = load_data("faces", **options)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        assert load_data("faces", **options).fingerprint == fresh.fingerprint
    assert cache.load_entry(path) is not None


def test_an_unwritable_cache_is_done_without(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="without the cache"):
        assert len(load_data("faces", resolution=16, count=2, cache_dir=tmp_path / "file")) == 2


def test_a_failing_worker_is_told(monkeypatch, tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no renderer here')")
    monkeypatch.setattr(_render, "__file__", str(script))
    with pytest.raises(RuntimeError, match="no renderer here"):
        faces.render_faces(16, seed=0, count=2, workers=2)


def test_the_drawing_script_needs_no_torch_and_spares_the_global_random_state():
    program = (
        "import random, sys; sys.path.insert(0, sys.argv[1]); random.seed(1); state = random.getstate(); "
        "import _render; _render.render_face(_render.sample_attributes(0, 0), 16); "
        "assert random.getstate() == state; assert 'python_avatars' in sys.modules; assert 'torch' not in sys.modules"
    )
    folder = str(Path(_render.__file__).parent)
    result = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
