"""Jobs in processes of their own, one for each core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from agents.interruption import Interruption

Job = TypeVar("Job")
OnStep = Callable[[int], None]

_PATIENCE = 0.5
"""Seconds between two looks at the progress."""


def run_jobs(
    jobs: Sequence[Job],
    work: Callable[[Job, OnStep], None],
    processes: int,
    *,
    on_progress: Callable[[int], None],
    on_done: Callable[[Job, str | None], None],
) -> None:
    """``work(job, on_step)`` of every job, so many side by side, in their order.

    What a job tells ``on_step`` is added up; ``on_progress`` is told the sum of all jobs from time to time, ``on_done``
    every job that has ended, and its traceback where it failed. A ``ValueError`` of a job is raised here, and so is
    ``Interrupted`` soon after Ctrl-C or SIGTERM. Whenever this function is left, no process of it remains; a process
    whose parent is killed ends at its next step. To be called in the main thread.

    Processes begin as copies of this one, so that whatever is registered here is there, too.
    """
    context = multiprocessing.get_context("fork")
    counters: list[Any] = []
    waiting = list(jobs)
    running: dict[Connection, tuple[Job, Any]] = {}
    # An exception in the middle of starting a process could be lost, or lose the process.
    with Interruption(patient=True) as interruption:
        try:
            while waiting or running:
                while waiting and len(running) < processes:
                    job = waiting.pop(0)
                    ours, theirs = context.Pipe(duplex=False)
                    counters.append(context.RawValue("q", 0))  # no lock, which a process that is killed might hold
                    arguments = (theirs, work, job, counters[-1], os.getpid())
                    process = context.Process(target=_serve, args=arguments, daemon=True)
                    process.start()
                    theirs.close()
                    running[ours] = (job, process)
                for pipe in wait(list(running), timeout=_PATIENCE):
                    assert isinstance(pipe, Connection)
                    job, process = running.pop(pipe)
                    try:
                        problem = pipe.recv()
                    except EOFError:
                        problem = "the process was killed; is there enough memory?"
                    process.join()
                    pipe.close()
                    if isinstance(problem, ValueError):
                        raise problem
                    on_done(job, problem)
                on_progress(sum(counter.value for counter in counters))
                interruption.check()
        finally:
            for _, process in running.values():
                process.kill()
            for _, process in running.values():
                process.join()


def _serve(pipe: Connection, work: Callable[[Any, OnStep], None], job: Any, counter: Any, parent: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a group; the parent decides when this one ends
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)

    def on_step(amount: int) -> None:
        if os.getppid() != parent:
            os._exit(1)
        counter.value += amount

    try:
        work(job, on_step)
    except ValueError as error:
        pipe.send(ValueError(str(error)))
    except Exception:  # whatever it is, the parent reports it
        pipe.send(traceback.format_exc())
    else:
        pipe.send(None)
