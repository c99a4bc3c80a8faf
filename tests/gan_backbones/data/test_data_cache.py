import warnings
from pathlib import Path

import pytest
import torch

from gan_backbones.data import cache

TENSORS = {"a": torch.arange(12, dtype=torch.uint8).reshape(3, 4), "b": torch.tensor([[1.5, -2.0]]).t()}
METADATA = {"seed": 3, "names": ["x", "y"]}


@pytest.fixture
def entry(tmp_path):
    path = tmp_path / "deep" / "entry.safetensors"
    cache.save_entry(path, TENSORS, METADATA)
    return path


def test_an_entry_comes_back_bit_for_bit(entry):
    tensors, metadata = cache.load_entry(entry)
    assert metadata == METADATA and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]  # no temporary file stays


def test_no_entry_is_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.load_entry(tmp_path / "absent.safetensors") is None


def damage(content: bytes, kind: str) -> bytes:
    if kind == "last byte":
        return content[:-1] + bytes([content[-1] ^ 1])
    if kind == "metadata":
        return content.replace(b"seed", b"sead", 1)
    return content[: {"empty": 0, "half a header": 20, "one byte short": -1}[kind]]


@pytest.mark.parametrize("kind", ["last byte", "metadata", "empty", "half a header", "one byte short"])
def test_damage_is_noticed_in_one_line(entry, kind):
    content = damage(entry.read_bytes(), kind)
    assert content != entry.read_bytes()
    entry.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged") as caught:
        assert cache.load_entry(entry) is None
    assert len(caught) == 1 and "\n" not in str(caught[0].message)


def test_a_failed_write_leaves_the_old_entry(entry, monkeypatch):
    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gan_backbones.files.os.fsync", full_disk)
    with pytest.warns(UserWarning, match="No space left on device.*without the cache"):
        cache.save_entry(entry, {"a": torch.zeros(1)}, {})
    monkeypatch.undo()
    assert cache.load_entry(entry)[1] == METADATA
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="cannot write cache entry") as caught:
        cache.save_entry(tmp_path / "file" / "entry.safetensors", TENSORS, METADATA)
    assert len(caught) == 1
    assert cache.load_entry(tmp_path / "file" / "entry.safetensors") is None


def test_the_folder_is_the_first_of_four(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    for variable in ("GANBALANCE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert cache.cache_folder() == Path("/home/somebody/.cache/gan-balance")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache.cache_folder() == Path("/xdg/gan-balance")
    monkeypatch.setenv("GANBALANCE_CACHE", "/chosen")
    assert cache.cache_folder() == Path("/chosen")
    assert cache.cache_folder(Path("/given")) == Path("/given")


def test_an_entry_with_a_bad_number_is_not_used(entry):
    cache.save_entry(entry, {"a": torch.tensor([1.0, float("nan")])}, METADATA)
    with pytest.warns(UserWarning, match="not finite"):
        assert cache.load_entry(entry) is None


def test_an_entry_of_other_tensors_is_computed_again(entry):
    """The recipe is right and the checksum, too; what is needed is not there."""

    def load():
        return cache.load_or_compute(entry, METADATA, lambda: {"c": torch.ones(2)}, lambda tensors: tensors["c"])

    with pytest.warns(UserWarning, match="holds something else .*computing it again"):
        assert torch.equal(load(), torch.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(load(), torch.ones(2))
