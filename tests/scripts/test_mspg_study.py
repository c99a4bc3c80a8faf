"""The study of MSPG-SEN: what is computed from its runs, and small runs of its parts."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.tensorboard.writer import SummaryWriter

from gan_env import SUITES, instances

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL = [
    "--budget.data",
    "digits",
    "--budget.resolution",
    "16",
    "--budget.batch-size",
    "4",
    "--budget.latent-size",
    "4",
]
SMALL += ["--budget.samples", "32", "--budget.looks", "2", "--budget.updates-per-decision", "2"]


@pytest.fixture
def part(monkeypatch):
    """``part(name)``: a module of the study."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda name: importlib.import_module(f"mspg_parts.{name}")


def scored(name, distances):
    return [
        {"name": name, "seed": seed, "scores": {} if value is None else {"FD": value}}
        for seed, value in enumerate(distances)
    ]


def test_a_cell_is_its_command(part, tmp_path):
    runs = part("runs")
    recipe = runs.Recipe(options={"width": 2, "lite": True}, constants={"aux_weight": 0.1}, lr_d=2e-3, grow=0.5)
    cell = recipe.cell("mspg lite, grown", 3, ("--updates", "10"))
    words = " ".join(cell.command)
    assert words == (
        "scripts/train_gan.py --backbone mspg --backbone-options width=2 lite=True --constants aux_weight=0.1 "
        "--lr-g 0.001 --lr-d 0.002 --grow 0.5 --controller noop --updates 10 --seed 3"
    )
    assert cell.folder(tmp_path) == recipe.cell("mspg lite, grown", 3, ("--updates", "10")).folder(tmp_path)
    others = {recipe.cell("mspg lite, grown", 4, ("--updates", "10")), recipe.cell("mspg lite, grown", 3, ())}
    assert len({cell.folder(tmp_path), *(other.folder(tmp_path) for other in others)}) == 3


def test_a_run_that_is_whole_is_not_made_again_and_one_that_fails_says_why(part, tmp_path):
    runs, study = part("runs"), part("study").Study(runs=tmp_path)
    done, wrong = (runs.Cell("one", seed, ("--data", "facse")) for seed in (0, 1))
    folder = done.folder(tmp_path)
    folder.mkdir()
    (folder / "evaluation.json").write_text("{}")
    assert runs.play([done], study, "") == [folder]
    before = list(sys.argv)
    with pytest.raises(ValueError, match=r"--data facse --seed 1 failed: error: unknown data"):
        runs.play_one(wrong, wrong.folder(tmp_path))
    assert sys.argv == before


def test_the_cost_of_a_gan_that_grows_is_that_of_the_scales_it_computes(part):
    cost, recipe = part("cost"), part("runs").Recipe
    assert [cost.scale_count(pixels) for pixels in (16, 32, 128)] == [2, 3, 5]
    growing = recipe(options={"width": 4}, constants={"aux_weight": 0.2}, grow=0.5)
    forms = cost.forms("a", growing, 3)
    *coarser, whole = forms.values()
    assert [form.options["scales"] for form in coarser] == [1, 2]
    assert all(form.constants == {"aux_weight": 0.2, "stage": 1.0} and not form.grow for form in coarser)
    assert whole == dataclasses.replace(growing, grow=0.0)
    # One scale for an eighth of the training, two for a quarter, then all.
    costs = dict(zip(forms, (1.0, 2.0, 4.0), strict=True))
    assert cost.mean_cost("a", growing, costs, 3) == pytest.approx(0.125 + 0.5 + 2.5, abs=0.01)
    assert cost.forms("b", recipe(), 3) == {"b": recipe()} and cost.mean_cost("b", recipe(), {"b": 1.5}, 3) == 1.5
    assert cost.ratios([2.0, 30.0, 4.0], [1.0, 10.0, 4.0]) == [2.0, 3.0, 1.0]


def test_the_same_networks_and_terms_are_timed_once(part):
    cost, recipes = part("cost"), part("recipes")
    lite, terms = recipes.LITE, {"aux_weight": 0.1}
    found = {
        "lite": lite,
        "lite, other rates": dataclasses.replace(lite, lr_g=1e-4),
        "early": dataclasses.replace(lite, grow=0.5),
        "late": dataclasses.replace(lite, grow=0.8),
        "terms": dataclasses.replace(lite, constants=terms, grow=0.5),
    }
    contenders = {}
    for name, recipe in found.items():
        contenders |= cost.forms(name, recipe, 2)
    assert cost.timed_as(contenders) == {
        "lite": "lite",
        "lite, other rates": "lite",
        "early: 1 scale": "early: 1 scale",
        "early: 2 scales": "lite",
        "late: 1 scale": "early: 1 scale",
        "late: 2 scales": "lite",
        "terms: 1 scale": "terms: 1 scale",
        "terms: 2 scales": "terms: 2 scales",
    }


