"""Options of an environment: every wrong value is told in one line that names the allowed ones."""

import dataclasses
import math

import gymnasium as gym
import pytest

from gan_env import ENVIRONMENTS, EnvConfig, GanBalanceEnv, GanBalanceVectorEnv
from gan_env.config import make_options

BAD_VALUES = [
    ({"suite": "rings"}, "unknown suite 'rings'; known: ring, grid, faces"),
    ({"suite": None}, "suite must be a string, not None"),
    ({"loss": []}, r"loss must be a string, not \[\]"),
    ({"cache_dir": 3}, "cache_dir must be a path, not 3"),
    ({"batch_size": 10**30}, "batch_size must be 1,000,000,000 at most"),
    ({"reward": "quality=1e308"}, "unknown reward .quality=1e308.; presets"),
    (
        {"action_type": "absolut"},
        "unknown action type 'absolut'; known: discrete, multidiscrete, continuous, target, absolute",
    ),
    ({"knobs": ("lr_g", "lr_d", "momentum")}, "unknown knob 'momentum'; known: lr_g, lr_d, fm_weight"),
    ({"knobs": ("lr_g",)}, "lr_d is missing"),
    ({"knobs": 3}, "knobs must be names .*lr_g, lr_d, fm_weight"),
    ({"moves": (5.0, 1.5)}, "1 < small < large"),
    ({"moves": (0.0, -1.0)}, "1 < small < large"),
    ({"moves": 5}, "1 < small < large"),
    ({"observation": "pixels"}, "unknown observation group 'pixels'; known: default, absolute, quality"),
    ({"reward": "fid"}, "unknown reward 'fid'; presets: default, .*; terms, .*quality"),
    ({"reward": "quality=much"}, "unknown reward 'quality=much'; presets"),
    ({"reward": "quality=1,quality=2"}, "unknown reward 'quality=2'"),
    ({"reward": None}, "reward must be a name"),
    ({"reward": "quality=1", "measure_quality": False}, "reward 'quality=1' needs measure_quality=True"),
    ({"loss": "hing"}, "unknown loss 'hing'; known: nonsaturating, hinge"),
    ({"constants": 3}, "constants must be pairs"),
    ({"constants": {"lr_g": 1e-3}}, "unknown constant 'lr_g'; known, beside the knobs: .*r1_weight"),
    ({"constants": {"fm_weight": 1.0}}, "unknown constant 'fm_weight'; known, beside the knobs: .*r1_weight"),
    ({"constants": {"r1_weight": 1e9}}, r"constant r1_weight must lie in \[0.001, 100\]"),
    ({"strategy": "parallel"}, "unknown strategy 'parallel'; known: auto, looped, stacked"),
    ({"device": "gpu"}, "unknown device 'gpu'; use 'cpu'"),
    ({"device": "meta"}, "device 'meta' is not supported; use 'cpu'"),
    ({"measure_quality": False}, "reward 'default' needs measure_quality=True; 'stability' does not"),
    (
        {"measure_quality": False, "reward": "stability", "observation": "quality"},
        "observation 'quality' needs measure_quality=True",
    ),
    ({"measure_quality": "no"}, "measure_quality must be true or false, not 'no'"),
    ({"progress": 2}, "progress must be true or false, not 2"),
    ({"backbone_options": "width"}, "backbone_options must be pairs of a name and a value"),
    ({"backbone_options": 5}, "backbone_options must be pairs of a name and a value"),
    *[
        ({"start_ranges": value}, r"start_ranges must be a range of each rate within \[1e-06, 0.1\]")
        for value in (3, ((1e-3, 1e-2),), ((1e-3, 1e-2), (1e-2, 1e-3)), ((1e-3, 1.0),) * 2, ((1e-3, math.nan),) * 2)
    ],
    *[
        ({"betas": value}, r"betas must be two numbers in \[0, 1\)")
        for value in (3, (0.5,), (0.5, 1.0), (-0.1, 0.9), (0.5, math.nan), "05")
    ],
    *[
        ({name: value}, f"{name} must be a whole number of at least 1, not {value!r}")
        for name in ("batch_size", "updates_per_step", "decisions", "history", "workers", "resolution")
        for value in (0, -1, 2.5, math.nan, "many", True)
    ],
]


@pytest.mark.parametrize(("options", "message"), BAD_VALUES, ids=str)
def test_bad_values_raise_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        EnvConfig(**options)
    assert "\n" not in str(caught.value)


