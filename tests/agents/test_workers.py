"""Populations in workers: the same episodes as here, and what is left of them when a worker is lost."""

import itertools

import numpy as np
import pytest

from agents.evaluation import Evaluator
from agents.predictors import NoopPredictor
from agents.restoring import require_like
from agents.sb3 import make_training_env
from agents.workers import Workers
from gan_env import EnvConfig, GanBalanceVectorEnv
from gan_env.remote_core import MOST_LOSSES
from gan_env.shards import PROCESSES, ROWS_PER_SHARD, GivenUpError
from tests.agents.clusters import FakeHosts

SIZE = 2 * ROWS_PER_SHARD
OPTIONS = {"suite": "ring", "updates_per_step": 1, "decisions": 3}
MINE, OTHERS = slice(0, None, 2), slice(1, None, 2)
"""Rows of the first and of the second worker."""


def make(hosts, mode="SameStep"):
    return GanBalanceVectorEnv(SIZE, autoreset_mode=mode, shards=Workers(hosts), **OPTIONS)


@pytest.fixture(scope="module")
def local():
    """Five steps in this process: observations, rewards, terminated."""
    env = GanBalanceVectorEnv(SIZE, autoreset_mode="SameStep", workers=1, **OPTIONS)
    steps = [(env.reset(seed=5)[0],)] + [env.step(actions(step))[:3] for step in range(5)]
    env.close()
    return steps


def actions(step):
    return np.arange(SIZE) % (step + 2)


def kill_at(hosts, call):
    """The first worker dies at its ``call``-th question from now on."""
    asked = iter(range(call + 1))

    def before_ask(host, method, arguments):
        if host is hosts.opened[0] and next(asked, None) == call:
            host.alive = False

    hosts.before_ask = before_ask


def test_workers_change_nothing(local):
    hosts = FakeHosts()
    env = make(hosts)
    np.testing.assert_array_equal(env.reset(seed=5)[0], local[0][0])
    for step in range(5):
        seen = env.step(actions(step))
        for one, expected in zip(seen, local[step + 1], strict=False):
            np.testing.assert_array_equal(one, expected)
        assert not seen[3].any()
    assert [host.worker._cores.keys() for host in hosts.opened] == [{0}, {1}]
    assert env.core.restarts == 0
    env.close()
    assert [len(host.worker._cores) for host in hosts.opened] == [0, 0]
    with pytest.raises(RuntimeError, match="closed"):
        env.step(actions(0))


@pytest.mark.parametrize("call", range(9))
def test_a_worker_may_be_lost_at_any_question(call, local):
    hosts = FakeHosts()
    env = make(hosts)
    kill_at(hosts, call)
    truncated = np.zeros(SIZE, dtype=int)
    observations = env.reset(seed=5)[0]
    np.testing.assert_array_equal(observations, local[0][0])
    for step in range(5):
        last = observations
        observations, rewards, ended, cut, infos = env.step(actions(step))
        np.testing.assert_array_equal(observations[OTHERS], local[step + 1][0][OTHERS])
        np.testing.assert_array_equal(rewards[OTHERS], local[step + 1][1][OTHERS])
        assert np.isfinite(observations).all() and (rewards[cut] == 0).all() and not (ended & cut).any()
        for row in np.flatnonzero(cut):
            np.testing.assert_array_equal(infos["final_obs"][row], last[row])
        assert all(env.core.instances[row] == infos["instance"][row] for row in range(SIZE))
        truncated += cut
    assert len(hosts.opened) == 3 and not truncated[OTHERS].any()
    assert truncated.sum() == env.core.restarts <= ROWS_PER_SHARD
    env.close()


def test_the_episodes_after_a_loss_are_whole():
    hosts = FakeHosts()
    env = make(hosts)
    env.reset(seed=5)
    env.step(actions(0))
    hosts.opened[0].alive = False
    assert env.step(actions(1))[3][MINE].all()
    assert (env.core.decisions[MINE] == 0).all() and (env.core.decisions[OTHERS] == 2).all()
    ends = [env.step(actions(step))[2] for step in range(3)]
    assert [end[MINE].all() for end in ends] == [False, False, True]
    env.close()


def test_in_the_next_step_mode_the_last_observation_is_returned_first():
    hosts = FakeHosts()
    env = make(hosts, "NextStep")
    first = env.reset(seed=5)[0]
    last = env.step(actions(0))[0]
    hosts.opened[0].alive = False
    observations, _, _, cut, _ = env.step(actions(1))
    assert cut[MINE].all() and not cut[OTHERS].any()
    np.testing.assert_array_equal(observations[MINE], last[MINE])
    observations, rewards, _, cut, _ = env.step(actions(2))
    assert not cut.any() and not rewards[MINE].any() and (last[MINE] != first[MINE]).any()
    np.testing.assert_array_equal(observations[MINE], first[MINE])
    env.close()


