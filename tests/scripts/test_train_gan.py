"""The command that trains one GAN, as a person types it."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.rules import RULES
from gan_backbones import load_gan

POINTS = ["--data", "ring", "--backbone", "mlp", "--updates", "12", "--updates-per-decision", "3", "--snapshots", "2"]
SMALL = ["--data", "digits", "--resolution", "16", "--batch-size", "4", "--updates", "16"]
SMALL += ["--updates-per-decision", "2", "--snapshots", "2", "--snapshot-samples", "32", "--samples", "40"]
SMALL += ["--real", "60", "--metrics", "fd", "--extractor", "efficientnet-lite0@32/2", "--no-progress"]


def run_folder(path):
    """The records of a run: config, statistics by update, evaluation, and TensorBoard's tags."""
    config, evaluation = (json.loads((path / f"{name}.json").read_text()) for name in ("config", "evaluation"))
    rows = [json.loads(line) for line in (path / "stats.jsonl").read_text().splitlines()]
    events = EventAccumulator(str(path)).Reload().Tags()
    return config, rows, evaluation, events


def test_a_gan_that_grows_leaves_a_whole_folder(run_script, tmp_path, capsys):
    arguments = ["--backbone", "mspg", "--backbone-options", "width=2", "latent_size=4", "lite=True", "--grow", "0.5"]
    arguments += ["--controller", "apfl", "--constants", "aux_weight=0.2", "fm_weight=0.1", "--ema-halflife", "8"]
    assert run_script("train_gan", *SMALL, *arguments, "--run-dir", "run") == 0
    config, rows, evaluation, events = run_folder(tmp_path / "run")
    assert config["options"]["controller"] == "apfl" and config["versions"]["torch"]
    decisions = [row for row in rows if "gan/loss_g" in row]
    assert [row["update"] for row in decisions] == list(range(2, 17, 2))
    assert [row["knob/stage"] for row in decisions] == pytest.approx([0.5] * 3 + [2**-0.5] + [1] * 4)
    assert [row["knob/aux_weight"] for row in decisions] == pytest.approx([0.2] * 8)
    assert len({row["knob/lr_g"] for row in decisions}) > 2
    assert "fusion/blocks.1.dema/global" in decisions[0]
    average = "EMA, half-life 8 updates"
    metric = "FD efficientnet-lite0@64/6, n=32"
    looks = [row for row in rows if f"raw/{metric}" in row]
    assert [row["update"] for row in looks] == [8, 16] and all(row[f"{average}/{metric}"] > 0 for row in looks)
    assert {f"{kind}/{name}" for kind in ("raw", average) for name in ("samples", "8 pixels", "16 pixels")} <= {
        *events["images"]
    }
    assert {"gan/loss_d", "knob/lr_d", "fusion/blocks.0.dema/3x3", f"raw/{metric}"} <= {*events["scalars"]}
    assert evaluation["updates"] == 16 and evaluation["ended"] is None
    names = {kind: [score["name"] for score in scores] for kind, scores in evaluation["scores"].items()}
    assert names == {kind: ["FD efficientnet-lite0@32/2, n=40"] for kind in ("raw", average)}
    for file, kind in (("gan", "raw"), ("gan-ema", average)):
        generator, _, meta = load_gan(tmp_path / "run" / f"{file}.safetensors")
        assert meta.notes["weights"] == kind and meta.notes["updates"] == 16 and float(generator.stage) == 1
    assert "raw weights against digits" in capsys.readouterr().out
    # The checkpoint scores as the run did.
    options = ["--data", "digits", "--real", "60", "--metrics", "fd", "--extractor", "efficientnet-lite0@32/2"]
    assert run_script("evaluate", "run/gan-ema.safetensors", *options, "--samples", "40", "--json", "again.json") == 0
    (again,) = json.loads((tmp_path / "again.json").read_text())["scores"]
    assert again == evaluation["scores"][average][0]


@pytest.mark.parametrize("rule", [*RULES, "none"])
def test_points_under_every_rule(rule, run_script, tmp_path):
    assert run_script("train_gan", *POINTS, "--controller", rule, "--run-dir", "run") == 0
    _, rows, evaluation, _ = run_folder(tmp_path / "run")
    assert [score["name"] for score in evaluation["scores"]["raw"]][1:] == ["mode_coverage", "high_quality_share"]
    knobs = {tuple(value for name, value in row.items() if name.startswith("knob/")) for row in rows} - {()}
    assert (len(knobs) == 1) == (rule in ("noop", "none"))


def test_a_trained_agent_turns_the_knobs(run_script, tmp_path):
    tiny = ["--num-envs", "2", "--total-timesteps", "60", "--env", "decisions=2", "updates_per_step=1"]
    assert run_script("train_agent", "--algo", "ppo", "--suite", "ring", "--run-dir", "agent", *tiny) == 0
    assert run_script("train_gan", *POINTS, "--controller", "agent", "--run-dir", "run") == 0
    config, *_ = run_folder(tmp_path / "run")
    trained = json.loads((tmp_path / "agent" / "config.json").read_text())["environment"]
    for name in ("knobs", "observation", "history", "moves", "action_type"):
        assert config["environment"][name] == trained[name], name
    assert run_script("train_gan", *POINTS, "--controller", "agent", "--knobs", "lr_g,lr_d", "--run-dir", "other") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--controller", "cosinus"], "unknown controller 'cosinus'; known: noop, linear, cosine"),
        (["--controller", "."], "is no run folder of train_agent.py"),
        (["--updates", "13"], "--updates must be a multiple of --updates-per-decision, not 13 of 3"),
        (["--grow", "0.5"], "backbone 'mlp' with these options does not grow"),
        (["--grow", "0.9"], "--grow must lie in [0, 0.75]"),
        (["--ema-halflife", "-1"], "--ema-halflife must be"),
        (["--snapshots", "0"], "--snapshots must be at least 1"),
        (["--metrics", "fod"], "unknown metric 'fod'"),
        (["--constants", "warp=1"], "unknown constant 'warp'"),
        (["--constants", "stage=1"], "not made for knob 'stage'"),
        (["--knobs", "lr_g"], "lr_d is missing"),
        (["--observation", "everything"], "unknown observation group 'everything'"),
        (["--backbone", "stylegan9"], "unknown backbone 'stylegan9'"),
        (["--backbone-options", "depth=3"], "unknown option 'depth' of backbone 'mlp'"),
        (["--loss", "gold"], "unknown loss 'gold'"),
        (["--data", "rings"], "unknown data set 'rings'"),
        (["--lr-g", "7"], "lr_g must lie in"),
        (["--device", "tpu"], "tpu"),
        (["--run-dir", "used"], "in use"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, run_script, tmp_path, capsys):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "precious.txt").write_text("keep")
    assert run_script("train_gan", *POINTS, *arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / "runs").exists()


def test_stage_belongs_to_whoever_grows(run_script, capsys):
    arguments = ["--backbone", "mspg", "--backbone-options", "width=2", "--grow", "0.5", "--constants", "stage=0.5"]
    assert run_script("train_gan", *SMALL, *arguments) == 2
    assert "--grow sets the knob 'stage'" in capsys.readouterr().err


def test_all_rules_are_listed(run_script, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run_script("train_gan", "--list") == 0
    printed = capsys.readouterr().out
    for name, rule in RULES.items():
        assert name in printed and rule.kind in printed
