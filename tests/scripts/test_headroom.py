"""The room above one good schedule, from a comparison's folder."""

import json
from pathlib import Path

import numpy as np


def test_the_room_above_a_schedule_is_measured(tiny_suite, run_script, capsys, tmp_path: Path) -> None:
    common = [
        "--suite",
        tiny_suite,
        "--budget",
        "300",
        "--run-dir",
        "run",
        "--methods",
        "best_schedule",
        "--seeds",
        "1",
    ]
    assert run_script("compare", *common) == 0
    small = ["--factors", "1", "2", "--starts", "4", "--replicates", "2", "--num-envs", "4", "--json", "room.json"]
    assert run_script("headroom", "run", *small) == 0
    record = json.loads((tmp_path / "room.json").read_text())
    grades = np.array(record["grades"])
    assert grades.shape == (4, 4, 2) and len(record["starts"]) == 4 and len(np.unique(grades)) > 6, (
        "replicates and schedules differ"
    )
    assert record["factors"] == [[1, 1], [1, 2], [2, 1], [2, 2]] and 0 <= record["headroom"]["luck"] <= 1
    assert set(record["stopped"]) == {"1", "2"}
    capsys.readouterr()
    for wrong, named in (
        (["run", "--factors", "2"], "--factors"),
        (["run", "--starts", "1"], "--starts"),
        (["nowhere"], "nowhere"),
        (["run", "--cell-seed", "7"], "cell.json"),
    ):
        assert run_script("headroom", *wrong) == 2
        error = capsys.readouterr().err
        assert named in error and error.count("\n") == 1, error
