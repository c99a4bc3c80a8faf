"""What a run writes: every file whole or absent."""

import json
import os
from pathlib import Path

import pytest

from agents.run_folder import RunFolder, provenance


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    return folder


def test_nothing_is_written_before_it_is_asked_for(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    folder.create()
    assert (tmp_path / "a" / "b").is_dir()
    RunFolder(tmp_path / "a" / "b").create()  # an empty folder will do


def test_a_used_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    for path in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(ValueError, match="is in use; name another one with --run-dir") as caught:
            RunFolder(path)
        assert "\n" not in str(caught.value)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["keep me"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot (use|make) .*file/below.*: Not a directory") as caught:
        RunFolder(tmp_path / "file" / "below").create()
    assert "\n" not in str(caught.value)


def test_json_is_replaced_whole(folder):
    folder.write_json("config.json", {"lr": 1e-3, "path": Path("x"), "knobs": ("a", "b")})
    assert json.loads((folder.path / "config.json").read_text()) == {"lr": 1e-3, "path": "x", "knobs": ["a", "b"]}
    folder.write_json("config.json", {"lr": 2})
    assert json.loads((folder.path / "config.json").read_text()) == {"lr": 2}
    assert [file.name for file in folder.path.iterdir()] == ["config.json"], "no temporary file is left"


def test_a_failed_write_leaves_the_old_file(folder, monkeypatch):
    folder.write_json("config.json", {"lr": 1})

    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        folder.write_json("config.json", {"lr": 2})
    assert json.loads((folder.path / "config.json").read_text()) == {"lr": 1}
    assert [file.name for file in folder.path.iterdir()] == ["config.json"]


def test_statistics_are_one_line_a_row(folder):
    rows = [{"step": 1, "loss": 0.5}, {"step": 2}]
    for row in rows:
        folder.append_stats(row)
    lines = (folder.path / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_provenance_says_what_ran():
    said = json.loads(json.dumps(provenance("cpu")))
    assert set(said) == {"command", "python", "versions", "git_commit", "hardware"}
    assert said["versions"]["torch"] and said["versions"]["stable-baselines3"] and said["hardware"]
    assert said["git_commit"] is None or len(said["git_commit"].removesuffix("-dirty")) == 40
