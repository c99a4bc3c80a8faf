"""The same work on a Ray cluster: populations in actors, cells of a comparison as tasks.

Nothing else in this project knows Ray, which is imported when a cluster is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from agents.retries import LostTaskError
from agents.workers import Host, Worker, Workers
from gan_backbones.threads import available_cores
from gan_env.shards import LostShardError

LOCAL = "local"
"""Address of a cluster of this machine alone, for as long as the program runs."""
LOOPBACK = "127.0.0.1"
_KNOCK_SECONDS = 5.0
"""For a cluster's first answer."""
_ROOM_SECONDS = 10.0
"""What a worker that has died had is given back within so many seconds."""
_START_SECONDS = 300.0
"""For a worker's first sign of life: it imports everything anew."""


def import_ray(*, loopback: bool = False) -> Any:
    """Ray, told to keep to itself and, if asked, to the loopback interface: that has to be said before its import.

    Raises ``ValueError``, in one line, where it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if loopback:
        # As on Windows, where it is the default; otherwise Ray replaces 127.0.0.1 by the machine's own address.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
    except ImportError:
        raise ValueError("--cluster needs Ray: python -m pip install 'gan-balance[cluster]'") from None
    return ray


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """The cluster at ``address``: ``local``, ``auto`` (one that runs on this machine) or ``HOST:PORT``; None for None.

    A local one is made for the occasion, of this machine's cores, and listens on the loopback interface alone. Raises
    ``ValueError``, in one line, without Ray and where no cluster answers.
    """
    if address is None:
        yield None
        return
    ray = import_ray(loopback=address == LOCAL)
    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"num_cpus": available_cores(), "include_dashboard": False, "_node_ip_address": LOOPBACK}
    elif address != "auto":
        _knock(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # Ray has no one class of its own for this
        raise ValueError(f"--cluster {address}: no Ray cluster answers: {' '.join(str(error).split())[:200]}") from None
    try:
        listens = ray.util.get_node_ip_address()
        if address == LOCAL and listens != LOOPBACK:
            raise RuntimeError(f"the local cluster listens on {listens}; ask for it before anything imports ray")
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise ``ValueError`` where nobody answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"--cluster takes local, auto or HOST:PORT, not {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"--cluster {address}: no Ray cluster answers: {error}") from None


class Cluster:
    """A connection to a Ray cluster."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def describe(self) -> dict[str, int]:
        """Machines, cores and GPUs."""
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        return {"nodes": nodes, "cores": self._have("CPU"), "gpus": self._have("GPU")}

    @contextlib.contextmanager
    def shards(self) -> Iterator[Workers]:
        """Workers for populations."""
        workers = Workers(_RayHosts(self._ray))
        try:
            yield workers
        finally:
            workers.close()

    def tasks(self, work: Callable[[Any], Any]) -> RayTasks:
        """Have ``work`` of jobs done, each on a core of its own."""
        return RayTasks(self._ray, work)

    def _have(self, resource: str) -> int:
        return int(self._ray.cluster_resources().get(resource, 0))


class _RayHosts:
    """Actors, one on each core or GPU."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._actor = ray.remote(Worker)
        self._share: float | None = None

    def slots(self, device: str) -> int:
        return max(1, int(self._ray.cluster_resources().get(_resource(device), 0)))

    def open(self, device: str, count: int) -> list[Host]:
        resource = _resource(device)
        if self._share is None:
            # Where more workers are wanted at first than there are GPUs, they share these evenly.
            self._share = 1.0 if resource == "CPU" else 1 / math.ceil(count / self.slots(device))
        share = self._share
        needs = {"num_cpus": share} if resource == "CPU" else {"num_cpus": 0, "num_gpus": share}
        options = needs | {"max_restarts": 0, "scheduling_strategy": "SPREAD"}
        hosts = [
            _RayHost(self._ray, self._actor.options(**options).remote())
            for _ in range(min(count, self._room(resource, share)))
        ]
        return [host for host in hosts if host.answers()]

    def _room(self, resource: str, share: float) -> int:
        until = time.monotonic() + _ROOM_SECONDS
        while True:
            room = int(self._ray.available_resources().get(resource, 0.0) / share)
            if room or time.monotonic() > until:
                return room
            time.sleep(0.2)


class _RayHost:
    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor

    def ask(self, method: str, *arguments: Any) -> Any:
        try:
            return self._ray.get(getattr(self._actor, method).remote(*arguments))
        except self._ray.exceptions.RayTaskError:  # not lost, but a mistake in a program
            raise
        except self._ray.exceptions.RayError as error:
            raise LostShardError(str(error)) from None

    def answers(self) -> bool:
        """Wait for the first sign of life; without one, it is given up."""
        try:
            self._ray.get(self._actor.ready.remote(), timeout=_START_SECONDS)
        except self._ray.exceptions.RayError:
            self.end()
            return False
        return True

    def end(self) -> None:
        self._ray.kill(self._actor)


class RayTasks:
    """Jobs as tasks. Ray's own retries are off, so that what is lost is counted here."""

    def __init__(self, ray: Any, work: Callable[[Any], Any]) -> None:
        self._ray = ray
        self._work = ray.put(work)
        self._task = ray.remote(_do).options(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")

    def room(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def submit(self, job: Any) -> Any:
        return self._task.remote(self._work, job)

    def wait(self, tickets: Sequence[Any], seconds: float) -> Sequence[Any]:
        if not tickets:
            time.sleep(seconds)
            return ()
        ended: list[Any] = self._ray.wait(list(tickets), num_returns=len(tickets), timeout=seconds)[0]
        return ended

    def result(self, ticket: Any) -> tuple[bool, Any]:
        try:
            result: tuple[bool, Any] = self._ray.get(ticket)
        except self._ray.exceptions.RayTaskError as error:
            return False, RuntimeError(str(error))
        except self._ray.exceptions.RayError as error:
            raise LostTaskError(" ".join(str(error).split())[:200]) from None
        return result

    def cancel(self, ticket: Any) -> None:
        self._ray.cancel(ticket, force=True)


def _resource(device: str) -> str:
    return "GPU" if device.startswith("cuda") else "CPU"


def _do(work: Callable[[Any], Any], job: Any) -> tuple[bool, Any]:
    """Fit to be sent: a mistake as ``ValueError``, anything else as the text of its traceback."""
    torch.set_num_threads(1)
    try:
        return True, work(job)
    except ValueError as error:
        return False, ValueError(str(error))
    except Exception:  # not every error survives pickling; its text does
        return False, RuntimeError(traceback.format_exc())
