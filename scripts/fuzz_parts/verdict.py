"""One case of garbage, run under an alarm and judged."""

from __future__ import annotations

import contextlib
import io
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import gymnasium as gym

TAKEN, REFUSED, FAILED = "taken", "refused", "failed"
_LONGEST_SENTENCE = 4000  # a refusal may quote what it was given


class Category(Protocol):
    """One kind of garbage. Built once, with a folder of its own, before its cases are drawn."""

    def case(self, rng: random.Random) -> Case:
        """The next case; everything about it is drawn from ``rng``."""
        ...


@dataclass(frozen=True)
class Case:
    """``run`` feeds the garbage in. It may raise one of ``refusals``, with a sentence; nothing else."""

    title: str
    run: Callable[[], object]
    refusals: tuple[type[BaseException], ...] = (ValueError,)


@dataclass(frozen=True)
class Verdict:
    """How a case ended."""

    outcome: str
    """:data:`TAKEN`, :data:`REFUSED` or :data:`FAILED`."""
    said: str
    """The sentence of a refusal, or what is wrong, with the trace."""
    seconds: float


class HangError(BaseException):
    """No ``Exception``: code that passes over broken parts must not swallow it."""


class WrongError(BaseException):
    """A property that does not hold."""


def require(holds: object, complaint: str) -> None:
    """Raise :class:`WrongError` unless something holds."""
    if not holds:
        raise WrongError(complaint)


def judge(case: Case, limit: float) -> Verdict:
    """Run ``case`` for at most ``limit`` seconds."""
    started = time.perf_counter()
    try:
        with _alarm(limit), _quiet():
            case.run()
        outcome, said = TAKEN, ""
    except case.refusals as error:
        outcome, said = _sentence(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit, too, is a verdict on the program
        outcome, said = FAILED, traceback.format_exc()
    seconds = time.perf_counter() - started
    if outcome != FAILED and seconds > limit:
        outcome, said = FAILED, f"took {seconds:.1f} s"
    return Verdict(outcome, said, seconds)


def _sentence(error: BaseException) -> tuple[str, str]:
    """Whether a refusal says something: Python's own word on an encoding names neither file nor remedy."""
    said = str(error)
    if not said.strip() or len(said) > _LONGEST_SENTENCE or isinstance(error, UnicodeError):
        return FAILED, "".join(traceback.format_exception(error))
    return REFUSED, said


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise HangError(f"still running after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is printed, and warnings are not shown; each must be one line."""
    with (
        warnings.catch_warnings(record=True) as told,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("always")
        yield
    ours = [str(one.message) for one in told if one.category is UserWarning and "site-packages" not in one.filename]
    require(all("\n" not in text for text in ours), f"a warning of several lines: {ours}")


def in_gymnasium(title: str, run: Callable[[], object]) -> Case:
    """A case of an environment: Gymnasium's own errors are sentences, too."""
    return Case(title, run, (ValueError, gym.error.Error))


def scripts_folder() -> Path:
    """Where the scripts lie."""
    return Path(sys.modules[__name__].__file__ or "").resolve().parents[1]
