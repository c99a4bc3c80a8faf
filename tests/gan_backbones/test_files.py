"""Only files are read, and only JSON as JSON."""

import os

import pytest

from gan_backbones.files import read_file, read_json


@pytest.fixture
def odd(tmp_path):
    """What has a name and is no file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize("name", ["pipe", "folder", "device", "loop", "dangling", "nothing"])
def test_what_is_no_file_is_neither_waited_for_nor_read(odd, name):
    with pytest.raises(OSError, match=name):
        read_file(odd / name)
    with pytest.raises(ValueError, match=f"cannot read .*{name}: ") as caught:
        read_json(odd / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"\xff\xfe\xfd", "not text"),
        (b"7" * 5000, "digits"),
    ],
    ids=["empty", "lists", "objects", "bytes", "digits"],
)
def test_other_content_is_told_in_one_line(tmp_path, content, reason):
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"some.json is not JSON: .*{reason}") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_json_is_read(tmp_path):
    (tmp_path / "some.json").write_text('{"a": [1, null]}')
    assert read_json(tmp_path / "some.json") == {"a": [1, None]}
