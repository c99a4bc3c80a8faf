"""A suite that is played in no time."""

import dataclasses

import pytest

from agents import imitation
from agents.methods import Context
from gan_env import SUITES, Suite, instances


@pytest.fixture
def tiny_suite(monkeypatch):
    """Its name: episodes of 3 decisions with 2 updates each, 2 validation instances and 3 test instances."""
    task = dataclasses.replace(SUITES["ring"].tasks[0], updates_per_step=2, decisions=3, grade_samples=64)
    suite = Suite("tiny", "for tests", (task,), held_out={"validation": 2, "test": 3})
    monkeypatch.setitem(instances._SUITES, suite.name, suite)
    monkeypatch.setattr(imitation, "GRADIENT_STEPS", 30)
    return suite.name


@pytest.fixture
def context(tiny_suite, tmp_path):
    """context(**changes): a cell with a tiny budget, which every method can make something of."""

    def context(**changes):
        return Context(
            **{"suite": tiny_suite, "table": "rescue", "seed": 0, "budget": 400, "folder": tmp_path} | changes
        )

    return context
