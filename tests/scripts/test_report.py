"""The command that makes the page."""

import importlib.util

import pytest

from tests.agents.comparisons import write_comparison

FEW = ("noop", "oracle", "best_static", "ppo")


@pytest.fixture
def folder(tmp_path):
    return write_comparison(tmp_path / "run", methods=FEW)


def test_the_page_lies_in_the_run_folder(run_script, folder, capsys):
    assert run_script("report", str(folder)) == 0
    page = (folder / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "ppo" in page
    printed = " ".join(capsys.readouterr().out.split())
    assert "ring, rescue: Normalised score at least 0.8: met" in printed
    assert "Better than best_static on at least one suite: met" in printed


def test_two_runs_of_the_command_give_the_same_page(run_script, folder, tmp_path):
    for name in ("a.html", "b.html"):
        assert run_script("report", str(folder), "--output", name) == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert not (folder / "report.html").exists()


def test_several_folders_go_on_one_page(run_script, folder, tmp_path):
    other = write_comparison(tmp_path / "other", suite="faces", methods=FEW)
    assert run_script("report", str(folder), str(other)) == 0
    page = (folder / "report.html").read_text()
    assert 'id="ring-rescue"' in page and 'id="faces-free"' in page


def test_what_is_missing_is_no_mistake(run_script, folder, capsys):
    (folder / "config.json").unlink()
    assert run_script("report", str(folder)) == 0
    assert "missing" in capsys.readouterr().out


def test_tensorboard_is_written_on_demand(run_script, folder, tmp_path):
    assert run_script("report", str(folder), "--tensorboard", "events") == 0
    assert len(list((tmp_path / "events").rglob("events.*"))) > 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "at least one run folder"),
        (["nowhere"], "holds no comparison"),
        (["GARBAGE"], "results.jsonl:1 is not JSON"),
        (["RUN", "--tensorboard", "RUN"], "is not empty"),
        (["RUN", "--output", "RUN"], "cannot write"),
    ],
)
def test_mistakes_are_told_in_one_line(run_script, folder, tmp_path, capsys, arguments, message):
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "results.jsonl").write_text("%PDF-1.4\n")
    names = {"RUN": str(folder), "GARBAGE": str(tmp_path / "garbage")}
    assert run_script("report", *[names.get(one, one) for one in arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (folder / "report.html").exists()


def test_without_rliable_the_command_says_what_to_install(run_script, folder, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "rliable" else real(name, *rest)
    )
    assert run_script("report", str(folder)) == 2
    assert "pip install 'gan-balance[report]'" in capsys.readouterr().err
