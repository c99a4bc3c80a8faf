"""bench.py proxy on the smallest GANs there are, and its parts on proxies whose answers are known."""

import dataclasses
import functools
import json
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from gan_backbones.metrics import EfficientNetLite0, references
from gan_backbones.metrics.proxy import DistillationBudget, distil_proxy
from gan_env import get_suite, instances

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, whatever its folder."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks import proxy

    return proxy


class Brightness:
    """A proxy that likes dark images and does not care about variety."""

    name = "brightness"

    def measure(self, samples: Tensor) -> Tensor:
        distance = samples.flatten(1).mean(1) + 2
        return torch.stack([distance, torch.ones_like(distance)], dim=-1)


def test_the_record_and_what_is_kept(bench, monkeypatch, run_script, tmp_path: Path) -> None:
    from benchmarks import checkpoints

    monkeypatch.setenv("GANBALANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoints, "AGES", (1, 3))
    monkeypatch.setattr(checkpoints, "JUDGE_IMAGES", 6)
    monkeypatch.setattr(checkpoints, "EfficientNetLite0", lambda resolution, **options: EfficientNetLite0(32, blocks=1))
    (faces,) = get_suite("faces").tasks
    brief = dataclasses.replace(get_suite("faces"), tasks=(dataclasses.replace(faces, decisions=3),))
    monkeypatch.setitem(instances._SUITES, "faces", brief)
    small = DistillationBudget(teacher_images=64, gans=1, images_per_age=8, steps=4, batch_size=16)
    monkeypatch.setattr(references, "distil_proxy", functools.partial(distil_proxy, budget=small))
    arguments = (
        "proxy",
        "--data",
        "digits",
        "--gans",
        "2",
        "--wild",
        "1",
        "--draws",
        "2",
        "--json",
        "proxy.json",
        "--no-progress",
    )
    assert run_script("bench", *arguments, "--plot", "plots/proxy.png", "--ranking", "plots/order.png") == 0
    found = json.loads((tmp_path / "proxy.json").read_text())["data"]["digits"]
    assert found["checkpoints"] == 6 and found["rows"]["updates"] == [1, 1, 3, 3, 1, 3]
    judges = ["FD efficientnet-lite0@32/1, n=6", "FD efficientnet-lite0@64/6, n=256"]
    assert list(found["spearman"]) == judges
    assert all(len(found["rows"][judge]) == 6 for judge in judges)
    assert found["noise"]["noise"] > 0 and found["noise"]["mean size"] > 0
    assert 0 < found["flops share"] < 2 and 0 <= found["one image worse than a blurry crowd"] <= 1
    for picture in ("proxy.png", "order.png"):
        assert (tmp_path / "plots" / picture).stat().st_size > 5000

    monkeypatch.setattr(checkpoints, "_compute", None)  # the verdicts are not asked for twice
    assert run_script("bench", *arguments) == 0
    again = json.loads((tmp_path / "proxy.json").read_text())["data"]["digits"]
    assert again == found


def test_agreement_is_a_rank_correlation_over_all_and_over_the_better_half(bench) -> None:
    verdict = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, math.inf])
    found = bench.agreement(verdict.exp(), verdict)
    assert found == pytest.approx({"all": 1.0, "better half": 1.0})
    better_reversed = torch.tensor([4.0, 3, 2, 1, 50, 60, 70, math.inf])
    found = bench.agreement(better_reversed, verdict)
    assert found["better half"] == pytest.approx(-1.0)
    assert found["all"] == pytest.approx(1 - 6 * (9 + 1 + 1 + 9) / (8 * 63))  # squared differences of ranks


def test_one_perfect_image_does_not_fool_who_looks_at_variety(bench) -> None:
    samples = torch.randint(256, (200, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    share = bench.one_image_worse(samples, Brightness(), 128)
    means = samples[:64].float().flatten(1).mean(1)
    assert share == pytest.approx(float((means > samples[-128:].float().mean()).double().mean()), abs=0.1)


def test_rates_are_drawn_from_their_ranges(bench) -> None:
    from benchmarks.checkpoints import _ANY, _TUNED, _draw_rates

    rates = _draw_rates([_ANY] * 100 + [_TUNED] * 100, torch.Generator().manual_seed(0)).log10()
    low, high = rates[:100].amin(0), rates[:100].amax(0)
    assert (low < -4.8).all() and (low >= -5).all() and (high > -1.7).all() and (high <= -1.5).all()
    tuned = rates[100:]
    assert tuned[:, 0].amin() >= -3.5 and tuned[:, 0].amax() <= -2.5 and tuned[:, 1].amin() >= -3


@pytest.mark.parametrize("wrong", [("--gans", "1"), ("--draws", "1"), ("--data", "nothing")])
def test_bad_options_are_told_in_one_line(bench, run_script, capsys, wrong: tuple[str, str]) -> None:
    assert run_script("bench", "proxy", "--no-progress", *wrong) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_points_have_no_such_proxy(bench, run_script, capsys) -> None:
    assert run_script("bench", "proxy", "--no-progress", "--data", "ring") == 2
    assert get_suite("ring").tasks[0].data in capsys.readouterr().err