def test_stable_baselines_is_told_to_bootstrap():
    hosts = FakeHosts()
    env = make_training_env(SIZE, OPTIONS, Workers(hosts))
    env.seed(5)
    last = env.reset()
    hosts.opened[0].alive = False
    _, _, dones, infos = env.step(actions(0))
    assert dones[MINE].all() and not dones[OTHERS].any()
    for row in range(0, SIZE, 2):
        assert infos[row]["TimeLimit.truncated"] is True and np.isnan(infos[row]["fid_proxy"])
        np.testing.assert_array_equal(infos[row]["terminal_observation"], last[row])
    env.close()


@pytest.mark.parametrize("call", [0, 2, 4, 5, 6])
def test_an_evaluation_is_played_again_with_the_same_grades(call):
    config = EnvConfig(**OPTIONS)
    grades = []
    for hosts in (FakeHosts(), FakeHosts()):
        evaluator = Evaluator(config, SIZE, Workers(hosts))
        if grades:
            kill_at(hosts, call)
        test = config.resolved_suite().instances("test")[:SIZE]
        grades.append(
            [
                (one.final, one.final_proxy, one.failed)
                for one in evaluator.evaluate(NoopPredictor(evaluator.codec), test)
            ]
        )
        evaluator.close()
    assert grades[0] == grades[1] and evaluator.replays == (call > 0) and len(hosts.opened) == 3


def test_an_evaluation_that_is_always_lost_is_given_up(monkeypatch):
    monkeypatch.setattr("agents.evaluation._ATTEMPTS", 2)
    hosts = FakeHosts()
    evaluator = Evaluator(EnvConfig(**OPTIONS), SIZE, Workers(hosts))

    steps = itertools.count(1)

    def before_ask(host, method, arguments):
        if arguments[1:2] == ("step",) and next(steps) % 4 == 0:  # at the second step of each attempt
            host.alive = False

    hosts.before_ask = before_ask
    test = EnvConfig(**OPTIONS).resolved_suite().instances("test")[:SIZE]
    with pytest.raises(GivenUpError, match="lost 2 times; is there enough memory"):
        evaluator.evaluate(NoopPredictor(evaluator.codec), test)
    evaluator.close()


def test_without_room_the_others_take_over(local):
    hosts = FakeHosts(spare=0)
    env = make(hosts)
    env.reset(seed=5)
    hosts.opened[0].alive = False
    assert env.step(actions(0))[3][MINE].all()
    observations = env.step(actions(1))[0]
    np.testing.assert_array_equal(observations[OTHERS], local[2][0][OTHERS])
    assert len(hosts.opened) == 2 and len(hosts.opened[1].worker._cores) == 2
    hosts.opened[1].alive = False
    with pytest.raises(GivenUpError, match="the last worker of the cluster was lost"):
        env.step(actions(2))


def test_the_last_worker_is_missed_by_each_of_its_populations():
    hosts = FakeHosts(1, spare=0)
    workers = Workers(hosts)
    config = EnvConfig(**OPTIONS, workers=2)
    assert workers.count(config, SIZE) == 2
    shards = [workers.start(config, ROWS_PER_SHARD, config.resolved_suite().tasks[0]) for _ in range(2)]
    hosts.opened[0].alive = False
    for shard in shards:
        with pytest.raises(GivenUpError, match="the last worker of the cluster was lost"):
            workers.replace(shard, config, ROWS_PER_SHARD, config.resolved_suite().tasks[0])


def test_a_worker_that_always_dies_is_given_up():
    hosts = FakeHosts()
    env = make(hosts)
    env.reset(seed=5)

    def before_ask(host, method, arguments):
        if method == "call" and arguments[1] == "step":
            host.alive = False

    hosts.before_ask = before_ask
    for step in range(MOST_LOSSES):
        assert env.step(actions(step))[3][MINE].all()
    with pytest.raises(GivenUpError, match="in a row; is there enough memory"):
        env.step(actions(0))


