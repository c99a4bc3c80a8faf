"""The study of GAN loops that know nothing of this project."""

import ast
import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest

from tests.agents.deployed import always

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "examples" / "foreign_loops").glob("*.py") if path.stem != "command_line")


@pytest.fixture
def load(monkeypatch):
    """load(path) -> the module in that file."""

    def load(path):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def study(load, monkeypatch):
    """The script, which trains in this process."""
    module = load(ROOT / "scripts" / "foreign_loops.py")

    def in_turn(work, jobs, label):
        return ((place, module.train(*job)) for place, job in enumerate(jobs))

    monkeypatch.setattr(module, "side_by_side", in_turn)
    return module


def test_every_loop_is_in_the_study(study):
    assert sorted(study.LOOPS) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_loop_shares_no_code_but_the_balancer_and_the_measure(path):
    for definition in ast.walk(ast.parse(path.read_text())):
        for node in ast.walk(definition) if isinstance(definition, ast.FunctionDef) else ():
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("agents", "gan_env", "gan_backbones"):
                assert (definition.name, node.module) in {
                    ("train", "agents.balancer"),
                    ("distance", "gan_backbones.metrics"),
                }
    outside = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not {"agents", "gan_env", "gan_backbones"} & {
        name.split(".")[0]
        for node in outside
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_loop_ends_as_its_seed_says_and_is_steered(load, path, tmp_path):
    train = load(path).train
    alone = train(1e-3, 1e-3, 0, updates=6)
    assert math.isfinite(alone) and alone == train(1e-3, 1e-3, 0, updates=6) != train(1e-3, 1e-3, 1, updates=6)
    always(0, decisions=2).save(tmp_path / "noop.safetensors")
    always(3, decisions=2).save(tmp_path / "up.safetensors")
    assert alone == train(1e-3, 1e-3, 0, updates=6, policy=str(tmp_path / "noop.safetensors"))
    assert alone != train(1e-3, 1e-3, 0, updates=6, policy=str(tmp_path / "up.safetensors"))


def test_the_table_by_hand(study, capsys):
    loop = "moons_wgan_gp"

    def runs(lr_g, lr_d, policy, values):
        return {study.Run(loop, lr_g, lr_d, seed, policy, None, ""): value for seed, value in enumerate(values)}

    found = runs(1e-3, 1e-3, None, [2.0, 4.0, math.inf]) | runs(1e-3, 1e-2, None, [1.0, 5.0, 5.0])
    assert study.best_pair(study.by_setting(found), loop) == (1e-3, 1e-3)
    tuned = (1e-3, 1e-3)
    finals = runs(*tuned, None, [1.0, 2.0, 3.0]) | runs(*tuned, "p", [2.0, 3.0, 9.0])
    # Lost and rescued, bad and not rescued, bad and rescued, and one that never was bad.
    ends = (([math.inf] * 3, 2.4), ([8.0] * 3, 2.6), ([4.0] * 3, 2.0), ([3.9] * 3, 2.0))
    for start, (alone, balanced) in zip(study.BAD_STARTS, ends, strict=True):
        finals |= runs(*start, None, alone) | runs(*start, "p", [balanced] * 3)
    rows, verdict = study.judge(loop, tuned, study.by_setting(finals), "p")
    assert [row["tuned"] for row in rows] == [False] * 4 + [True]
    assert [row["verdict"] for row in rows] == ["rescued", "not rescued", "rescued", "not bad", "harm"]
    assert [(row["left_alone"], row["ratio"]) for row in rows[1:4]] == [(8.0, 1.3), (4.0, 1.0), (3.9, 1.0)]
    assert rows[1]["ratio_ci95"] == pytest.approx([2.6 / 3, 2.6]) and rows[4]["worst_ratio"] == 4.5
    assert {name: verdict[name] for name in ("reference", "starts", "bad", "rescued", "wanted", "reached")} == {
        "reference": 2.0,
        "starts": 4,
        "bad": 3,
        "rescued": 2,
        "wanted": 3,
        "reached": False,
    }
    assert verdict["name"] == "moons, WGAN-GP, RMSprop" and verdict["change_ci95"] == pytest.approx([1.5, 3.0])
    study.report({"rows": rows, "verdicts": [verdict], "warnings": ["mind this"]}, 3)
    printed = " ".join(capsys.readouterr().out.split())
    assert "3 of 4 starts are bad" in printed and "(NOT REACHED: 3 wanted, 75% of the bad)" in printed
    assert "(HARM)" in printed and printed.endswith("warning: mind this")
    lost = study.by_setting(finals | runs(*tuned, None, [1.0, math.inf, math.inf]))
    with pytest.raises(ValueError, match="moons_wgan_gp: the tuned rates end in no finite distance"):
        study.judge(loop, tuned, lost, "p")


def test_a_tuned_rate_at_the_end_of_the_grid_is_told(study):
    grid = (1e-4, 1e-3, 1e-2)
    assert study.edges("a", (1e-3, 1e-3), grid) == []
    (low,), (high,) = study.edges("a", (1e-4, 1e-3), grid), study.edges("a", (1e-3, 1e-2), grid)
    assert "a: the tuned rate of the generator, 0.0001, is the smallest" in low
    assert "discriminator, 0.01, is the largest" in high


def test_a_tuned_pair_may_be_one_of_the_bad_ones(study):
    tuned = study.BAD_STARTS[0]
    pairs = study.BAD_STARTS
    finals = {
        study.Run("digits_lsgan", *pair, seed, policy, None, ""): 1.0
        for pair in pairs
        for policy in (None, "p")
        for seed in range(2)
    }
    rows, verdict = study.judge("digits_lsgan", tuned, study.by_setting(finals), "p")
    assert len(rows) == 5 and verdict["bad"] == 0 and verdict["reached"] is None
    assert "nothing to rescue" in study.told(verdict)


def test_a_small_study_is_recorded(study, monkeypatch, tmp_path, capsys):
    always(0, decisions=2).save(tmp_path / "noop.safetensors")
    small = [
        "--loops",
        "moons_wgan_gp",
        "--updates",
        "4",
        "--seeds",
        "2",
        "--tuning-seeds",
        "1",
        "--grid",
        "1e-4",
        "1e-3",
    ]
    arguments = [*small, "--policy", str(tmp_path / "noop.safetensors"), "--json", str(tmp_path / "out" / "study.json")]
    monkeypatch.setattr(sys, "argv", ["foreign_loops.py", *arguments])
    study.main()
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert len(record["rows"]) == 5 and len(record["runs"]) == 4 + 20
    assert all(row["balanced"] == row["left_alone"] for row in record["rows"])  # this policy leaves the rates alone
    assert "From the tuned rates 1 [1, 1] times (no harm shown)" in " ".join(capsys.readouterr().out.split())
    assert record["verdicts"][0]["harmless"] and record["warnings"]  # both rates of this grid are at its ends

    made = []

    def train(run):
        made.append(run)
        if len(made) == 4:
            raise KeyboardInterrupt
        return 1.0

    monkeypatch.setattr(study, "train", train)
    study.main()
    assert made == []  # all is known
    assert json.loads((tmp_path / "out" / "study.json").read_text())["rows"] == record["rows"]
    always(3, decisions=2).save(tmp_path / "noop.safetensors")  # another policy of the same name
    with pytest.raises(KeyboardInterrupt):
        study.main()
    study.main()
    assert len(made) == 11 and all(run.policy is not None for run in made)  # each once, but the one interrupted
    last = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [row["left_alone"] for row in last["rows"]] == [row["left_alone"] for row in record["rows"]]
    assert all(row["balanced"] == 1 for row in last["rows"])


def test_constant_rates_need_no_policy(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study, "train", lambda run: 1.0)
    monkeypatch.setattr(sys, "argv", ["foreign_loops.py", "--policy", "None", "--json", str(tmp_path / "one.json")])
    study.main()
    record = json.loads((tmp_path / "one.json").read_text())
    assert not record["rows"] and record["runs"] and all(run[4] is None for run in record["runs"])


@pytest.mark.parametrize(
    "wrong", [["--loops", "nothing"], ["--seeds", "0"], ["--policy", "nobody"], ["--json", "other.json"]]
)
def test_mistakes_are_told_in_one_line(run_script, capsys, tmp_path, wrong):
    (tmp_path / "other.json").write_text('{"runs": 3}')
    assert run_script("foreign_loops", *wrong) == 2
    assert capsys.readouterr().err.count("\n") == 1
