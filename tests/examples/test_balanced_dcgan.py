"""The example loop with a balancer in it."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.agents.deployed import always

EXAMPLE = Path(__file__).parents[2] / "examples" / "balanced_dcgan.py"


@pytest.fixture
def run_example(monkeypatch, tmp_path):
    """run_example(*arguments) runs its main in an empty folder."""
    spec = importlib.util.spec_from_file_location("balanced_dcgan", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["balanced_dcgan.py", *arguments])
            module.main()

    return run


def test_it_takes_five_lines():
    assert re.findall(r"# (\d)$", EXAMPLE.read_text(), re.MULTILINE) == ["1", "2", "3", "4", "5"]


def test_it_trains_both_and_draws_them(run_example, tmp_path, capsys):
    always(1).save(tmp_path / "up.safetensors")
    tiny = ["--data", "digits", "--resolution", "16", "--updates", "12", "--width", "4", "--batch-size", "8"]
    run_example("--policy", "up.safetensors", *tiny, "--output", "out/balanced.png")
    assert capsys.readouterr().out == "wrote out/balanced.png\n"
    picture = np.asarray(Image.open(tmp_path / "out" / "balanced.png").convert("L"))
    half = picture.shape[1] // 2
    assert picture.std() > 10 and (picture[:, :half] != picture[:, half : 2 * half]).any()


def test_an_unknown_policy_is_told_in_one_line(run_example, capsys):
    with pytest.raises(SystemExit) as stop:
        run_example("--policy", "nothing")
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
