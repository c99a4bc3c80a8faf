"""Where the cores of a vector environment are held when they are not in its own process: in others on this machine.

On a CPU an update is thousands of small operations, each of which takes and gives back Python's interpreter lock:
two threads hinder each other so much that small GANs train no faster on two cores than on one. Processes do not.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

import torch
from torch import Tensor

from gan_backbones.threads import available_cores
from gan_env.config import EnvConfig
from gan_env.core import BalanceCore
from gan_env.instances import Task

ROWS_PER_SHARD = 8
"""Fewer are not worth a process."""


class LostShardError(RuntimeError):
    """Whoever held a core is gone, and its GANs with it."""


class GivenUpError(RuntimeError):
    """Cores were lost, and nobody can hold them, or not for long: the work ends here. It can go on another time."""


class Shard(Protocol):
    """A :class:`~gan_env.core.BalanceCore` somewhere else."""

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method of that core returns, tensors as arrays; what it raises is raised here.

        Raises ``LostShardError`` where no answer will come.
        """
        ...

    def close(self) -> None:
        """Give the core up; every later call raises ``RuntimeError``."""
        ...


class Shards(Protocol):
    """Who holds cores elsewhere."""

    def count(self, config: EnvConfig, size: int, kinds: int = 1) -> int:
        """How many shards the ``size`` rows of each kind of GAN are shared out to; 0 means that they stay in this
        process."""
        ...

    def start(self, config: EnvConfig, size: int, task: Task) -> Shard:
        """A new core with these arguments; what its making raises is raised here. Raises ``GivenUpError`` where whoever
        is to hold it is lost."""
        ...

    def replace(self, lost: Shard, config: EnvConfig, size: int, task: Task) -> Shard:
        """A new core for one that was lost. Raises ``GivenUpError`` where there is nothing to hold it."""
        ...


class Processes:
    """One process for each core of the machine, or for each kind of GAN where these are too few to be shared out. They
    are not replaced: here, a lost one means a lack of memory.

    Processes begin as copies of this one, so that whatever is registered here is there, too; where the system cannot
    do that, and on a GPU, the rows stay here.
    """

    def count(self, config: EnvConfig, size: int, kinds: int = 1) -> int:
        if config.device != "cpu" or "fork" not in multiprocessing.get_all_start_methods():
            return 0
        wanted = min(config.workers or available_cores(), size * kinds // ROWS_PER_SHARD)
        shards = max(1, min(-(-wanted // kinds), size // ROWS_PER_SHARD))
        return shards if wanted > 1 and kinds * shards > 1 else 0

    def start(self, config: EnvConfig, size: int, task: Task) -> Shard:
        try:
            return _ProcessShard(config, size, task)
        except LostShardError:
            raise GivenUpError(_DIED) from None

    def replace(self, lost: Shard, config: EnvConfig, size: int, task: Task) -> Shard:
        raise GivenUpError(_DIED)


_DIED = "a process that trains GANs has died; was it killed, or out of memory?"
PROCESSES = Processes()


class _ProcessShard:
    """What goes over the pipe is pickled by one of the two processes and read by the other, nothing else."""

    def __init__(self, config: EnvConfig, size: int, task: Task) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, remote = context.Pipe()
        # Numbers of threads that the parent has chosen are of no use to a process for one core.
        process = context.Process(target=_serve, args=(remote, self._pipe, config, size, task), daemon=True)
        process.start()
        remote.close()
        self._end = weakref.finalize(self, _stop, self._pipe, process)
        self._answer()

    def call(self, method: str, *arguments: Any) -> Any:
        if not self._end.alive:
            raise RuntimeError("this environment is closed")
        return self._answer(pickle.dumps((method, arguments)))

    def close(self) -> None:
        self._end()

    def _answer(self, request: bytes | None = None) -> Any:
        try:
            if request is not None:
                self._pipe.send_bytes(request)
            done, value = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._end()
            raise LostShardError(_DIED) from None
        if not done:
            raise value
        return value


def attempt(work: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """``(True, what work returns)``, a tensor as an array, or ``(False, what it raises)``: fit to be sent."""
    try:
        value = work(*arguments)
    except Exception as error:  # whatever it is, whoever asked raises it
        return False, error
    return True, value.numpy() if isinstance(value, Tensor) else value


def _serve(pipe: Connection, parent: Connection, config: EnvConfig, size: int, task: Task) -> None:
    """Build a core and answer calls until the other side closes."""
    parent.close()
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a group; the parent decides when this one ends
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    core: Any = None

    def build() -> None:
        nonlocal core
        core = BalanceCore(config, size, task)

    answer = attempt(build)
    with contextlib.suppress(EOFError, OSError):
        while True:
            try:
                content = pickle.dumps(answer)
            except Exception as error:  # an answer that cannot be sent
                content = pickle.dumps((False, error))
            pipe.send_bytes(content)
            request = pickle.loads(pipe.recv_bytes())
            if request is None:
                return
            method, arguments = request
            answer = attempt(getattr(core, method), *arguments)


def _stop(pipe: Connection, process: Any) -> None:
    # Said in words: processes that were begun later hold this pipe open as well, so closing it would not be noticed.
    with contextlib.suppress(OSError):
        pipe.send_bytes(pickle.dumps(None))
    pipe.close()
    process.join(timeout=5)
    if process.is_alive():
        process.kill()
