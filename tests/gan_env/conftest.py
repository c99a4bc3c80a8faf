"""Measurements made up for tests of observation and reward, and small environments."""

import dataclasses

import gymnasium as gym
import pytest
import torch

from gan_backbones import TrainStats
from gan_env.observation import Measurement
from tests.gan_env.environments import SMALL


def _measurement(count: int = 1, **changes) -> Measurement:
    """A calm game half-way through; scalars in ``changes`` hold for all rows, also for fields of the statistics."""

    def rows(value, width=None):
        if not isinstance(value, torch.Tensor):
            value = torch.tensor(value, dtype=torch.bool if isinstance(value, bool) else torch.float64)
        return value.expand(count) if width is None else value.expand(count, width)

    stats = {field.name: 0.5 for field in dataclasses.fields(TrainStats)} | {"diverged": False}
    values = {
        "log_knobs": [-3.0, -3.0, -1.0],
        "start_log_knobs": [-3.0, -3.0, -1.0],
        "budget_left": 0.5,
        "distance": 1.0,
        "start_distance": 1.0,
        "diversity": 1.0,
        "failed": False,
    }
    unknown = set(changes) - set(stats) - set(values)
    assert not unknown, unknown
    stats |= {name: value for name, value in changes.items() if name in stats}
    values |= {name: value for name, value in changes.items() if name in values}
    return Measurement(
        stats=TrainStats(**{name: rows(value) for name, value in stats.items()}),
        **{name: rows(value, 3 if "knobs" in name else None) for name, value in values.items()},
    )


@pytest.fixture(scope="session")
def measurement():
    """measurement(count, **changes) -> a made-up :class:`Measurement`."""
    return _measurement


@pytest.fixture
def make_env():
    """make_env(id, **options) -> a small environment, closed after the test."""
    made = []

    def make_env(env_id="GanBalanceEnv-v0", **options):
        made.append(gym.make(env_id, **(SMALL | options)).unwrapped)
        return made[-1]

    yield make_env
    for env in made:
        env.close()
