"""Nothing grows, and what grows is found."""

import json
import sys

import pytest

SMALL = ["--num-envs", "4", "--no-progress", "--env", "updates_per_step=1", "decisions=3"]


def test_some_hundred_steps_leave_no_file_open(run_script, capsys, tmp_path) -> None:
    steps = ["--steps", "300", "--single-share", "0.2", "--limit-mb", "10000"]
    arguments = [*steps, *SMALL, "--parts", "vector", "single", "training", "--json", "soak.json"]
    assert run_script("soak", *arguments) == 0
    record = json.loads((tmp_path / "soak.json").read_text())
    assert [record[name]["steps"] for name in ("vector", "single", "training")] == [120, 60, 120]
    for name in ("vector", "single", "training"):
        assert record[name]["files"][0] == record[name]["files"][1]
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("pass ")]) == 3


def test_growth_is_measured_and_fails(run_script, monkeypatch, tmp_path) -> None:
    assert run_script("soak", "--parts", "nothing") == run_script("soak", "--steps", "5") == 2
    soak = sys.modules["soak"]
    opened = []
    for slope, leak, passed in ((0.9, 0, True), (1.1, 0, False), (0.9, 1, False)):
        meter = soak.Meter("known", 50_000, False)

        def resident(process, meter=meter, slope=slope):
            """A jump in the warm-up does not count, nor a saw about the line."""
            return 500 * (meter.done > 5000) + slope * meter.done / 1e4 + 0.5 * (meter.done // 125 % 2)

        monkeypatch.setattr(soak, "_resident", resident)
        while meter.advance(125):
            if leak and meter.done % 10_000 == 0:
                opened.append((tmp_path / "leak").open("w"))
        verdict = meter.verdict(0.2, 1.0)
        assert verdict["megabytes_per_10000_steps"] == pytest.approx(slope, abs=0.01)
        assert verdict["passed"] == passed and verdict["files"][1] - verdict["files"][0] == 3 * leak
    for file in opened:
        file.close()