def test_training_and_validation_share_the_workers_and_notice_a_loss_once():
    hosts = FakeHosts()
    workers = Workers(hosts)
    env = GanBalanceVectorEnv(SIZE, shards=workers, **OPTIONS)
    evaluator = Evaluator(EnvConfig(**OPTIONS), SIZE, workers)
    assert [len(host.worker._cores) for host in hosts.opened] == [2, 2]
    env.reset(seed=0)
    hosts.opened[0].alive = False
    env.step(actions(0))
    test = EnvConfig(**OPTIONS).resolved_suite().instances("test")[:SIZE]
    evaluator.evaluate(NoopPredictor(evaluator.codec), test)
    assert workers.lost == 1 and len(hosts.opened) == 3 and evaluator.replays == 0
    assert len(hosts.opened[2].worker._cores) == 2
    env.close()
    evaluator.close()


def test_a_loss_is_not_forgotten_by_a_state():
    hosts = FakeHosts()
    env = make(hosts)
    env.reset(seed=5)
    env.step(actions(0))
    hosts.opened[0].alive = False
    state = env.get_state()
    assert env.step(actions(1))[3][MINE].all()
    env.set_state(state)
    assert env.step(actions(1))[3][MINE].all()
    env.close()


@pytest.mark.parametrize("call", range(3))
def test_a_worker_may_be_lost_while_a_state_is_put_in_place(call, local):
    hosts = FakeHosts()
    env = make(hosts)
    env.reset(seed=5)
    for step in range(2):
        env.step(actions(step))
    state = env.get_state()
    env.step(actions(7))
    kill_at(hosts, call)
    env.set_state(state)
    observations, rewards, _, cut, _ = env.step(actions(2))
    assert cut[MINE].all() == (call == 2) and not cut[OTHERS].any() and len(hosts.opened) == 3
    np.testing.assert_array_equal(observations[~cut], local[3][0][~cut])
    np.testing.assert_array_equal(rewards[~cut], local[3][1][~cut])
    env.close()


def test_a_state_goes_to_a_cluster_and_back():
    envs = [
        GanBalanceVectorEnv(ROWS_PER_SHARD, autoreset_mode="SameStep", shards=shards, workers=1, **OPTIONS)
        for shards in (PROCESSES, Workers(FakeHosts()))
    ]
    for one, other in (envs, envs[::-1]):
        one.reset(seed=5)
        one.step(actions(0)[:ROWS_PER_SHARD])
        other.reset(seed=6)
        require_like(one.get_state(), other.get_state())  # as a checkpoint is asked
        other.set_state(one.get_state())
        for seen, expected in zip(*(env.step(actions(1)[:ROWS_PER_SHARD])[:4] for env in (one, other)), strict=True):
            np.testing.assert_array_equal(seen, expected)
    two = make(FakeHosts())
    two.reset(seed=5)
    state = two.get_state()
    for env in envs:
        with pytest.raises(ValueError, match="of 2 populations, and this environment has 1"):
            env.set_state(state)
        env.close()
    with pytest.raises(ValueError, match="of 1 populations, and this environment has 2"):
        two.set_state(state | {"core": state["core"]["cores"][0]})
    two.close()


def test_on_a_smaller_cluster_a_worker_holds_several():
    hosts = FakeHosts(2)
    env = GanBalanceVectorEnv(4 * ROWS_PER_SHARD, shards=Workers(hosts), workers=4, **OPTIONS)
    assert [len(host.worker._cores) for host in hosts.opened] == [2, 2]
    env.close()


def test_how_many_workers():
    def count(size, slots=4, **options):
        hosts = FakeHosts(slots)
        workers = Workers(hosts)
        first = workers.count(EnvConfig(suite="ring", **options), size)
        assert workers.count(EnvConfig(suite="ring", **options), size) == first
        assert len(hosts.opened) == min(first, slots)
        return first

    assert count(1) == count(ROWS_PER_SHARD) == 1 and count(2 * ROWS_PER_SHARD) == 2 and count(1000) == 4
    assert count(1000, workers=3) == 3 and count(1000, slots=2, workers=3) == 3
    with pytest.raises(ValueError, match="no room for a worker on 'cpu'"):
        Workers(FakeHosts(0)).count(EnvConfig(suite="ring"), 8)


def test_an_error_there_is_an_error_here():
    env = make(FakeHosts())
    env.reset(seed=1)
    with pytest.raises(ValueError, match="actions must lie in"):
        env.step(np.full(SIZE, 99))
    env.close()


def test_the_cores_of_one_environment_are_on_different_workers():
    hosts = FakeHosts()
    workers = Workers(hosts)
    first = GanBalanceVectorEnv(SIZE, shards=workers, **(OPTIONS | {"workers": 1}))
    second = GanBalanceVectorEnv(SIZE, shards=workers, **OPTIONS)
    assert [host.worker._cores.keys() for host in hosts.opened] == [{0, 2}, {1}]
    first.close()
    second.close()
