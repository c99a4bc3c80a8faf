"""Rows that become copies of others."""

import dataclasses

import numpy as np
import pytest

from gan_env import EnvConfig
from gan_env.core import BalanceCore


@pytest.fixture
def core():
    core = BalanceCore(EnvConfig(suite="ring", updates_per_step=3, decisions=6, knobs=("lr_g", "lr_d"), workers=1), 4)
    instances = core.suite.instances("test")[:4]
    core.reset(range(4), [dataclasses.replace(one, lr_g=1e-3, lr_d=10**-row) for row, one in enumerate(instances, 2)])
    yield core
    core.close()


def test_a_copy_goes_on_exactly_as_its_source_and_the_others_as_they_were(core):
    core.step(range(4), [1, 2, 3, 4])
    core.step([0, 1, 2], [0, 0, 0])
    state = core.get_state()
    core.step(range(4), [3, 5, 7, 6])
    expected, grades = core.observations(range(4)), core.grade(range(4))
    core.set_state(state)
    core.copy_rows([1, 2], [0, 3])
    assert core.instances[0] == core.instances[1] and core.decisions.tolist() == [2, 2, 2, 2]
    result = core.step(range(4), [5, 5, 7, 7])
    np.testing.assert_array_equal(result.observations, expected[[1, 1, 2, 2]])
    np.testing.assert_array_equal(core.grade(range(4)), grades[[1, 1, 2, 2]])
    np.testing.assert_array_equal(result.infos["fid_proxy"], result.infos["fid_proxy"][[1, 1, 2, 2]])


def test_a_copy_of_a_living_row_is_alive(core):
    core.population._generator.parameters.matrix[3, 0] = np.nan
    core.step(range(4), [0] * 4)
    assert core.failures(range(4)).tolist() == [False, False, False, True]
    core.copy_rows([0], [3])
    assert not core.failures(range(4)).any()
    assert not core.step(range(4), [0] * 4).terminated.any()
