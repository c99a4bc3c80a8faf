"""What long work on a CPU asks of the process: threads, and memory that stays where it is."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # mallopt(3)


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every platform
        return os.cpu_count() or 1


@functools.cache
def keep_freed_memory() -> None:
    """Let the C library keep what is freed instead of giving it back to the system and asking for it again.

    An update, or a batch of images, allocates the same tensors as the one before; handed out afresh, every page of
    them faults once more, which takes up to a third of the time. Holds for the whole process: its memory stays as large
    as it once was. Does nothing where the environment sets the allocator (``MALLOC_...``, ``LD_PRELOAD``), or where it
    is not glibc's.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "LD_PRELOAD" in os.environ:
        return
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26), (_ARENA_MAX, 1)):
            mallopt(option, value)
