"""The study of a frozen GAN, as small as it can be."""

import json
import re

import pytest

from agents.bandit_teams import TEAMS
from agents.latent_gans import GanSizes
from agents.latent_study.lab import MEASURES, StudySettings
from agents.latent_study.looking import CELLS
from tests.agents.page.reader import read

TINY = StudySettings(
    sizes=GanSizes(latent_size=6, width=2, batch_size=4, updates=40),
    seeds=2,
    real=64,
    looks=4,
    samples=24,
    batches=2,
    large_updates=4,
    codes=240,
    pulls=640,
    noisy_codes=8,
    noisy_pulls=64,
    noisy_seeds=2,
    noisy_draws=2,
    policy_pulls=512,
    cheap_rivals=True,
)
FIGURES = {"fd.svg", "losses.svg", "pairs.svg", "most-alike.png", "most-different.png", "reward.svg", "entropy.svg"}
FIGURES |= {"random.png", "top-q.png", "gradients.svg", "processed.png", "rates.svg", "run-1.png", "run-2.png"}
METHODS = {"random latents", "truncation", "exhaustive", "DRS", "MH-GAN", "DDLS", "bandit (best tenth by Q)"}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr("agents.latent_study.lab.quick", lambda: TINY)


def test_one_command_writes_the_page_with_everything_on_it(tiny, run_script, tmp_path):
    arguments = ["--quick", "--data", "digits", "--resolution", "16", "--extractor", "efficientnet-lite0@32/2"]
    assert run_script("latent_report", *arguments, "--no-progress", "--run-dir", "run") == 0
    folder = tmp_path / "run"
    study = json.loads((folder / "study.json").read_text())
    numbers = study["numbers"]
    assert set(numbers) >= {"training", "fall", "pairs", "confusion", "reproducibility", "bandit"}
    assert set(numbers) >= {"noisy bandits", "rivals", "learning rates", "exploited reward", "processed data"}
    assert set(numbers) >= {"resolutions", "discrete against continuous", "objectives"}
    assert set(numbers["objectives"]) >= {"calibrated", "diversity", *(f"team {name}" for name in TEAMS)}
    assert set(numbers["bandit of every GAN"]) == {"seed 0", "seed 1"}
    assert numbers["reproducibility"]["equal"] and study["versions"]["torch"]
    shares = numbers["confusion"]["shares"]
    assert set(shares) == set(CELLS)
    assert shares["fake called fake"] + shares["fake called real"] == pytest.approx(1)
    assert set(numbers["rivals"]) > METHODS
    for values in numbers["rivals"].values():
        assert set(values) == {*MEASURES, "reward", "images per image kept"}
    for limits in numbers["another batch of random latents"].values():
        assert all(one["low"] <= one["mean"] <= one["high"] for one in limits.values())
    assert numbers["rivals"]["random latents"]["images per image kept"] == 1
    assert numbers["rivals"]["exhaustive"]["images per image kept"] >= 10
    assert len(numbers["pairs"]["generated"]["all"]) == 100
    assert {file.name for file in (folder / "figures").iterdir()} >= FIGURES
    assert (folder / "gan.safetensors").is_file() and (folder / "gan-1.safetensors").is_file()
    assert (folder / "config.json").is_file()

    page = (folder / "report.html").read_text()
    text = read(page).text
    parts = (
        "worth drawing?",
        "and what do they cost?",
        "Frechet distance",
        "no findings",
        "precision",
        "What else was",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places), "the question, then the answer and its price, then the rest"
    assert "true positive" in text and "fake called fake" in text and "random latents" in text
    for words in (
        "too strong",
        "Heavy preprocessing",
        "16 against 32 pixels",
        "learning rate",
        "exploited",
        "continuous",
    ):
        assert words in text, words
    assert not re.search(r"\bnan\b", text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "ring"], "ring"),
        (["--data", "cats"], "unknown data set 'cats'"),
        (["--updates", "3"], "--updates must be at least 20"),
        (["--extractor", "vgg"], "unknown extractor 'vgg'"),
        (["--device", "tpu"], "tpu"),
        (["--run-dir", "used"], "in use"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, run_script, tmp_path, capsys):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "precious.txt").write_text("keep")
    assert run_script("latent_report", *arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / "runs").exists()
