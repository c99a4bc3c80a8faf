"""Jobs that are lost are done again, and each counts once."""

import os
import signal

import pytest

from agents.interruption import Interrupted
from agents.retries import ATTEMPTS, run_tasks
from tests.agents.clusters import FakeTasks


def run(tasks, jobs, limit=None, stalls=None):
    results, ended = [], []
    lost = run_tasks(
        jobs,
        tasks,
        limit,
        on_result=lambda job, value: results.append((job, value)),
        on_done=lambda job, problem: ended.append((job, problem)),
        on_stall=pytest.fail if stalls is None else stalls.append,
    )
    return lost, results, ended


def test_every_job_is_done_once_whatever_is_lost():
    tasks = FakeTasks(lambda job: job * job, room=3, lose=lambda job, attempt: attempt < (job % ATTEMPTS) + 1)
    lost, results, ended = run(tasks, range(9))
    assert sorted(results) == [(job, job * job) for job in range(9)]
    assert sorted(ended) == [(job, None) for job in range(9)]
    assert lost == sum(job % ATTEMPTS for job in range(9)) and len(tasks.begun) == 9 + lost
    assert tasks.most == 3 and not tasks.open and not tasks.cancelled


def test_a_job_that_is_always_lost_fails_and_the_others_go_on():
    tasks = FakeTasks(str, lose=lambda job, attempt: job == 1)
    lost, results, ended = run(tasks, range(4))
    assert lost == ATTEMPTS == tasks.begun.count(1)
    assert sorted(job for job, _ in results) == [0, 2, 3]
    assert dict(ended)[1] == f"lost {ATTEMPTS} times: its machine is gone" and len(ended) == 4


def test_a_lost_job_comes_before_those_that_wait():
    tasks = FakeTasks(str, lose=lambda job, attempt: job == 0 and attempt == 1)
    run(tasks, range(4), limit=1)
    assert tasks.begun == [0, 0, 1, 2, 3] and tasks.most == 1


def test_a_crash_is_told_and_a_mistake_ends_everything():
    def work(job):
        if job == 1:
            raise ZeroDivisionError("of job 1")
        if job == 5:
            raise ValueError("no such thing")

    lost, results, ended = run(FakeTasks(work), range(4))
    assert lost == 0 and len(results) == 3 and dict(ended)[1] == "of job 1"
    tasks = FakeTasks(work)
    with pytest.raises(ValueError, match="no such thing"):
        run(tasks, range(4, 10))
    assert len(tasks.open) == 1 and set(tasks.cancelled) == tasks.open, "nothing goes on"


def test_a_signal_ends_everything_after_the_result_that_is_there():
    tasks = FakeTasks(lambda job: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as caught:
        run(tasks, range(4))
    assert caught.value.exit_status == 143 and tasks.begun == [0, 1] and set(tasks.cancelled) == tasks.open != set()


def test_room_that_comes_and_goes_is_used():
    tasks, stalls, places = FakeTasks(str, room=0), [], iter([0, 0, 4, 0, 0, 4, 0])

    def wait(tickets, seconds):
        tasks.places = next(places)
        return list(tickets)

    tasks.wait = wait
    assert len(run(tasks, range(8), stalls=stalls)[1]) == 8 and tasks.most == 4
    assert stalls == [8, 4], "told once each time that nothing runs"
