"""Jobs that may be lost with the machine they run on: done again, each counted once. Ray is not known here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from agents.interruption import Interruption

Job = TypeVar("Job")

ATTEMPTS = 3
"""Times that a job is begun, at most."""
_PATIENCE = 0.5
"""Seconds between two looks at what runs."""


class LostTaskError(RuntimeError):
    """Whoever did the job is gone."""


class Tasks(Protocol):
    """Somewhere to have jobs done. A ticket stands for one attempt."""

    def room(self) -> int:
        """How many can be done side by side at present."""
        ...

    def submit(self, job: Any) -> Any:
        """Begin; returns a ticket."""
        ...

    def wait(self, tickets: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Those of ``tickets`` that have ended, after so many seconds at most."""
        ...

    def result(self, ticket: Any) -> tuple[bool, Any]:
        """``(True, what the job gave)`` or ``(False, the exception that ended it)``. Raises ``LostTaskError``."""
        ...

    def cancel(self, ticket: Any) -> None: ...


def run_tasks(
    jobs: Sequence[Job],
    tasks: Tasks,
    limit: int | None,
    *,
    on_result: Callable[[Job, Any], None],
    on_done: Callable[[Job, str | None], None],
    on_stall: Callable[[int], None],
) -> int:
    """Have every job done, at most ``limit`` side by side, begun in their order; returns how many attempts were lost.

    A lost job is begun again, before those that wait, :data:`ATTEMPTS` times in all. ``on_result`` is told what a job
    gave, once; ``on_done`` every job that has ended, and what went wrong where it failed; ``on_stall`` how many jobs
    wait, once, where there is room for none; room is waited for. A ``ValueError`` of a job is raised here, and so is
    ``Interrupted`` soon after Ctrl-C or SIGTERM. Whenever this function is left, no attempt of it goes on.
    """
    waiting = [(job, 1) for job in jobs]
    running: dict[Any, tuple[Job, int]] = {}
    lost, stalled = 0, False
    with Interruption(patient=True) as interruption:
        try:
            while waiting or running:
                room = tasks.room() if limit is None else min(limit, tasks.room())
                while waiting and len(running) < room:
                    job, attempt = waiting.pop(0)
                    running[tasks.submit(job)] = (job, attempt)
                if not running and not stalled:
                    on_stall(len(waiting))
                stalled = not running
                for ticket in tasks.wait(list(running), _PATIENCE):
                    job, attempt = running.pop(ticket)
                    try:
                        done, value = tasks.result(ticket)
                    except LostTaskError as error:
                        lost += 1
                        if attempt < ATTEMPTS:
                            waiting.insert(0, (job, attempt + 1))
                        else:
                            on_done(job, f"lost {attempt} times: {error}")
                        continue
                    if done:
                        on_result(job, value)
                        on_done(job, None)
                    elif isinstance(value, ValueError):
                        raise value
                    else:
                        on_done(job, str(value))
                interruption.check()
        finally:
            for ticket in running:
                tasks.cancel(ticket)
    return lost
