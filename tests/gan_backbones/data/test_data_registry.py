import random

import numpy as np
import pytest
import torch

from gan_backbones.data import DATA_SETS, PATH_SETS, DataError, DataSet, known_names, load_data, register_data, registry


@pytest.fixture
def table():
    """The table, put back as it was after the test."""
    before = dict(registry._table)
    yield registry._table
    registry._table.clear()
    registry._table.update(before)


def smallest(name, tmp_path, **options):
    resolutions = DATA_SETS[name].resolutions
    resolution = None if resolutions is None else min(resolutions)
    return load_data(name, resolution=resolution, count=24, cache_dir=tmp_path, progress=False, **options)


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_data_set_loads_and_repeats(name, tmp_path):
    data = smallest(name, tmp_path)
    assert isinstance(data, DataSet) and data.name == name and len(data) == 24 and data.skipped == 0
    assert data.is_image == (DATA_SETS[name].resolutions is not None)
    if data.is_image:
        assert data.sample_shape[1:] == (min(DATA_SETS[name].resolutions),) * 2
        assert data.samples.float().std() > 10  # not a blank picture
    batch = data.batch(range(24))
    assert batch.shape == (24, *data.sample_shape) and batch.isfinite().all()
    assert smallest(name, tmp_path / "elsewhere").fingerprint == data.fingerprint
    assert smallest(name, tmp_path, seed=1).fingerprint != data.fingerprint


@pytest.mark.parametrize("name", DATA_SETS)
def test_loading_leaves_global_random_states_alone(name, tmp_path):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    smallest(name, tmp_path)
    assert states() == before


def test_the_default_resolutions_are_allowed_ones(tmp_path):
    assert load_data("digits").sample_shape == (1, 16, 16)
    assert load_data("digits-rgb").sample_shape == (3, 16, 16)
    for name in ("glyphs", "photos"):
        assert load_data(name, count=2, cache_dir=tmp_path).sample_shape == (3, 32, 32)
    assert load_data("faces", count=2, cache_dir=tmp_path).sample_shape == (3, 32, 32)


@pytest.mark.parametrize("name", ["", "rings", "Ring", "ring:8", "folders:/x"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(DataError) as caught:
        load_data(name)
    message = str(caught.value)
    assert message == f"unknown data set {name!r}; known: {', '.join(known_names())}"
    assert all(each in message for each in DATA_SETS) and all(f"{each}:PATH" in message for each in PATH_SETS)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ring", {"resolution": 32}, "no resolution"),
        ("digits", {"resolution": 64}, "allowed: 16, 32"),
        ("faces", {"resolution": 48}, "allowed: 16, 32, 64, 128"),
        ("folder:.", {"resolution": 8}, "allowed: 16, 32, 64, 128"),
        ("folder", {}, "folder:PATH"),
        ("folder:", {}, "folder:PATH"),
        ("mnist", {}, "names no folder; write mnist:PATH"),
        ("celeba: ", {}, "names no folder; write celeba:PATH"),
        ("cifar10:.", {"resolution": 8}, "allowed: 16, 32, 64, 128"),
        ("ring", {"seed": -1}, "seed"),
        ("ring", {"seed": 2**63}, "seed"),
        ("ring", {"count": 0}, "count"),
    ],
)
def test_wrong_options_are_refused_in_one_line(name, options, expected):
    with pytest.raises(DataError) as caught:
        load_data(name, **options)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_a_registered_source_gets_the_options_and_is_listed(table, tmp_path):
    seen = []

    def source(*options):
        seen.append(options)
        return DataSet("mine", torch.zeros(1, 1, 8, 8, dtype=torch.uint8), {}, {}, None)

    register_data("mine", source, resolutions=(8,), description="a black square")
    assert load_data("mine", resolution=8, seed=3, count=5, cache_dir=tmp_path, progress=False).name == "mine"
    assert seen == [(8, 3, 5, tmp_path, False)]
    assert "mine" in DATA_SETS and "mine" in known_names()
    with pytest.raises(TypeError):
        DATA_SETS["other"] = DATA_SETS["mine"]


@pytest.mark.parametrize(
    ("name", "source", "resolutions", "description"),
    [
        ("ring", print, None, "taken"),
        *[(name, print, (16,), "reserved") for name in PATH_SETS],
        ("a:b", print, None, "separator"),
        ("Upper", print, None, "capital"),
        ("", print, None, "empty"),
        ("fine", "not callable", None, "source"),
        ("fine", print, (), "no resolution"),
        ("fine", print, (0,), "zero resolution"),
        ("fine", print, None, " "),
    ],
)
def test_bad_registrations_change_nothing(table, name, source, resolutions, description):
    before = dict(table)
    with pytest.raises(DataError):
        register_data(name, source, resolutions=resolutions, description=description)
    assert table == before


def test_a_source_that_returns_something_else_is_named(table):
    register_data("broken", lambda *_: None, resolutions=None, description="returns nothing")
    with pytest.raises(DataError, match="'broken' must return a DataSet, got NoneType"):
        load_data("broken")


def test_members_of_a_union_are_loaded_at_a_resolution_that_all_have(table):
    def source(resolution, *_):
        return DataSet("mine", torch.zeros(2, 1, resolution, resolution, dtype=torch.uint8), {}, {}, None)

    for name, resolutions in {"small": (8, 16), "middle": (16, 64, 128), "large": (64, 128)}.items():
        register_data(name, source, resolutions=resolutions, description="black squares")
    assert load_data("small+middle").sample_shape == (1, 16, 16)
    assert load_data("middle+large").sample_shape == (1, 128, 128)
    with pytest.raises(DataError, match="small and large have no resolution in common"):
        load_data("small+large")
