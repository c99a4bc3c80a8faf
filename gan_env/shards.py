"""A core in a process of its own.

On a CPU an update is thousands of small operations, each of which takes and gives back Python's interpreter lock:
two threads hinder each other so much that small GANs train no faster on two cores than on one. Processes do not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import pickle
import signal
import threading
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones.data import DataSet
from gan_backbones.threads import available_cores
from gan_env.config import EnvConfig
from gan_env.core import BalanceCore, StepResult
from gan_env.instances import GanInstance, Task
from gan_env.knobs import ActionCodec
from gan_env.quality import cached_data

ROWS_PER_PROCESS = 8
"""Fewer are not worth a process."""


def shard_count(config: EnvConfig, size: int) -> int:
    """How many processes ``size`` rows are shared out to; 1 means that they stay in this one.

    Processes begin as copies of this one, so that whatever is registered here is there, too; where the system cannot
    do that, and on a GPU, there is one.
    """
    if config.device != "cpu" or "fork" not in multiprocessing.get_all_start_methods():
        return 1
    return max(1, min(config.workers or available_cores(), size // ROWS_PER_PROCESS))


class RemoteCore:
    """The row interface of :class:`~gan_env.core.BalanceCore`, which says what the methods do; the work is elsewhere.

    What goes over the pipe is pickled by one of the two processes and read by the other, nothing else.
    """

    def __init__(self, config: EnvConfig, size: int, task: Task) -> None:
        config = dataclasses.replace(config, workers=1)
        self.config = config
        self.size = size
        self.suite = config.resolved_suite()
        self.task = task
        self.key = task.population_key()
        self.codec = config.codec()
        self.observer = config.observer()
        self.instances: list[GanInstance | None] = [None] * size
        self.decisions = np.zeros(size, dtype=np.int64)
        self._observations = self.observer.vector.repeat(size, 1).numpy()
        self._lock = threading.Lock()
        context = multiprocessing.get_context("fork")
        self._pipe, remote = context.Pipe()
        # Numbers of threads that the parent has chosen are of no use to a process for one core.
        process = context.Process(target=_serve, args=(remote, self._pipe, config, size, task), daemon=True)
        process.start()
        remote.close()
        self._end = weakref.finalize(self, _stop, self._pipe, process)
        self._answer()

    def draw(self, row: int, rng: np.random.Generator) -> GanInstance:
        return self.suite.sample(rng, accept=lambda task: task.population_key() == self.key)

    def reset(self, rows: Sequence[int], instances: Sequence[GanInstance]) -> NDArray[np.float32]:
        observations: NDArray[np.float32] = self._call("reset", list(rows), list(instances))
        self._observations[list(rows)] = observations
        for row, instance in zip(rows, instances, strict=True):
            self.instances[row] = instance
        self.decisions[list(rows)] = 0
        return observations

    def step(self, rows: Sequence[int], actions: object, codec: ActionCodec | None = None) -> StepResult:
        result: StepResult = self._call("step", list(rows), actions, codec)
        self.decisions[list(rows)] += 1
        self._observations[list(rows)] = result.observations
        return result

    def observations(self, rows: Sequence[int]) -> NDArray[np.float32]:
        return self._observations[list(rows)]

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        infos: dict[str, Any] = self._call("infos", list(rows))
        return infos

    def grade(self, rows: Sequence[int]) -> NDArray[np.float64]:
        grades: NDArray[np.float64] = self._call("grade", list(rows))
        return grades

    def failures(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        failures: NDArray[np.bool_] = self._call("failures", list(rows))
        return failures

    def features_seen(self) -> dict[str, tuple[float, float]]:
        seen: dict[str, tuple[float, float]] = self._call("features_seen")
        return seen

    def data_of(self, row: int) -> DataSet:
        instance = self.instances[row]
        data = self.task.data if instance is None else instance.data
        return cached_data(data, self.task.resolution, self.config.cache_dir, self.config.progress)

    def samples(self, row: int, count: int) -> Tensor:
        return torch.from_numpy(self._call("samples", row, count))

    def get_state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._call("get_state")
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._call("set_state", state)
        self.instances = [None if one is None else GanInstance(**one) for one in state["instances"]]
        self.decisions = state["decisions"].copy()
        self._observations = self._call("observations", range(self.size))

    def close(self) -> None:
        self._end()

    def _call(self, method: str, *arguments: Any) -> Any:
        with self._lock:
            if not self._end.alive:
                raise RuntimeError("this environment is closed")
            self._pipe.send_bytes(pickle.dumps((method, arguments)))
            return self._answer()

    def _answer(self) -> Any:
        try:
            done, value = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._end()
            raise RuntimeError("a process that trains GANs has died; was it killed, or out of memory?") from None
        if not done:
            raise value
        return value


def _serve(pipe: Connection, parent: Connection, config: EnvConfig, size: int, task: Task) -> None:
    """Build a core and answer calls until the other side closes."""
    parent.close()
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a group; the parent decides when this one ends
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    core = None
    request: tuple[str, tuple[Any, ...]] | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            try:
                if request is None:
                    core, value = BalanceCore(config, size, task), None
                else:
                    method, arguments = request
                    value = getattr(core, method)(*arguments)
                    value = value.numpy() if isinstance(value, Tensor) else value
                answer = pickle.dumps((True, value))
            except Exception as error:  # whatever it is, the parent raises it
                answer = pickle.dumps((False, error))
            pipe.send_bytes(answer)
            request = pickle.loads(pipe.recv_bytes())
            if request is None:
                return


def _stop(pipe: Connection, process: Any) -> None:
    # Said in words: processes that were begun later hold this pipe open as well, so closing it would not be noticed.
    with contextlib.suppress(OSError):
        pipe.send_bytes(pickle.dumps(None))
    pipe.close()
    process.join(timeout=5)
    if process.is_alive():
        process.kill()
