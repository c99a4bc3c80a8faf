"""The same episodes, whether one process trains the rows or several."""

import multiprocessing
import os
import signal
import threading

import numpy as np
import pytest

from gan_env import GanBalanceVectorEnv
from gan_env.config import EnvConfig
from gan_env.core import BalanceCore
from gan_env.mixed import MixedCore
from gan_env.remote_core import RemoteCore
from gan_env.shards import PROCESSES, ROWS_PER_SHARD, GivenUpError

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes begin as copies only where there is fork"
)
SIZE = 2 * ROWS_PER_SHARD
OPTIONS = {"suite": "ring", "updates_per_step": 2, "decisions": 3, "autoreset_mode": "SameStep"}


@pytest.fixture
def pair():
    """The same environment in this process and in two others."""
    envs = [GanBalanceVectorEnv(SIZE, workers=workers, **OPTIONS) for workers in (1, 2)]
    yield envs
    for env in envs:
        env.close()


def test_processes_change_nothing(pair):
    one, other = pair
    assert isinstance(one.core, BalanceCore) and isinstance(other.core, MixedCore)
    assert all(isinstance(core, RemoteCore) for core in other.core.cores)
    (seen, seen_infos), (expected, infos) = other.reset(seed=5), one.reset(seed=5)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(seen_infos["fid_proxy"], infos["fid_proxy"])
    for step in range(5):  # beyond the end of the first episodes
        actions = np.arange(SIZE) % (step + 2)
        for seen, expected in zip(other.step(actions)[:4], one.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(other.core.decisions, one.core.decisions)
    assert other.core.instances == one.core.instances
    np.testing.assert_array_equal(other.core.grade([3, 0]), one.core.grade([3, 0]))
    np.testing.assert_array_equal(other.core.failures(range(SIZE)), one.core.failures(range(SIZE)))
    np.testing.assert_array_equal(other.picture(3), one.picture(3))


def test_each_kind_of_gan_has_a_process():
    one, other = (GanBalanceVectorEnv(SIZE, workers=count, **OPTIONS | {"suite": "mixed"}) for count in (1, 2))
    assert {type(core) for core in one.core.cores} == {BalanceCore}
    assert {type(core) for core in other.core.cores} == {RemoteCore}
    assert [core.key for core in one.core.cores] == [core.key for core in other.core.cores]
    np.testing.assert_array_equal(other.reset(seed=5)[0], one.reset(seed=5)[0])
    for step in range(2):
        actions = np.arange(SIZE) % (step + 2)
        for seen, expected in zip(other.step(actions)[:4], one.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(seen, expected)
    one.close()
    other.close()


@pytest.mark.parametrize(
    ("workers", "rows_of_each", "kinds", "shards"),
    [
        (2, 16, 1, 2),
        (2, 15, 1, 0),
        (1, 64, 1, 0),
        (1, 8, 12, 0),
        (2, 8, 12, 1),
        (2, 1, 5, 0),
        (8, 64, 2, 4),
        (8, 8, 2, 1),
    ],
)
def test_how_rows_are_shared_out(workers, rows_of_each, kinds, shards):
    assert PROCESSES.count(EnvConfig(suite="ring", workers=workers), rows_of_each, kinds) == shards


def test_state_goes_from_one_to_the_other_and_back(pair):
    _, env = pair
    env.reset(seed=1)
    env.step(np.ones(SIZE, dtype=np.int64))
    state = env.get_state()
    first = env.step(np.full(SIZE, 2))
    env.set_state(state)
    again = env.step(np.full(SIZE, 2))
    for one, other in zip(first[:4], again[:4], strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_error_there_is_an_error_here(pair):
    _, env = pair
    env.reset(seed=1)
    with pytest.raises(ValueError, match="actions must lie in"):
        env.step(np.full(SIZE, 99))
    env.step(np.zeros(SIZE, dtype=np.int64))


def test_a_process_that_dies_is_told(pair):
    _, env = pair
    env.reset(seed=1)
    [victim, *_] = multiprocessing.active_children()
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()  # what is sent to it now breaks the pipe
    with pytest.raises(GivenUpError, match="a process that trains GANs has died"):
        env.step(np.zeros(SIZE, dtype=np.int64))


def test_a_process_that_dies_at_once_is_told(monkeypatch):
    monkeypatch.setattr("gan_env.shards.BalanceCore", lambda *arguments: os._exit(9))
    with pytest.raises(GivenUpError, match="was it killed"):
        GanBalanceVectorEnv(SIZE, workers=2, **OPTIONS)


def test_a_process_that_dies_instead_of_an_answer_is_told(pair):
    _, env = pair
    env.reset(seed=1)
    [victim, *_] = multiprocessing.active_children()
    os.kill(victim.pid, signal.SIGSTOP)  # it takes the question and never answers
    threading.Timer(0.2, os.kill, (victim.pid, signal.SIGKILL)).start()
    with pytest.raises(GivenUpError, match="a process that trains GANs has died"):
        env.step(np.zeros(SIZE, dtype=np.int64))


def test_closing_ends_the_processes(pair):
    _, env = pair
    env.reset(seed=1)
    processes = {core._shard._end.peek()[2][1] for core in env.core.cores}
    env.close()
    assert [process.exitcode for process in processes] == [0, 0]  # ended by themselves, not killed
    with pytest.raises(RuntimeError, match="closed"):
        env.step(np.zeros(SIZE, dtype=np.int64))


def test_how_many_processes():
    assert PROCESSES.count(EnvConfig(workers=4), 8 * ROWS_PER_SHARD) == 4
    assert PROCESSES.count(EnvConfig(workers=4), 2 * ROWS_PER_SHARD + 1) == 2
    assert PROCESSES.count(EnvConfig(workers=4), 2 * ROWS_PER_SHARD - 1) == 0
    assert PROCESSES.count(EnvConfig(workers=1), 1000) == 0
