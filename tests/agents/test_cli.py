"""What the command lines share."""

import dataclasses
import inspect
from pathlib import Path

import pytest

from agents.best_static import best_static_rates, load_records
from agents.cli import fail_in_one_line, join_data_dir, parse_overrides, print_known
from agents.presets import ALGORITHMS, PRESETS, RELATIVES, get_preset
from gan_backbones import BACKBONES, LOSSES
from gan_backbones.data import DATA_SETS, PATH_SETS
from gan_env import KNOBS, SUITES, EnvConfig
from gan_env.knobs import ACTION_TYPES
from gan_env.observation import groups
from gan_env.reward import PRESETS as REWARDS
from gan_env.shards import GivenUpError


def test_values_are_literals_or_else_strings():
    items = [
        "rate=1e-3",
        "n_steps=8",
        "name=faces",
        "net=[64, 64]",
        "none=None",
        "on=True",
        "path=a=b",
        "empty=",
        "q='8'",
    ]
    assert parse_overrides(items, "--env") == {
        "rate": 1e-3,
        "n_steps": 8,
        "name": "faces",
        "net": [64, 64],
        "none": None,
        "on": True,
        "path": "a=b",
        "empty": "",
        "q": "8",
    }
    assert parse_overrides([], "--env") == {}
    assert parse_overrides(["a=1", "a=2"], "--env") == {"a": 2}, "the last one counts"


def test_literals_are_not_run():
    assert parse_overrides(["a=__import__('os').getcwd()"], "--env") == {"a": "__import__('os').getcwd()"}


@pytest.mark.parametrize("item", ["rate", "=3", "", "two words=3", "1a=3"])
def test_other_forms_are_refused(item):
    with pytest.raises(ValueError, match="--env takes NAME=VALUE") as caught:
        parse_overrides([item], "--env")
    assert repr(item) in str(caught.value)


def test_a_mistake_is_one_line_and_status_2(capsys):
    def main():
        raise ValueError("something\n  is wrong")

    with pytest.raises(SystemExit) as caught:
        fail_in_one_line(main)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.err == "error: something is wrong\n" and output.out == ""


def test_lost_workers_are_one_line_and_status_1(capsys):
    def main():
        raise GivenUpError("the last worker\n  was lost")

    with pytest.raises(SystemExit) as caught:
        fail_in_one_line(main)
    assert caught.value.code == 1 and capsys.readouterr().err == "error: the last worker was lost\n"


def test_an_interrupt_is_told_apart(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        fail_in_one_line(main)
    assert caught.value.code == 130 and capsys.readouterr().err == "interrupted\n"


def test_a_defect_is_not_hidden():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_one_line(main)


def test_success_is_quiet(capsys):
    fail_in_one_line(lambda: None)
    assert capsys.readouterr() == ("", "")


def test_everything_known_is_printed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    print_known()
    text = capsys.readouterr().out
    for table in (ALGORITHMS, SUITES, DATA_SETS, BACKBONES, LOSSES, KNOBS, ACTION_TYPES, groups(), REWARDS):
        assert all(name in text for name in table)
    assert all(f"{name}:PATH" in text for name in PATH_SETS)


@pytest.mark.parametrize(
    ("data", "folder", "joined"),
    [
        (None, None, None),
        ("faces", None, "faces"),
        ("cifar10", None, "cifar10"),
        ("cifar10", Path("a"), "cifar10:a"),
        ("folder", Path("/b/c"), "folder:/b/c"),
        ("faces+mnist", Path("a"), "faces+mnist:a"),
        ("mnist+fashion-mnist", Path("a"), "mnist:a+fashion-mnist:a"),
    ],
)
def test_a_folder_is_joined_to_the_name(data, folder, joined):
    assert join_data_dir(data, folder) == joined


@pytest.mark.parametrize("data", [None, "faces", "cifar10:a", "cats"])
def test_a_folder_that_belongs_to_nothing_is_refused(data):
    with pytest.raises(ValueError, match="--data-dir goes with --data folder or cifar10") as caught:
        join_data_dir(data, Path("a"))
    assert str(data or "no --data") in str(caught.value)


@pytest.mark.parametrize("pair", PRESETS, ids="-".join)
def test_presets_fit_their_algorithm_and_suite(pair):
    algorithm, suite = pair
    preset = get_preset(algorithm, suite)
    assert preset is PRESETS[pair] and suite in SUITES
    for action_type in ALGORITHMS[algorithm].action_types:
        EnvConfig(suite=suite, action_type=action_type, **preset.env)
    assert preset.total_timesteps % preset.num_envs == 0 and preset.validations >= 1


def test_a_suite_without_a_preset_borrows_one_and_an_unknown_algorithm_is_refused():
    assert get_preset("dqn", "somebody's") is PRESETS["dqn", "faces"]
    assert get_preset("ppo", "grid") is PRESETS["ppo", "ring"]
    assert get_preset("ppo", "mixed") is PRESETS["ppo", "faces"]
    with pytest.raises(ValueError, match="unknown algorithm 'ars'; known: dqn, ppo"):
        get_preset("ars", "ring")


@pytest.mark.parametrize("suite", [*SUITES, "somebody's"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_has_a_preset_that_its_class_takes(name, suite):
    preset = get_preset(name, suite)
    assert set(preset.algorithm) <= set(inspect.signature(ALGORITHMS[name].cls).parameters)
    assert (name in RELATIVES) != ((name, "faces") in PRESETS), "its own or borrowed"


def test_a_relative_lends_its_budget_and_some_arguments():
    sac, dqn = get_preset("sac", "ring"), PRESETS["dqn", "ring"]
    assert dataclasses.replace(sac, algorithm=dqn.algorithm) == dqn
    assert sac.algorithm["buffer_size"] == dqn.algorithm["buffer_size"] and "exploration_fraction" not in sac.algorithm
    trpo = get_preset("trpo", "ring").algorithm
    assert trpo["n_steps"] == PRESETS["ppo", "ring"].algorithm["n_steps"] == 13 and trpo["target_kl"] == 0.02


def test_best_static_rates_are_looked_up(monkeypatch):
    for suite, record in load_records().items():
        assert suite in SUITES and best_static_rates(suite) == (record["lr_g"], record["lr_d"])
        for name in ("lr_g", "lr_d"):
            assert KNOBS[name].low <= record[name] <= KNOBS[name].high
    monkeypatch.setattr("agents.best_static.load_records", lambda: {"ring": {"lr_g": 1e-2, "lr_d": 3e-3}})
    assert best_static_rates("ring") == (1e-2, 3e-3) and best_static_rates("faces") is None
