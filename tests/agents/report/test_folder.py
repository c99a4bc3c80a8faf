"""Run folders: what is read, what is missed, what is refused."""

import json

import numpy as np
import pytest

from agents.report.cell import read_picture, read_trajectory
from agents.report.folder import read_comparison
from tests.agents.comparisons import INSTANCES, KINDS, KNOBS, grades, png, write_comparison


def rewrite(path, change):
    """Change every row of ``results.jsonl``; a row that becomes ``None`` goes."""
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))


def test_a_whole_folder_is_read(tmp_path):
    comparison = read_comparison([write_comparison(tmp_path / "run")])
    assert comparison.notices == () and comparison.suites == ["ring"]
    assert [(table.suite, table.name) for table in comparison.tables] == [("ring", "rescue"), ("ring", "free")]
    table = comparison.tables[0]
    assert table.metric == "SW2, n=512" and table.instances == tuple(range(INSTANCES))
    assert {name: method.kind for name, method in table.methods.items()} == KINDS
    np.testing.assert_array_equal(table.finals()["sac"], grades("sac", 3))
    np.testing.assert_array_equal(table.failures()["noop"], grades("noop", 1) > 2)
    run = table.methods["ppo"].runs[1]
    assert (run.seed, run.updates, run.seconds) == (1, 1e6, 75.5) and len(run.curve) == 9
    assert comparison.sources[0].config["git_commit"] == "0" * 40 and len(comparison.sources[0].digest) == 64


def test_the_order_of_the_lines_does_not_matter(tmp_path):
    folder = write_comparison(tmp_path / "run")
    before = read_comparison([folder]).tables
    lines = (folder / "results.jsonl").read_text().splitlines()
    np.random.default_rng(0).shuffle(lines)
    (folder / "results.jsonl").write_text("\n".join(lines))
    assert read_comparison([folder]).tables == before


def test_cells_are_enough_while_the_comparison_runs(tmp_path):
    folder = write_comparison(tmp_path / "run")
    whole = read_comparison([folder])
    (folder / "results.jsonl").unlink()
    comparison = read_comparison([folder])
    assert comparison.tables == whole.tables
    (notice,) = comparison.notices
    assert "results.jsonl is missing" in notice


def test_results_are_enough_without_cells(tmp_path):
    folder = write_comparison(tmp_path / "run", methods=("noop", "oracle", "ppo"))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "results.jsonl").write_bytes((folder / "results.jsonl").read_bytes())
    comparison = read_comparison([tmp_path / "bare"])
    np.testing.assert_array_equal(comparison.tables[0].finals()["ppo"], grades("ppo", 3))
    text = " ".join(comparison.notices)
    for missing in ("config.json", "cell.json (learning curve)", "records.json (knobs)", "samples.png (samples)"):
        assert missing in text
    run = comparison.tables[0].methods["ppo"].runs[0]
    assert run.curve == () and read_trajectory(run, 0) is None and read_picture(run) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: None if row["method"] == "noop" else row, "there is no noop, so no scores"),
        (lambda row: None if row["method"] == "oracle" else row, "there is no oracle, so no scores"),
        (lambda row: None if row["kind"] == "learned" else row, "no learned method"),
        (lambda row: None if row["table"] == "free" else row, "ring: there is no table 'free'"),
        (lambda row: None if (row["method"], row["seed"]) == ("sac", 1) else row, "sac lacks seeds 1 of 3"),
        (
            lambda row: None if (row["method"], row["seed"], row["instance"]) == ("sac", 1, 5) else row,
            "run 1 of sac has 15 of 16 instances and is left out",
        ),
    ],
)
def test_what_is_missing_is_told(tmp_path, change, message):
    folder = write_comparison(tmp_path / "run")
    rewrite(folder / "results.jsonl", change)
    comparison = read_comparison([folder])
    assert any(message in notice for notice in comparison.notices), comparison.notices


def test_copies_of_a_run_count_once(tmp_path):
    """Seeds of a method that neither tuning nor chance enters; runs that were tuned and end alike are two."""
    same = np.repeat(grades("noop", 1), 3, axis=0)
    finals = {"noop": same, "ppo": same, "pbt": same, "oracle": np.concatenate([same, grades("oracle", 2)])}
    folder = write_comparison(tmp_path / "run", methods=tuple(finals), finals=finals)
    methods = read_comparison([folder]).tables[0].methods
    assert {name: [run.seed for run in method.runs] for name, method in methods.items()} == {
        "noop": [0],
        "oracle": [0, 3, 4],
        "pbt": [0, 1, 2],
        "ppo": [0, 1, 2],
    }


def test_folders_of_one_suite_are_put_together(tmp_path):
    first = write_comparison(tmp_path / "a", methods=("noop", "oracle", "ppo"))
    second = write_comparison(tmp_path / "b", methods=("noop", "sac"))
    third = write_comparison(tmp_path / "c", suite="faces", methods=("noop", "oracle"))
    comparison = read_comparison([first, second, third])
    assert comparison.suites == ["faces", "ring"]
    ring = next(table for table in comparison.tables if table.suite == "ring")
    assert list(ring.methods) == ["noop", "oracle", "ppo", "sac"] and len(ring.methods["noop"].runs) == 1


