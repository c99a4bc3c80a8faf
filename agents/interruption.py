"""Ctrl-C and SIGTERM as a question that is asked where a run can stop without losing anything."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end, and it does, in good order."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_status = 128 + number
        """130 after Ctrl-C, 143 after SIGTERM, as shells have it."""


class Interruption:
    """Within this context the first SIGINT or SIGTERM is only noted; a second one raises :class:`Interrupted` at once,
    unless it is ``patient``.

    ``with Interruption() as interruption:`` around the run, :attr:`requested` or :meth:`check` at every place where it
    can stop. What the signals did before is restored at the end. Outside of the main thread, where Python takes no
    signals, nothing is ever requested.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self._number: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self._number is not None

    def check(self) -> None:
        """Raise :class:`Interrupted` if a signal came."""
        if self._number is not None:
            raise Interrupted(self._number)

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._number is None:
            self._number = number
            if not self._patient:
                print("\nstopping where nothing is lost; again to stop at once", file=sys.stderr, flush=True)
        elif not self._patient:
            raise Interrupted(number)