BAD_COMBINATIONS = [
    ({"backbone": "dcgam"}, "unknown backbone 'dcgam'; known: .*mlp"),
    ({"backbone": "dcgan"}, "makes images.*use 'mlp'"),
    ({"backbone_options": (("widht", 4),)}, "unknown option 'widht'.*known: latent_size, width"),
    ({"backbone_options": (("width", 0),)}, "width must be a whole number of at least 1"),
    ({"data": "rings"}, "unknown data set 'rings'; known: .*ring"),
    ({"resolution": 16}, "points, which have no resolution"),
    ({"data": "digits", "resolution": 20}, "has no resolution 20; allowed: 16"),
    ({"data": "digits"}, "makes points.*use 'dcgan'"),
    ({"render_mode": "human"}, "unknown render_mode 'human'; known: rgb_array"),
    ({"fps": 3}, "unexpected keyword argument 'fps'; known: suite, .*progress"),
]


@pytest.mark.parametrize("entry_point", [GanBalanceEnv, GanBalanceVectorEnv])
@pytest.mark.parametrize(("options", "message"), BAD_COMBINATIONS, ids=str)
def test_what_does_not_fit_is_told_when_the_environment_is_made(entry_point, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        entry_point(**({"suite": "ring"} | options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_mistakes_come_through_gym_make(name):
    with pytest.raises(ValueError, match="unexpected keyword argument 'suit'; known: "):
        gym.make(name, suit="ring")


@pytest.mark.parametrize("entry_point", [GanBalanceEnv, GanBalanceVectorEnv])
def test_an_unknown_keyword_is_also_what_python_says_of_one(entry_point):
    """TorchRL offers ``frameskip`` to every environment and takes it back on exactly this."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        entry_point(suite="ring", frameskip=1)


def test_no_cuda_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no CUDA device; use 'cpu'"):
        EnvConfig(device="cuda")


def test_defaults_are_valid():
    assert EnvConfig() == make_options(EnvConfig, {})
    assert EnvConfig().groups == ("default",)


def test_values_are_normalised():
    config = EnvConfig(knobs="lr_d, lr_g", moves=[2, 3], backbone_options={"width": 4, "latent_size": 2})
    assert config.knobs == ("lr_d", "lr_g") and config.moves == (2, 3)
    assert config.backbone_options == (("latent_size", 2), ("width", 4))
    assert config == dataclasses.replace(config, backbone_options=[("width", 4), ("latent_size", 2)])
    assert EnvConfig(**dataclasses.asdict(config)) == config, "a configuration can be written and read back"
    hash(config)


def test_overrides_change_the_suite_and_nothing_else():
    def resolved(**options):
        (task,) = EnvConfig(**options).resolved_suite().tasks
        return task

    task = resolved(suite="ring")
    changed = resolved(suite="ring", batch_size=8, updates_per_step=3, decisions=5, loss="hinge")
    assert (changed.batch_size, changed.updates_per_step, changed.decisions, changed.loss) == (8, 3, 5, "hinge")
    assert dataclasses.replace(changed, batch_size=64, updates_per_step=20, decisions=25, loss=task.loss) == task
    calmer = resolved(suite="ring", betas=[0, 0.9])
    assert calmer.betas == (0.0, 0.9) and dataclasses.replace(calmer, betas=task.betas) == task
    sized = resolved(suite="ring", backbone_options=(("width", 4),))
    assert sized.backbone_options == (("width", 4),)
    # Options of one backbone mean nothing to another.
    other = resolved(suite="faces", data="ring", backbone="mlp")
    assert other.backbone == "mlp" and other.backbone_options == ()
    same = resolved(suite="ring", backbone="mlp")
    assert same.backbone_options == task.backbone_options


def test_other_starting_rates_hold_for_every_list_and_leave_the_seeds():
    ranges = ((1e-3, 2e-3), (1e-4, 1e-4))
    config = EnvConfig(suite="ring", start_ranges=[list(one) for one in ranges])
    assert config.start_ranges == ranges and EnvConfig(**dataclasses.asdict(config)) == config
    instances, own = (one.resolved_suite().instances("test") for one in (config, EnvConfig(suite="ring")))
    assert [one.seed for one in instances] == [one.seed for one in own]
    assert all(1e-3 <= one.lr_g <= 2e-3 and one.lr_d == pytest.approx(1e-4) for one in instances)


def test_overrides_go_for_every_task_and_equal_ones_fall_together():
    mixed = EnvConfig(suite="mixed", decisions=3).resolved_suite()
    assert len(mixed.tasks) == 5 and {task.decisions for task in mixed.tasks} == {3}
    one = EnvConfig(suite="transfer-faces", data="digits").resolved_suite()
    assert {task.data for task in one.all_tasks()} == {"digits"}


def test_options_are_frozen_and_documented():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EnvConfig().suite = "ring"
    assert {"suite", "device", "knobs"} <= set(EnvConfig.__dataclass_fields__)