def test_folders_that_contradict_each_other_are_refused(tmp_path):
    first = write_comparison(tmp_path / "a", methods=("noop",))
    second = write_comparison(tmp_path / "b", methods=("noop",), finals={"noop": np.ones((1, INSTANCES))})
    with pytest.raises(ValueError, match="different results of the same cell"):
        read_comparison([first, second])


@pytest.mark.parametrize(("name", "others"), [("budget", 3000), ("env", ["decisions=100"])])
def test_folders_on_other_terms_are_refused(tmp_path, name, others):
    first = write_comparison(tmp_path / "a", methods=("noop", "ppo"))
    second = write_comparison(tmp_path / "b", methods=("sac",))
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps(config | {"options": {"suite": "ring", name: others}}))
    with pytest.raises(ValueError, match=f"a and .*b cannot share a table: --{name} was None there and"):
        read_comparison([first, second])
    (first / "config.json").unlink()
    assert len(read_comparison([first, second]).tables[0].methods) == 3, "nothing is known to differ"


def test_runs_of_several_versions_are_told(tmp_path):
    folder = write_comparison(tmp_path / "run", methods=("noop", "oracle", "ppo"), tables=("rescue", "free"))
    for seed, commit in enumerate(("a" * 40, "a" * 40, "b" * 40)):
        path = folder / "cells" / "rescue" / "ppo" / str(seed) / "cell.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": commit}))
    comparison = read_comparison([folder])
    assert comparison.sources[0].commits == {"a" * 40: 2, "b" * 40: 1, None: 7}
    (notice,) = comparison.notices
    assert (
        notice == f"ring, rescue: the runs of ppo were made by several versions of the program: {'a' * 40}, {'b' * 40}."
    )


def broken(**fields):
    return lambda row: row | fields


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (broken(final=0.0), r"results.jsonl:1: a grade is a positive distance, not 0"),
        (broken(final=float("nan")), "not nan"),
        (broken(final="low"), "'final' cannot be 'low'"),
        (broken(final=True), "'final' cannot be True"),
        (broken(seed=1.5), "'seed' cannot be 1.5"),
        (broken(updates=-1), "'updates' cannot be -1"),
        (broken(kind="magic"), "unknown kind 'magic'; known: reference, open loop"),
        (broken(method="../../x"), "is no name of a folder"),
        (broken(table=".."), "is no name of a folder"),
        (broken(instance=0), "second result of the same cell"),
        (lambda row: {key: row[key] for key in row if key != "failed"}, "'failed' is missing"),
        (lambda row: [row], "a result is an object"),
    ],
)
def test_garbage_is_refused_with_its_place(tmp_path, change, message):
    folder = write_comparison(tmp_path / "run", methods=("noop",))
    rewrite(folder / "results.jsonl", change)
    with pytest.raises(ValueError, match=message):
        read_comparison([folder])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.jsonl", b"{", "results.jsonl:1 is not JSON"),
        ("results.jsonl", b"\xff\xfe", "is not text"),
        ("results.jsonl", b"", "is empty"),
        ("config.json", b"{", "config.json is not JSON"),
        ("config.json", b"[]", "should hold an object"),
        ("cells/rescue/noop/0/cell.json", b"nonsense", "cell.json is not JSON"),
        ("cells/rescue/noop/0/cell.json", b'{"curve": 3}', "a curve is a list"),
        ("cells/rescue/noop/0/cell.json", b'{"metric": "another"}', "elsewhere"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, content, message):
    folder = write_comparison(tmp_path / "run", methods=("noop",))
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_comparison([folder])


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no comparison"):
        read_comparison([tmp_path])
    with pytest.raises(ValueError, match="holds no comparison"):
        read_comparison([tmp_path / "nowhere"])


def test_a_trajectory_begins_at_the_start(tmp_path):
    folder = write_comparison(tmp_path / "run", methods=("ppo",))
    run = read_comparison([folder]).tables[0].methods["ppo"].runs[0]
    path = read_trajectory(run, 3)
    recorded = json.loads((run.folder / "records.json").read_text())["records"][3]["log10_knobs"]
    assert path.knobs == KNOBS and path.log10.shape == (6, 3) and not path.failed
    assert path.log10[0, :2] == pytest.approx([-4, -2.5]) and np.isnan(path.log10[0, 2])
    np.testing.assert_array_equal(path.log10[1:], recorded)
    assert read_trajectory(run, 99) is None
    (run.folder / "records.json").write_text('{"knobs": ["lr_g"], "records": [{"instance": 0}]}')
    with pytest.raises(ValueError, match="not a record of knobs"):
        read_trajectory(run, 0)


def test_pictures_are_png(tmp_path):
    folder = write_comparison(tmp_path / "run", methods=("ppo",))
    run = read_comparison([folder]).tables[0].methods["ppo"].runs[2]
    picture = read_picture(run)
    assert picture.content == png(2) and (picture.width, picture.height) == (64, 64)
    (run.folder / "samples.png").write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(ValueError, match="is not a PNG"):
        read_picture(run)
