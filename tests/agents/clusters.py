"""Clusters within this process, whose workers and tasks die when they are told to."""

import contextlib
import pickle

from agents.retries import LostTaskError
from agents.workers import Worker, Workers
from gan_env.shards import LostShardError


class FakeHost:
    """A worker that sees copies of what it is sent, as over a wire."""

    def __init__(self, hosts):
        self.hosts, self.worker, self.alive, self.asked = hosts, Worker(), True, []

    def ask(self, method, *arguments):
        self.hosts.before_ask(self, method, arguments)
        if not self.alive:
            raise LostShardError("dead")
        self.asked.append(arguments[1] if method == "call" else method)
        return pickle.loads(pickle.dumps(getattr(self.worker, method)(*pickle.loads(pickle.dumps(arguments)))))

    def end(self):
        self.alive = False


class FakeHosts:
    """Room for so many workers at a time, of which ``spare`` more can be opened after the first ones."""

    def __init__(self, slots=2, spare=1000):
        self.places, self.left, self.opened = slots, slots + spare, []
        self.before_ask = lambda host, method, arguments: None

    def slots(self, device):
        return self.places

    def open(self, device, count):
        room = min(count, self.left, self.places - sum(host.alive for host in self.opened))
        self.left -= room
        self.opened += [FakeHost(self) for _ in range(room)]
        return self.opened[len(self.opened) - room :]


class FakeTasks:
    """Jobs that are done when their results are asked for; ``lose(job, attempt)`` says which are lost."""

    def __init__(self, work, room=2, lose=lambda job, attempt: False):
        self.work, self.places, self.lose = work, room, lose
        self.begun, self.cancelled, self.most, self.open = [], [], 0, set()

    def room(self):
        return self.places

    def submit(self, job):
        self.begun.append(job)
        ticket = (len(self.begun), job, self.begun.count(job))
        self.open.add(ticket)
        self.most = max(self.most, len(self.open))
        return ticket

    def wait(self, tickets, seconds):
        return [max(tickets)]  # not in the order of their beginning

    def result(self, ticket):
        self.open.remove(ticket)
        _, job, attempt = ticket
        if self.lose(job, attempt):
            raise LostTaskError("its machine is gone")
        try:
            return True, self.work(job)
        except Exception as error:
            return False, error

    def cancel(self, ticket):
        self.cancelled.append(ticket)


class FakeCluster:
    """What :func:`agents.cluster.connected` gives."""

    def __init__(self, hosts=None, lose=lambda job, attempt: False):
        self.hosts, self.lose = hosts or FakeHosts(), lose

    @contextlib.contextmanager
    def shards(self):
        yield Workers(self.hosts)

    def tasks(self, work):
        return FakeTasks(work, lose=self.lose)
