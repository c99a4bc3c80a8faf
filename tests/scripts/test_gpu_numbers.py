"""The commands for a GPU, where there is none: each is one that its script takes."""

import itertools
import json
import sys
from pathlib import Path

import pytest
import tyro


def test_every_command_is_taken(load_script, monkeypatch, tmp_path):
    every = load_script("gpu_numbers").commands("cuda", tmp_path)
    taken, written = [], []
    for command in itertools.chain(*every.values()):
        if command[0] == "-m":
            continue
        script = load_script(Path(command[0]).stem)
        if script.__name__ == "bench":
            for module, _ in script._PARTS.values():
                monkeypatch.setattr(module, "run", taken.append)
            monkeypatch.setattr(sys, "argv", command)
            script.main()
        else:
            taken.append(tyro.cli(script.Options, args=command[1:]))
        written.append(getattr(taken[-1], "json", None) or taken[-1].run_dir)
    assert len(taken) >= 15 and all(options.device == "cuda" for options in taken)
    assert len(set(written)) == len(written) and all(path.is_relative_to(tmp_path) for path in written)


def test_no_gpu_is_told_in_one_line(run_script, capsys):
    assert run_script("gpu_numbers", "--list") == 0
    assert "scripts/bench.py population --device cuda" in capsys.readouterr().out
    assert run_script("gpu_numbers", "--parts", "nothing") == 2
    assert "unknown part" in capsys.readouterr().err


def test_a_profile_names_what_is_dear(run_script, tmp_path, capsys):
    small = ["--suite", "ring", "--num-envs", "2", "--rows", "30", "--json", "profile.json"]
    assert run_script("bench", "profile", *small) == 0
    record = json.loads((tmp_path / "profile.json").read_text())
    assert len(record["operations"]) == 30 and any("mm" in row["name"] for row in record["operations"])
    shares = [row["share"] for row in record["operations"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) < 1
    assert record["milliseconds"] == pytest.approx(record["operations"][0]["milliseconds"] / shares[0])
    assert run_script("bench", "profile", "--num-envs", "0") == 2
    assert capsys.readouterr().err.count("\n") == 1
