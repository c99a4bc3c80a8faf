"""GAN updates per second of a bare PyTorch loop on one core, the same loop in one process per core, the population, and
the whole environment without and with the quality proxy.

The contenders take turns, so that a machine whose speed drifts is fair to all; figures are medians over the turns. What
the environment costs beyond its population is told twice: timed within the same steps, and as the median over the turns
of the population's rate over the environment's, which stand side by side in each turn.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from agents.run_folder import provenance
from benchmarks.plain import BareLoop, measure
from gan_backbones.files import write_atomically
from gan_backbones.threads import available_cores
from gan_env import EnvConfig, GanBalanceVectorEnv, GanInstance, Task
from gan_env.core import BalanceCore

_RATE = 2e-4  # of both networks


@dataclass(frozen=True)
class EnvOptions:
    """What the environment costs beyond training."""

    suite: str = "faces"
    """Suite whose GANs are trained."""
    resolution: int | None = None
    """Other pixels than the suite's."""
    num_envs: int = 32
    """GANs in the population."""
    seconds: float = 1.5
    """Time of each contender in each turn."""
    turns: int = 15
    """Turns."""
    json: Path | None = None
    """File for the record."""


class Stopwatch:
    """Time spent inside one method of an object, and around it."""

    def __init__(self, owner: Any, method: str) -> None:
        self.inside = self.total = 0.0
        timed = getattr(owner, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return timed(*args, **kwargs)
            finally:
                self.inside += time.perf_counter() - start

        setattr(owner, method, call)

    @property
    def cost(self) -> float:
        """What the rest costs, as a share of the time inside."""
        return self.total / self.inside - 1


def make_env(options: EnvOptions, **others: Any) -> tuple[GanBalanceVectorEnv, BalanceCore]:
    """The vector environment of a suite of one kind of GAN in this process, and its core."""
    env = _env(options, workers=1, **others)
    if not isinstance(env.core, BalanceCore):
        raise ValueError(f"suite {options.suite!r} trains several kinds of GAN; name a suite of one")
    return env, env.core


def _env(options: EnvOptions, **others: Any) -> GanBalanceVectorEnv:
    return GanBalanceVectorEnv(
        options.num_envs, suite=options.suite, resolution=options.resolution, knobs=("lr_g", "lr_d"), **others
    )


def on_all_cores(options: EnvOptions) -> Callable[[], int]:
    """The vector environment as users get it: with the proxy, shared out to processes."""
    env, task = _env(options), task_of(options)
    env.reset(seed=0, options={"instance": [_calm(task, seed) for seed in range(options.num_envs)]})
    actions = np.zeros(options.num_envs, dtype=np.int64)

    def work() -> int:
        env.step(actions)
        return options.num_envs * task.updates_per_step

    return work


def environment(options: EnvOptions, **others: Any) -> tuple[Callable[[], int], Stopwatch]:
    """The vector environment under a policy that keeps the knobs, and the time that its population takes of it."""
    env, core = make_env(options, **others)
    env.reset(seed=0, options={"instance": [_calm(core.task, seed) for seed in range(options.num_envs)]})
    actions = np.zeros(options.num_envs, dtype=np.int64)
    watch = Stopwatch(core.population, "update")

    def work() -> int:
        start = time.perf_counter()
        env.step(actions)
        watch.total += time.perf_counter() - start
        return options.num_envs * core.task.updates_per_step

    return work, watch


def population(options: EnvOptions) -> Callable[[], int]:
    """The population alone, as the environment drives it."""
    env, core = make_env(options, reward="stability", measure_quality=False)
    env.reset(seed=0)
    knobs = {name: torch.full((options.num_envs,), _RATE) for name in ("lr_g", "lr_d")}
    steps = core.task.updates_per_step

    def work() -> int:
        core.population.update(knobs, steps)
        return options.num_envs * steps

    return work


def _calm(task: Task, seed: int) -> GanInstance:
    # So long an episode that no reset falls into the measurement, at rates at which nothing diverges.
    return replace(task, decisions=10**9).instance(_RATE, _RATE, seed)


def task_of(options: EnvOptions) -> Task:
    """What is trained."""
    return EnvConfig(suite=options.suite, resolution=options.resolution).resolved_suite().tasks[0]


def _process(options: EnvOptions, pipe: Any) -> None:
    torch.set_num_threads(1)
    work = BareLoop(task_of(options))
    work()
    while (seconds := pipe.recv()) is not None:
        pipe.send(measure(work, seconds))


def run(options: EnvOptions) -> None:
    """Measure, print and record."""
    torch.set_num_threads(1)
    cores = available_cores()
    loop = BareLoop(task_of(options))
    calm = {"reward": "stability", "measure_quality": False}
    contenders: dict[str, Callable[[float], float]] = {}
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(cores):
        ours, theirs = context.Pipe()
        process = context.Process(target=_process, args=(options, theirs), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)

    def in_processes(seconds: float) -> float:
        for pipe in pipes:
            pipe.send(seconds)
        return sum(pipe.recv() for pipe in pipes)

    everything = on_all_cores(options)  # begins as a copy of this process, so before the others
    population_work = population(options)
    without, watch_without = environment(options, **calm)
    with_proxy, watch_with = environment(options)
    alone = f"population of {options.num_envs}, one core"
    watches = {"environment without proxy, one core": watch_without, "environment with proxy, one core": watch_with}
    works = dict(zip(watches, (without, with_proxy), strict=True))
    contenders["bare loop, one core"] = lambda seconds: measure(loop, seconds)
    contenders[f"bare loop, {cores} processes"] = in_processes
    for name, work in {alone: population_work, **works, f"environment with proxy, {cores} cores": everything}.items():
        contenders[name] = functools.partial(measure, work)
    for warm_up in contenders.values():
        warm_up(0.5)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(options.turns):
        order = list(contenders) if turn % 2 == 0 else list(contenders)[::-1]
        for name in order:
            rates[name].append(contenders[name](options.seconds))
    for pipe in pipes:
        pipe.send(None)

    medians = {name: statistics.median(values) for name, values in rates.items()}
    reference = medians["bare loop, one core"]
    paired = {
        name: statistics.median(a / b - 1 for a, b in zip(rates[alone], rates[name], strict=True)) for name in watches
    }
    table = Table(title=f"{options.suite}: GAN updates per second, median of {options.turns} turns")
    for column in ("contender", "updates/s", "min..max", "x bare loop", "cost in its steps", "cost in turns"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for name, median in medians.items():
        costs = (
            [f"{share * 100:.1f} %" for share in (watches[name].cost, paired[name])] if name in watches else ["", ""]
        )
        spread = f"{min(rates[name]):.0f}..{max(rates[name]):.0f}"
        table.add_row(name, f"{median:.0f}", spread, f"{median / reference:.2f}", *costs)
    Console().print(table)
    if options.json is not None:
        record: dict[str, Any] = {
            "benchmark": "env",
            "suite": options.suite,
            "resolution": options.resolution,
            "num_envs": options.num_envs,
            "cores": cores,
        }
        record |= {"updates_per_second": rates, "median": medians} | provenance("cpu")
        record["cost_in_its_steps"] = {name: watch.cost for name, watch in watches.items()}
        record["cost_in_turns"] = paired
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())