def test_recorded_costs_are_read(part):
    equal_time = part("equal_time")
    rivals = ("mspg lite", "mspg lite, growing over half")
    study = part("study").Study(output=SCRIPTS.parent / "docs" / "results" / "mspg")
    costs = equal_time.read_costs(equal_time.EqualTimeOptions(rivals=rivals, study=study))
    assert costs["mspg lite"] == 1 and 0.2 < costs["mspg lite, growing over half"] < 1


def test_equal_time_is_fewer_updates_of_what_costs_more(part):
    equal_time, budget = part("equal_time"), part("runs").Budget(updates=1500, updates_per_decision=20)
    assert [equal_time.updates_in_time(budget, cost) for cost in (1.0, 1.6, 3.0)] == [1500, 920, 500]


def test_the_verdict_follows_the_interval(part):
    first = scored("first", [100.0, 101.0, 99.0, 102.0, 100.0])
    better, worse = (
        scored("better", [80.0, 82.0, 81.0, 79.0, 80.0]),
        scored("worse", [140.0, None, 150.0, 160.0, 150.0]),
    )
    unclear = scored("unclear", [90.0, 111.0, 95.0, 108.0, 99.0])
    told = part("equal_time").summarise([*first, *better, *worse, *unclear])
    assert {name: one.get("verdict") for name, one in told.items()} == {
        "first": None,
        "better": "better",
        "worse": "worse",
        "unclear": "undecided",
    }
    assert told["worse"]["lost"] == 1 and told["better"]["iqm"] == pytest.approx(np.mean([80, 80, 81]))
    assert told["better"]["difference"] == pytest.approx(told["better"]["iqm"] - told["first"]["iqm"])


def test_an_ablation_leaves_one_part_out_and_tells_what_was_lost(part):
    ablation = part("ablation")
    table = ablation.recipes(4, 8)
    whole = table["all parts"]
    for switch in ablation.SWITCHES:
        assert dict(table[f"without {switch}"].options) == {**whole.options, switch: False}
    assert "aux_weight" in whole.constants and "aux_weight" not in table["without auxiliary"].constants
    scores = {"precision": 0.5, "recall": 0.4, "density": 0.3, "coverage": 0.2}
    rows = [{"name": "a", "scores": scores | {"FD": value}} for value in (10.0, 14.0)] + [{"name": "a", "scores": {}}]
    told = ablation.summarise(rows)["a"]
    assert (told["n"], told["lost"]) == (3, 1) and told["FD"] == {"mean": 12.0, "min": 10.0, "max": 14.0}


def test_images_are_learned_by_heart(part, monkeypatch):
    overfit = part("overfit")
    options = overfit.OverfitOptions(data="digits", resolution=16, width=4, latent_size=8, images=4, steps=60)
    row = overfit.fit(options, True, 0)
    assert row["error"] < 0.3 * row["curve"][0][1] and [step for step, _ in row["curve"]] == [0, 20, 40, 60]
    assert row["steps_until_below"] is None
    assert row == overfit.fit(options, True, 0) != overfit.fit(options, True, 1)
    monkeypatch.setattr(overfit, "BAR", row["curve"][1][1] * 1.01)
    sooner = overfit.fit(options, True, 0)
    assert 10 < sooner["steps_until_below"] <= 20 and sooner["error"] < overfit.BAR


def test_adamw_at_the_paper_s_rate(part):
    rates = part("rates")
    assert not rates.diverged(10.0, 9.0, [1.0])
    assert rates.diverged(10.0, 10.0, [1.0]) and rates.diverged(10.0, float("inf"), [1.0])
    assert rates.diverged(10.0, 9.0, [1.0, float("nan")])
    options = rates.RatesOptions(data="digits", resolution=16, width=2, updates=5, looks=2, samples=32)
    calm, wild = (rates.train(options, rate, 0) for rate in (1e-4, 10.0))
    assert len(calm["looks"]) == 3 and calm["distance"] != calm["distance_before"] == wild["distance_before"]
    assert wild["looks"][-1]["weight_norm"] > 10 * calm["looks"][-1]["weight_norm"]


@pytest.mark.parametrize("lite", [True, False])
def test_sanity_counts_what_is_not_finite(part, lite, monkeypatch):
    sanity = part("sanity")
    assert {"faces", "digits", "glyphs", "photos"} <= set(sanity.image_sets()) and "ring" not in sanity.image_sets()
    options = sanity.SanityOptions(data=("digits",), seeds=(0, 1), width=2, updates=4)
    assert sanity.train(options, "digits", lite)["not_finite"] == 0
    sample = sanity.GanPopulation.sample

    def broken(*args):
        return sample(*args).index_fill(0, torch.tensor([1]), torch.nan)

    monkeypatch.setattr(sanity.GanPopulation, "sample", broken)
    assert sanity.train(options, "digits", lite)["not_finite"] == 1


def test_curves_are_read_from_tensorboard(part, tmp_path):
    writer = SummaryWriter(str(tmp_path))
    for step in (10, 20):
        writer.add_scalar("q_values/lr_g up 1.5", step / 10, step)
        writer.add_scalar("actions/keep", 0.25, step)
        writer.add_scalar("rollout/ep_len_mean", 1.0, step)
    writer.close()
    assert part("agent").read_curves(tmp_path) == {
        "q_values": {"lr_g up 1.5": [[10, 1.0], [20, 2.0]]},
        "actions": {"keep": [[10, 0.25], [20, 0.25]]},
    }


