import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_backbones.data import DATA_SETS, PATH_SETS, DataError, DataSet, load_data, union

PLAIN, WITH_PATH = ["faces", "digits", "digits-rgb"], ["folder", "cifar10"]


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("faces", ["faces"]),
        ("faces+digits-rgb", ["faces", "digits-rgb"]),
        ("faces+folder:/a", ["faces", "folder:/a"]),
        ("folder:/a+faces", ["folder:/a", "faces"]),
        ("folder:/a+b", ["folder:/a+b"]),
        ("folder:/a+b/c++d+faces+digits", ["folder:/a+b/c++d", "faces", "digits"]),
        ("folder:/x+faces+old/y", ["folder:/x+faces+old/y"]),
        ("folder:/x+faces2", ["folder:/x+faces2"]),
        ("folder:/a+b+cifar10:/c+d+faces", ["folder:/a+b", "cifar10:/c+d", "faces"]),
        ("folder:/a+faces+cifar10:/c", ["folder:/a", "faces", "cifar10:/c"]),
        ("folder:/a+cifar10", ["folder:/a+cifar10"]),
        ("faces+cats", ["faces", "cats"]),
        ("faces+cats+folder:/a+b", ["faces", "cats", "folder:/a+b"]),
        ("faces+", ["faces", ""]),
    ],
)
def test_names_are_split_where_known_names_follow(name, members):
    assert union.split_name(name, PLAIN, WITH_PATH) == members


@given(
    st.lists(st.sampled_from(["faces", "digits", "digits-rgb", "folder:/a+b", "cifar10:c:d"]), min_size=1, max_size=5)
)
def test_splitting_undoes_joining(members):
    assert union.split_name("+".join(members), PLAIN, WITH_PATH) == members


@given(count=st.integers(1, 1000), members=st.integers(1, 9))
def test_shares_are_even(count, members):
    parts = union.shares(count, members)
    assert sum(parts) == count and max(parts) - min(parts) <= 1 and parts == sorted(parts, reverse=True)


def images(name, count, channels, labels=None, values=("small", "large")):
    samples = torch.arange(count, dtype=torch.uint8)[:, None, None, None].repeat(1, channels, 2, 2)
    attributes = {} if labels is None else {"size": torch.tensor(labels)}
    return DataSet(name, samples, attributes, {} if labels is None else {"size": values}, None, skipped=count)


def test_members_are_dealt_in_turn_and_told_apart():
    joined = union.join("a+b", {"a": images("a", 2, 3), "b": images("b", 4, 1)})
    assert joined.samples.shape == (6, 3, 2, 2)
    assert joined.samples[:, 2, 1, 1].tolist() == [0, 0, 1, 1, 2, 3]
    assert joined.attributes["source"].tolist() == [0, 1, 0, 1, 1, 1]
    assert joined.attribute_values["source"] == ("a", "b") and joined.skipped == 6 and joined.name == "a+b"


def test_greys_alone_stay_grey():
    assert union.join("a+b", {"a": images("a", 2, 1), "b": images("b", 2, 1)}).sample_shape == (1, 2, 2)


def test_attributes_that_all_share_are_kept():
    first, second = images("a", 2, 1, [0, 1]), images("b", 2, 1, [1, 1])
    assert union.join("a+b", {"a": first, "b": second}).attributes["size"].tolist() == [0, 1, 1, 1]
    others = [images("c", 2, 1), images("c", 2, 1, [0, 1], ("large", "small"))]
    for other in others:
        assert set(union.join("a+c", {"a": first, "c": other}).attributes) == {"source"}


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="one size"):
        union.join("a+b", {"a": images("a", 2, 2), "b": images("b", 2, 3)})


def test_a_union_is_its_members(make_files, tmp_path):
    root = make_files("cifar10")
    options = {"resolution": 16, "seed": 3, "cache_dir": tmp_path / "cache"}
    name = f"glyphs+cifar10:{root}+digits"
    data = load_data(name, count=11, **options)
    assert data.name == name and list(data.attributes) == ["source"]
    for index, (member, count) in enumerate([("glyphs", 4), (f"cifar10:{root}", 4), ("digits", 3)]):
        alone = load_data(member, count=count, **options)
        assert torch.equal(data.samples[data.attributes["source"] == index], alone.samples.expand(-1, 3, -1, -1))
    assert torch.equal(load_data(name, count=29, **options).samples[:11], data.samples)


def test_digits_of_two_kinds_keep_their_digit(make_files):
    data = load_data(f"digits+mnist:{make_files('mnist')}", count=20)
    assert set(data.attributes) == {"digit", "source"} and data.sample_shape == (1, 32, 32)
    assert len(load_data(f"digits+mnist:{make_files('mnist')}", count=200)) == 140  # MNIST's copy holds 40


def test_without_a_count_each_member_gives_its_default():
    data = load_data("digits+digits-rgb", resolution=16)
    assert data.sample_shape == (3, 16, 16) and len(data) == 2 * 1797


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("faces+ring", {}, "'ring' holds points; only images"),
        ("ring+grid", {}, "'ring' holds points; only images"),
        ("ring+faces", {"resolution": 32}, "'ring' holds points"),
        ("faces+cats", {}, "unknown data set 'cats'; known: faces"),
        ("faces+cifar10", {}, "'cifar10' names no folder; write cifar10:PATH"),
        ("faces+", {}, "unknown data set ''"),
        ("faces+faces", {}, "names a member twice"),
        ("faces+digits", {"resolution": 64}, "'digits' has no resolution 64; allowed: 16, 32"),
        ("faces+digits", {"count": 1}, "count must be at least 2, got 1"),
    ],
)
def test_mistakes_are_one_line(name, options, expected):
    with pytest.raises(DataError) as caught:
        load_data(name, **options)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_every_image_source_can_be_joined(make_files, tmp_path):
    names = [name for name, source in DATA_SETS.items() if source.resolutions is not None]
    names += [f"{name}:{make_files(name)}" for name in PATH_SETS]
    data = load_data("+".join(names), resolution=16, count=2 * len(names), cache_dir=tmp_path / "cache", progress=False)
    assert torch.bincount(data.attributes["source"]).tolist() == [2] * len(names)
