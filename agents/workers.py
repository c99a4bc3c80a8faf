"""Populations in workers elsewhere: who holds which, and what happens when a worker is lost. Ray is not known here."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from typing import Any, Protocol

import torch

from gan_env import EnvConfig
from gan_env.core import BalanceCore
from gan_env.instances import Task
from gan_env.shards import ROWS_PER_SHARD, GivenUpError, LostShardError, Shard, attempt

_ATTEMPTS = 3
"""Workers that may be lost over the making of one core."""


class Worker:
    """Cores in one process, by number: what a worker does, wherever it runs."""

    def __init__(self) -> None:
        torch.set_num_threads(1)  # a worker has one core, or a GPU
        self._cores: dict[int, BalanceCore] = {}

    def ready(self) -> None:
        """Answered as soon as the worker runs."""

    def start(self, number: int, config: EnvConfig, size: int, task: Task) -> tuple[bool, Any]:
        """See :func:`~gan_env.shards.attempt`, as for :meth:`call`."""
        return attempt(self._start, number, config, size, task)

    def call(self, number: int, method: str, *arguments: Any) -> tuple[bool, Any]:
        return attempt(getattr(self._cores[number], method), *arguments)

    def drop(self, number: int) -> None:
        self._cores.pop(number).close()

    def _start(self, number: int, config: EnvConfig, size: int, task: Task) -> None:
        self._cores[number] = BalanceCore(config, size, task)


class Host(Protocol):
    """One worker, as it is seen from here."""

    def ask(self, method: str, *arguments: Any) -> Any:
        """What a method of :class:`Worker` returns. Raises ``LostShardError`` where the worker is gone."""
        ...

    def end(self) -> None:
        """Stop the worker, if it still runs."""
        ...


class Hosts(Protocol):
    """Where workers run."""

    def slots(self, device: str) -> int:
        """Workers that fit in all, each with a core of its own, or with a GPU."""
        ...

    def open(self, device: str, count: int) -> list[Host]:
        """So many new workers, or as many as there is room for."""
        ...


class Workers:
    """The :class:`~gan_env.shards.Shards` of any hosts.

    A worker holds several cores, that of training and those of validation, which take turns. A lost worker is replaced
    once; where there is no room for another, those that are left take over its cores.
    """

    def __init__(self, hosts: Hosts) -> None:
        self.lost = 0
        """Workers that were lost."""
        self._hosts = hosts
        self._open: list[Host] = []
        self._held: dict[int, int] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def count(self, config: EnvConfig, size: int, kinds: int = 1) -> int:
        """As many as are asked for, several to a worker if need be; else as many as there are workers."""
        wanted = max(1, min(config.workers or self._hosts.slots(config.device), size // ROWS_PER_SHARD))
        with self._lock:
            if len(self._open) < wanted:
                self._add(self._hosts.open(config.device, wanted - len(self._open)))
            if not self._open:
                raise ValueError(f"the cluster has no room for a worker on {config.device!r}")
            return wanted if config.workers else min(wanted, len(self._open))

    def start(self, config: EnvConfig, size: int, task: Task) -> Shard:
        own = dataclasses.replace(config, device=config.device.partition(":")[0], progress=False)
        for _ in range(_ATTEMPTS):
            with self._lock:
                self._require_room()
                host = min(self._open, key=lambda one: self._held[id(one)])
                self._held[id(host)] += 1
                self._open.remove(host)
                self._open.append(host)  # so that an environment has cores on different workers
                number = next(self._numbers)
            try:
                done, value = host.ask("start", number, own, size, task)
            except LostShardError:
                self._bury(host, config)
                continue
            if not done:
                raise value
            return _HeldShard(host, number)
        raise GivenUpError(f"{_ATTEMPTS} workers were lost while they made a population; is there enough memory?")

    def replace(self, lost: Shard, config: EnvConfig, size: int, task: Task) -> Shard:
        assert isinstance(lost, _HeldShard)
        self._bury(lost.host, config)
        return self.start(config, size, task)

    def close(self) -> None:
        """Stop all workers."""
        with self._lock:
            for host in self._open:
                host.end()
            self._open.clear()

    def _bury(self, host: Host, config: EnvConfig) -> None:
        """Replace a worker, unless another core of it has noticed before."""
        with self._lock:
            if host in self._open:
                self._open.remove(host)
                self.lost += 1
                host.end()
                self._add(self._hosts.open(config.device, 1))
            self._require_room()

    def _require_room(self) -> None:
        if not self._open:
            raise GivenUpError("the last worker of the cluster was lost, and there is no room for another")

    def _add(self, hosts: list[Host]) -> None:
        self._open += hosts
        self._held |= {id(host): 0 for host in hosts}


class _HeldShard:
    """A core within a worker."""

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        self._number = number
        self._closed = False

    def call(self, method: str, *arguments: Any) -> Any:
        if self._closed:
            raise RuntimeError("this environment is closed")
        done, value = self.host.ask("call", self._number, method, *arguments)
        if not done:
            raise value
        return value

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(LostShardError):  # its core is gone with it
            self.host.ask("drop", self._number)
