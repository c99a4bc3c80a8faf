"""bench.py balancer on the smallest DCGAN."""

import json
from pathlib import Path

import pytest

from tests.agents.deployed import varied

SMALL = [
    "--width",
    "2",
    "--batch-size",
    "2",
    "--resolution",
    "16",
    "--steps",
    "2",
    "--updates",
    "3",
    "--decisions",
    "2",
]


def test_the_record_and_the_share(run_script, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    varied(decisions=10).save(tmp_path / "policy.safetensors")
    arguments = ["--policy", "policy.safetensors", "--total-updates", "1000", "--json", "cost.json"]
    assert run_script("bench", "balancer", *SMALL, *arguments) == 0
    record = json.loads((tmp_path / "cost.json").read_text())
    assert record["updates_per_decision"] == 100
    assert len(record["update_seconds"]) == len(record["decision_seconds"]) == 2
    update, decision = (record[name] for name in ("update_seconds", "decision_seconds"))
    expected = (sum(update) / 2 + sum(decision) / 2 / 100) / record["step_seconds"]
    assert record["share"] == pytest.approx(expected)
    assert "of the step with a decision every 100 updates" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [("--resolution", "48"), ("--steps", "1"), ("--policy", "nobody")])
def test_mistakes_are_told_in_one_line(run_script, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]) -> None:
    assert run_script("bench", "balancer", *SMALL, *wrong) == 2
    assert capsys.readouterr().err.count("\n") == 1
