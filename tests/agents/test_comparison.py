"""Cells: what they write, and that they are whole or not there."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from agents.comparison import Cell, cell_folder, clear_unfinished, missing_cells, run_cell, tidy_results, write_results
from agents.evaluation import Evaluator
from agents.methods import METHODS, Context
from agents.predictors import NoopPredictor
from gan_env import SUITES, Suite, instances


@pytest.fixture
def context(monkeypatch):
    """A cell of a suite that is played in no time; five test instances."""
    task = dataclasses.replace(SUITES["ring"].tasks[0], updates_per_step=2, decisions=3, grade_samples=64)
    suite = Suite("tiny", "for tests", (task,), held_out={"validation": 2, "test": 5})
    monkeypatch.setitem(instances._SUITES, suite.name, suite)
    return Context("tiny", "rescue", 0, 400)


def test_a_cell_holds_what_was_played(context, tmp_path):
    cell = Cell("rescue", "ada", (3,))
    run_cell(tmp_path, cell, dataclasses.replace(context, seed=3), commit="c0ffee")
    folder = cell_folder(tmp_path, "rescue", "ada", 3)
    assert folder == tmp_path / "cells" / "rescue" / "ada" / "3"
    assert sorted(path.name for path in folder.iterdir()) == ["cell.json", "records.json", "samples.png"]
    about = json.loads((folder / "cell.json").read_text())
    assert list(about) == [
        *("suite", "table", "method", "kind", "seed", "metric", "commit", "updates", "seconds", "notes", "curve")
    ]
    assert [about[name] for name in list(about)[:7]] == [
        *("tiny", "rescue", "ada", "closed loop", 3, "squared sliced W2, n=2048", "c0ffee")
    ]
    assert 0 < about["updates"] <= 400 and about["seconds"] >= 0 and about["curve"][-1][0] == about["updates"]
    assert set(about["notes"]["values"]) == {"target", "step", "generator"}

    content = json.loads((folder / "records.json").read_text())
    assert content["knobs"] == ["lr_g", "lr_d"]
    assert [record["instance"] for record in content["records"]] == [0, 1, 2, 3, 4]
    for record, instance in zip(content["records"], context.test, strict=True):
        assert set(record) == {
            *("instance", "data", "final", "failed", "final_proxy", "episode_return"),
            *("decisions", "log10_knobs", "start"),
        }
        assert record["start"] == [instance.lr_g, instance.lr_d] and record["data"] == "ring"
        assert record["decisions"] == len(record["log10_knobs"]) == 3


def test_the_records_and_pictures_are_the_evaluator_s(context, tmp_path):
    run_cell(tmp_path, Cell("rescue", "noop", (0,)), context)
    folder = cell_folder(tmp_path, "rescue", "noop", 0)
    evaluator = Evaluator(context.config(), 5)
    expected = evaluator.evaluate(NoopPredictor(evaluator.codec), context.test)
    records = json.loads((folder / "records.json").read_text())["records"]
    assert [record["final"] for record in records] == [record.final for record in expected]
    core = evaluator.core(context.test[0])
    picture = np.asarray(Image.open(folder / "samples.png"))
    assert picture.shape == (256, 4 * 256 + 3 * 4, 3)
    from gan_env.render import draw_row

    for index in range(4):
        left = 260 * index
        assert (picture[:, left : left + 256] == draw_row(core, index)).all()
    evaluator.close()


def test_a_method_without_chance_is_played_once_for_all_seeds(context, tmp_path):
    run_cell(tmp_path, Cell("free", "ttur", (0, 2)), dataclasses.replace(context, table="free"))
    folders = [cell_folder(tmp_path, "free", "ttur", seed) for seed in (0, 2)]
    about, other = (json.loads((folder / "cell.json").read_text()) for folder in folders)
    assert about | {"seed": 2} == other and about["seed"] == 0 and about["notes"]["same_for_every_seed"]
    one, two = ((folder / "records.json").read_bytes() for folder in folders)
    assert one == two and json.loads(one)["records"][0]["start"] == pytest.approx([1e-4, 4e-4])


def test_a_cell_that_fails_is_not_there(context, tmp_path, monkeypatch):
    def prepare(cell):
        (cell.folder / "policy.zip").write_text("half")
        raise RuntimeError("in the middle")

    monkeypatch.setattr(
        "agents.comparison.find_method", lambda name: dataclasses.replace(METHODS[name], prepare=prepare)
    )
    with pytest.raises(RuntimeError, match="in the middle"):
        run_cell(tmp_path, Cell("rescue", "ppo", (0,)), context)
    assert not cell_folder(tmp_path, "rescue", "ppo", 0).exists()
    assert len(missing_cells(tmp_path, ["rescue"], ["ppo"], [0])) == 1 and tidy_results(tmp_path) == []
    clear_unfinished(tmp_path)
    assert list((tmp_path / "cells" / "rescue" / "ppo").iterdir()) == []


@pytest.mark.parametrize(("updates", "kind"), [((), ValueError), ((6,), RuntimeError)])
def test_only_before_the_first_update_is_an_error_a_mistake_of_the_caller(
    context, tmp_path, monkeypatch, updates, kind
):
    told = []

    def prepare(cell):
        for made in updates:
            cell.on_step(made)
        raise ValueError("not a number")

    monkeypatch.setattr(
        "agents.comparison.find_method", lambda name: dataclasses.replace(METHODS[name], prepare=prepare)
    )
    with pytest.raises(kind, match="not a number"):
        run_cell(tmp_path, Cell("rescue", "ppo", (0,)), dataclasses.replace(context, on_step=told.append))
    assert told == list(updates)


def test_what_is_missing_comes_seed_by_seed(tmp_path):
    def cells(seeds):
        return missing_cells(tmp_path, ["rescue", "free"], ["noop", "ppo"], range(seeds))

    assert cells(2) == [
        Cell("rescue", "noop", (0, 1)),
        Cell("rescue", "ppo", (0,)),
        Cell("free", "noop", (0, 1)),
        Cell("free", "ppo", (0,)),
        Cell("rescue", "ppo", (1,)),
        Cell("free", "ppo", (1,)),
    ]
    for table, method, seed in (("rescue", "noop", 0), ("rescue", "noop", 1), ("free", "ppo", 1)):
        cell_folder(tmp_path, table, method, seed).mkdir(parents=True)
    assert cells(2) == [
        Cell("rescue", "ppo", (0,)),
        Cell("free", "noop", (0, 1)),
        Cell("free", "ppo", (0,)),
        Cell("rescue", "ppo", (1,)),
    ]
    assert cells(3)[0] == Cell("rescue", "noop", (2,)), "more seeds later"


def test_the_tidy_file_has_a_line_for_each_cell_and_instance(context, tmp_path):
    for name in ("noop", "random"):
        run_cell(tmp_path, Cell("rescue", name, (0,)), context)
    (tmp_path / "cells" / "rescue" / "noop" / ".1.tmp").mkdir()
    write_results(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * 5 and {row["method"] for row in rows} == {"noop", "random"}
    assert set(rows[0]) == {
        *("suite", "table", "method", "kind", "seed", "instance", "data"),
        *("final", "failed", "final_proxy", "episode_return", "updates", "seconds"),
    }


def test_a_comparison_that_was_put_away_keeps_its_rows(context, tmp_path):
    for seed in (0, 1):
        run_cell(tmp_path, Cell("rescue", "random", (seed,)), dataclasses.replace(context, seed=seed))
    write_results(tmp_path)
    before = (tmp_path / "results.jsonl").read_bytes()
    (cell_folder(tmp_path, "rescue", "random", 0) / "records.json").unlink()
    write_results(tmp_path)
    assert (tmp_path / "results.jsonl").read_bytes() == before
    assert missing_cells(tmp_path, ["rescue"], ["random"], range(3)) == [Cell("rescue", "random", (2,))]

    (tmp_path / "results.jsonl").write_text('{"final": 1}\n')
    with pytest.raises(ValueError, match=r"results\.jsonl is not what compare\.py writes; remove it"):
        write_results(tmp_path)
    (tmp_path / "results.jsonl").unlink()
    with pytest.raises(ValueError, match=r"0 has no records\.json, and results\.jsonl has no rows of it; remove it"):
        write_results(tmp_path)
