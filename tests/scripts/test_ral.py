"""Reinforced adversarial learning, as a person types it."""

import json
from pathlib import Path

import pytest

from agents.ral.grading import TEMPERATURES

SIZES = ["--vqvae.width", "8", "--vqvae.codes", "8", "--prior.channels", "16", "--prior.layers", "1"]
BRIEF = ["--vqvae-updates", "3", "--prior-updates", "3", "--ral-updates", "2", "--ral.warm-up", "1"]
TINY = [*SIZES, *BRIEF, "--samples", "32", "--resolution", "16", "--ral.batch-size", "4", "--no-progress"]


TUNED = ["--decoder-learning-rate", "1e-3", "--against", "images"]


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def test_stages_in_one_run_and_the_last_again_from_it(run_script, capsys, tmp_path: Path) -> None:
    assert run_script("train_ral", "--data", "digits", "--run-dir", "all", *TINY, *TUNED) == 0
    printed = capsys.readouterr().out
    assert "RAL" in printed and "likelihood" in printed and "0.9" in printed
    folder = tmp_path / "all"
    for name in ("vqvae", "prior", "ral", "decoder"):
        assert (folder / f"{name}.safetensors").stat().st_size > 0
    found = evaluation(folder)
    assert set(found["models"]) == {"ml", "ral", "ml_tuned_decoder", "ral_first_decoder"}
    for model in found["models"].values():
        assert model["frechet_distance"] > 0 and 0 < model["bits_per_code"] < 4
        assert list(model["completions"]) == ["0", "4", "8", "12"]
        assert [row["bits_per_code"] > 0 for row in model["tempered"].values()] == [True] * len(TEMPERATURES)
    rows = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in rows] == ["vqvae", "prior", "ral"]
    assert {"reward", "entropy", "divergence", "nll", "held_out_nll", "frechet_distance"} <= set(rows[-1])
    assert list(folder.glob("events.*"))

    again = ["--stage", "ral", "--start", "all", "--run-dir", "again", *TINY, *TUNED]
    assert run_script("train_ral", "--data", "digits", *again) == 0
    assert evaluation(tmp_path / "again")["models"] == found["models"]
    wider = ["--stage", "ral", "--start", "all", "--run-dir", "wider", *TINY, "--prior.channels", "32"]
    assert run_script("train_ral", "--data", "digits", *wider) == 2
    assert "other options" in capsys.readouterr().err
    assert not (tmp_path / "wider").exists()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--stage", "prior,vqvae"], ["--stage", "in this order"]),
        (["--stage", "prior"], ["--start"]),
        (["--stage", "vqvae,ral"], ["train the prior"]),
        (["--stage", "ral", "--start", "nowhere"], ["nowhere", "train that stage first"]),
        (["--data", "ring"], ["ring"]),
        (["--ral-updates", "0"], ["--ral-updates"]),
        (["--reconstruction-weight", "-1"], ["--reconstruction-weight"]),
        (["--device", "tpu"], ["tpu"]),
        (["--vqvae.levels", "2", "--vqvae.downsampling", "16"], ["multiple of 32"]),
    ],
    ids=lambda value: "_".join(value),
)
def test_a_mistake_is_one_line_and_status_2(arguments, names, run_script, capsys, tmp_path: Path) -> None:
    data = [] if "--data" in arguments else ["--data", "digits"]
    assert run_script("train_ral", *data, "--resolution", "16", "--no-progress", *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert all(name in lines[0] for name in names), lines[0]
    assert not (tmp_path / "runs").exists()


def test_the_oracle_experiment_writes_its_record(run_script, capsys, tmp_path: Path) -> None:
    small = ["--seeds", "0", "1", "--side", "4", "--maps", "40", "--held-out", "20", "--samples", "50", "--no-progress"]
    brief = ["--ml-updates", "5", "--ral-updates", "2", "--ral.warm-up", "1", "--ral.batch-size", "8"]
    assert run_script("ral_synthetic", *small, *brief, "--json", "record.json") == 0
    assert "oracle" in capsys.readouterr().out
    record = json.loads((tmp_path / "record.json").read_text())
    assert [row["seed"] for row in record["seeds"]] == [0, 1]
    told = record["summary"]
    low, high = told["ral_minus_ml_oracle_nll_ci95"]
    assert low <= told["ral_minus_ml_oracle_nll"] <= high
    assert told["oracle_oracle_nll"] < told["ml_oracle_nll"]
    assert len(told["ml_by_row"]) == 4 and list(told["ral_completions"]) == ["0", "4", "8", "12"]
    assert run_script("ral_synthetic", "--maps", "0") == 2


def test_the_benchmark_of_sampling_writes_its_record(run_script, tmp_path: Path) -> None:
    small = ["--side", "4", "--batch-size", "2", "--turns", "1", "--json", "bench.json"]
    assert run_script("bench", "ral", *small) == 0
    record = json.loads((tmp_path / "bench.json").read_text())
    assert record["same_codes_in_double"] is True
    assert record["cached_speed_up"] > 0 and len(record["quarter_speed_up"]) == 2
