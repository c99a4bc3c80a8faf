"""The study of a frozen GAN where one of its GANs fails."""

import dataclasses
import re
from types import SimpleNamespace

import pytest

from agents.latent_gans import GanRow, GanSizes
from agents.latent_study import training
from agents.latent_study.conditions import PROCESSED, STRONG, write_conditions
from agents.latent_study.lab import MEASURES, Lab, quick
from agents.page import Page
from agents.run_folder import RunFolder
from gan_backbones.data import load_data
from tests.agents.page.reader import read


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A study of the smallest GANs, which takes every image to be as good as any."""
    monkeypatch.setattr(Lab, "measure", lambda self, images, data=None: dict.fromkeys(MEASURES, 1.0))
    sizes = GanSizes(latent_size=6, width=2, batch_size=4, updates=40)
    settings = dataclasses.replace(quick(), sizes=sizes, samples=24)
    data = load_data("digits", resolution=16, count=64, progress=False)
    judge = SimpleNamespace(name="judge")
    folder, page = RunFolder(tmp_path / "run"), Page("", "")
    return Lab(settings, folder, data, "digits", judge, judge, 0, "cpu", None, False, page)


@pytest.mark.parametrize("diverges", [STRONG, PROCESSED, None])
def test_a_gan_that_diverges_is_told_wherever_it_is_spoken_of(lab, monkeypatch, diverges):
    if diverges == STRONG:
        monkeypatch.setattr(training, "STRONG_RATES", (1e30, 1e30))
    elif diverges == PROCESSED:
        rates = iter([(), (), (1e30, 1e30)])  # the last one's
        monkeypatch.setattr(training, "GanRow", lambda *given: GanRow(*given, *next(rates)))
    training.train_all(lab)
    assert lab.numbers["diverged"] == ([] if diverges is None else [diverges])
    write_conditions(lab)
    text = read(lab.page.render()).text
    assert ("learning rate. It diverged." in text) == (diverges == STRONG)
    assert ("learned from them diverged, the one without preprocessing at 1.00" in text) == (diverges == PROCESSED)
    assert ("Distance at the end: 1.00 against 1.00" in text) == (diverges != STRONG)
    assert not re.search(r"\bnan\b", text)
