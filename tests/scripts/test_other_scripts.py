"""The smaller commands."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from agents.bandits import BANDITS

TINY = ["--num-envs", "4", "--total-timesteps", "64", "--env", "decisions=4", "updates_per_step=2"]


def test_pictures_and_horizons_of_a_run(run_script, capsys, tmp_path: Path) -> None:
    assert run_script("train_agent", "--algo", "ppo", "--suite", "ring", "--run-dir", "run", *TINY) == 0
    assert run_script("compare_pictures", "run", "--output", "out/picture.png") == 0
    assert "left" not in capsys.readouterr().err
    width, height = Image.open(tmp_path / "out" / "picture.png").size
    assert width > height > 300
    assert run_script("compare_pictures", "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err

    assert run_script("horizons", "run", "--updates", "8", "--decisions", "2", "8", "--json", "out/horizons.json") == 0
    grades = json.loads((tmp_path / "out" / "horizons.json").read_text())["grades"]
    assert list(grades) == ["2", "8"] and {len(one) for pair in grades.values() for one in pair.values()} == {32}
    assert statistics.median(grades["2"]["noop"]) == pytest.approx(statistics.median(grades["8"]["noop"]), rel=0.1)
    assert run_script("horizons", "run", "--updates", "8", "--decisions", "3") == 2
    assert "divide" in capsys.readouterr().err


def test_a_policy_that_names_rates_is_compared_with_gans_left_alone(run_script, capsys, tmp_path: Path) -> None:
    named = ["--algo", "ppo", "--suite", "ring", "--action-type", "target", "--run-dir", "run"]
    assert run_script("train_agent", *named, *TINY) == 0
    assert run_script("compare_pictures", "run", "--output", "out/picture.png") == 0
    assert run_script("horizons", "run", "--updates", "8", "--decisions", "2", "--json", "out/horizons.json") == 0
    grades = json.loads((tmp_path / "out" / "horizons.json").read_text())["grades"]["2"]
    assert len(grades["noop"]) == 32 and grades["noop"] != grades["policy"]


def test_the_best_static_search_updates_its_record_and_keeps_the_others(run_script, capsys, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    small = ["--points", "2", "--screening", "1", "--final", "2", "--num-envs", "4", "--record", str(record)]
    assert run_script("best_static", "--suite", "ring", *small) == 0
    records = json.loads(record.read_text())
    found = records["ring"]
    assert {"faces", "ring"} <= set(records)
    low, high = 1e-5, 10**-1.5
    assert all(low * 0.999 <= found[rate] <= high * 1.001 for rate in ("lr_g", "lr_d"))
    assert found["iqm"] == min(grade for *_, grade in found["final"])
    assert found["gan_updates"] == 500 * (4 * 1 + 1 * 2)
    assert run_script("best_static", "--suite", "rings") == 2
    assert "rings" in capsys.readouterr().err


def test_the_benchmark_writes_its_record(tmp_path: Path) -> None:
    # A process of its own: the benchmark starts others, which must be able to import it.
    script = Path(__file__).parents[2] / "scripts" / "bench.py"
    arguments = ["--suite", "ring", "--num-envs", "2", "--seconds", "0.05", "--turns", "1", "--json", "bench.json"]
    subprocess.run([sys.executable, str(script), "env", *arguments], cwd=tmp_path, check=True, timeout=240)
    record = json.loads((tmp_path / "bench.json").read_text())
    assert len(record["median"]) == 6
    assert all(rate > 0 for rate in record["median"].values())


def test_the_benchmark_of_attention_writes_its_record(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "bench.py"
    arguments = ["--channels", "8", "--resolutions", "8", "16", "--turns", "1", "--json", "bench.json"]
    subprocess.run([sys.executable, str(script), "attention", *arguments], cwd=tmp_path, check=True, timeout=240)
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert len(rows) == 6 and all(row["flops"] > 0 and row["forward_seconds"] > 0 for row in rows)
    rival = rows[-1]
    assert rival["flops"] == 8 * 256 * 8**2 + 4 * 256**2 * 8 and rival["flops_share"] == 1
    wrong = subprocess.run(
        [sys.executable, str(script), "attention", "--channels", "0"], cwd=tmp_path, capture_output=True, text=True
    )
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1


def test_the_benchmark_of_latents_writes_its_record(tmp_path: Path, checkpoint: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "bench.py"
    arguments = ["--gan", str(checkpoint), "--codes", "30", "--pulls", "500", "--pulled-codes", "20", "--batch", "10"]
    subprocess.run(
        [sys.executable, str(script), "latent", *arguments, "--json", "bench.json"],
        cwd=tmp_path,
        check=True,
        timeout=240,
    )
    record = json.loads((tmp_path / "bench.json").read_text())
    assert record["speed"]["scoring_seconds"] > 0 and set(record["speed"]["pulling"]) == set(BANDITS)


def test_the_tradeoff_of_ral_pairs_each_run_with_its_own_start(run_script, tmp_path, capsys):
    def write(name, weight, seed, distance, bits):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(
            json.dumps({"options": {"seed": seed, "ral": {"likelihood_weight": weight}}})
        )
        bold = {"frechet_distance": 190, "bits_per_code": 2.2}
        models = {
            "ml": {"frechet_distance": 200, "bits_per_code": 2, "tempered": {"0.9": bold}},
            "ral": {"frechet_distance": distance, "bits_per_code": bits, "tempered": {"0.9": bold}},
        }
        results = {"autoencoder": {"frechet_distance": 150}, "models": models}
        (tmp_path / name / "evaluation.json").write_text(json.dumps(results))

    write("a", 2, 0, 180, 2.02)
    write("b", 2, 1, 190, 1.98)
    write("c", 0.5, 0, 210, 2.1)
    assert run_script("ral_tradeoff", "a", "b", "c", "--json", "out.json", "--plot", "new/out.png") == 0
    assert "-7.5% (-10.0, -5.0)" in capsys.readouterr().out
    found = {tuple(row.values())[:3]: row for row in json.loads((tmp_path / "out.json").read_text())["runs"]}
    assert len(found) == 2 * 2 + 3 * 2, "maximum likelihood of a seed counts once"
    light = found[0.5, 1.0, 0]
    assert light["distance"] == pytest.approx(0.05) and light["bits"] == pytest.approx(0.05)
    bold = found[None, 0.9, 1]
    assert bold["distance"] == pytest.approx(-0.05) and bold["bits"] == pytest.approx(0.1)
    assert light["room"] == pytest.approx(-0.25)
    assert (tmp_path / "new" / "out.png").stat().st_size > 5000
    assert run_script("ral_tradeoff", "a", "missing") == 2
    write("d", 2, 0, 180, 2.02)
    assert run_script("ral_tradeoff", "a", "d") == 2
    assert "another run has RAL, weight 2 with seed 0, too" in capsys.readouterr().err