def test_agents_and_those_that_need_no_training_meet_on_the_same_starts(run_script, part, monkeypatch, tmp_path):
    few = dataclasses.replace(SUITES["faces"], held_out={"validation": 2, "test": 3})
    task = dataclasses.replace(few.tasks[0], grade_samples=64)
    monkeypatch.setitem(instances._SUITES, "faces", dataclasses.replace(few, tasks=(task,)))
    monkeypatch.setattr(part("study").Study, "compute", lambda self, work, jobs, label: [work(*job) for job in jobs])
    small = [
        "--width",
        "2",
        "--total-timesteps",
        "12",
        "--num-envs",
        "2",
        "--decisions",
        "2",
        "--updates-per-step",
        "1",
    ]
    assert run_script("mspg_study", "q-values", "--rewards", "d_loss_delta", *small) == 0
    record = json.loads((tmp_path / "docs/results/mspg/q-values.json").read_text())
    everybody = {"static, both rates 0.001", "apfl", "dqn, reward d_loss_delta, seed 0", "noop", "random"}
    assert set(record["grades"]) == set(record["summary"]) == everybody and record["rivals"]["n"] == 3
    assert all(len(grades) == 3 for grades in record["grades"].values())
    assert record["grades"]["static, both rates 0.001"] != record["grades"]["noop"]
    assert (tmp_path / "docs/images/mspg-q-values.png").stat().st_size > 0


def test_figures_show_every_action_and_every_weight_that_was_not_lost(part):
    curve = [[10, 0.1], [20, 0.2]]
    row = {"name": "default", "seed": 0, "q_values": {"mean_of_best": curve, "keep": curve}, "actions": {"keep": curve}}
    figure = part("agent").draw([row, row])
    assert [len(axis.lines) for axis in figure.axes] == [2, 2, 1, 1]
    assert figure.axes[0].lines[1].get_color() == figure.axes[2].lines[0].get_color()
    scores = dict.fromkeys(part("ablation").SCORES, 0.5)
    rows = [{"name": "0", "scores": scores}, {"name": "0", "scores": scores}, {"name": "10", "scores": {}}]
    figure = part("auxiliary").draw(rows, part("ablation").summarise(rows))
    assert [axis.get_xlabel() for axis in figure.axes] == ["recall (diversity)", "coverage (diversity)"]
    assert figure.axes[0].get_legend_handles_labels()[1] == ["0"]


def test_from_costs_to_a_comparison_at_equal_time(run_script, part, monkeypatch, tmp_path, capsys):
    assert run_script("mspg_study", "equal-time") == 2
    assert "run the part cost first" in capsys.readouterr().err
    monkeypatch.setattr(part("cost"), "_SAMPLED", ("dcgan",))
    pair = ["--contenders", "dcgan", "mspg lite", "mspg lite, growing over half", "--width", "2", "--size", "2"]
    assert run_script("mspg_study", "cost", "--turns", "1", "--updates", "1", *pair, *SMALL) == 0
    record = json.loads((tmp_path / "docs/results/mspg/cost.json").read_text())
    assert record["rows"][0]["name"] == "dcgan" and record["rows"][0]["of_first"] == 1
    assert record["rows"][0]["peak_bytes"] > 0 and record["versions"]["torch"] and record["hardware"]
    _, lite, coarse, whole = record["rows"]
    assert lite["timed_as"] == whole["timed_as"] == "mspg lite" and lite["turns"] == whole["turns"] != coarse["turns"]
    assert coarse["of_first_range"] == [coarse["of_first"]] * 2  # one turn
    rivals = ["--rivals", "dcgan", "mspg lite", "--seeds", "0", "--budget.updates", "16"]
    assert run_script("mspg_study", "equal-time", *rivals, *SMALL) == 0
    path = tmp_path / "docs/results/mspg/equal-time.json"
    record = json.loads(path.read_text())
    assert record["relative_cost"]["dcgan"] == 1 and len(record["rows"]) == 2
    assert record["rows"][0]["updates"] == 16 and {"FD", "precision", "recall"} <= set(record["rows"][0]["scores"])
    assert [update for update, _ in record["rows"][0]["curve"]] == [8, 16]
    assert (tmp_path / "docs/images/mspg-equal-time.png").stat().st_size > 0
    monkeypatch.setattr(part("study").Study, "compute", None)  # whole runs are not made again
    assert run_script("mspg_study", "equal-time", *rivals, *SMALL) == 0
    assert json.loads(path.read_text())["rows"] == record["rows"]
    assert run_script("mspg_study", "equal-time", "--rivals", "dcgan", "gan") == 2
    assert "unknown rival 'gan'" in capsys.readouterr().err
    assert run_script("mspg_study", "ablation", "--variants", "without gan") == 2
    assert "unknown variant 'without gan'" in capsys.readouterr().err
