"""Jobs side by side: their order, their mistakes, their ends."""

import os
import signal
import threading
import time

import pytest

from agents.processes import run_jobs


def run(jobs, work, processes=2, **changes):
    ended, told = {}, []
    run_jobs(jobs, work, processes, on_progress=told.append, on_done=lambda job, problem: ended.update({job: problem}))
    return ended, told


def test_every_job_is_done_once_and_steps_are_added_up(tmp_path):
    def work(job, on_step):
        for _ in range(3):
            on_step(job)
        (tmp_path / f"{job}-{os.getpid()}").touch()

    ended, told = run([1, 2, 3, 4], work)
    assert ended == dict.fromkeys([1, 2, 3, 4]) and told[-1] == 30 and told == sorted(told)
    names = [path.name.split("-") for path in tmp_path.iterdir()]
    assert sorted(job for job, _ in names) == ["1", "2", "3", "4"]
    assert len({process for _, process in names} | {str(os.getpid())}) == 5, "in processes of their own"


def test_a_crash_is_told_and_the_others_go_on():
    def work(job, on_step):
        if job == 1:
            raise ZeroDivisionError("of job 1")
        if job == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    ended, _ = run([1, 2, 3], work)
    assert "ZeroDivisionError: of job 1" in ended[1] and "killed" in ended[2] and ended[3] is None


def test_a_mistake_ends_everything(tmp_path):
    def work(job, on_step):
        if job == 1:
            raise ValueError("no such thing")
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(60)

    with pytest.raises(ValueError, match="no such thing"):
        run([2, 1], work)
    if (tmp_path / "pid").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_an_interrupt_leaves_no_process_behind(tmp_path):
    def work(job, on_step):
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(60)

    def interrupt():
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run([1], work)
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
