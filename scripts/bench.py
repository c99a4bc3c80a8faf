"""Throughput, measured side by side in one run.

``bench.py env`` compares GAN updates per second of a bare PyTorch loop on one core, the same loop in one process per
core, the population, and the whole environment without and with the quality proxy. The contenders take turns, so that
a machine whose speed drifts is fair to all; figures are medians over the turns. What the environment costs beyond its
population is told twice: timed within the same steps, and as the median over the turns of the population's rate over
the environment's, which stand side by side in each turn.

Example: python scripts/bench.py env --suite faces
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.table import Table

from agents.cli import fail_in_one_line
from agents.run_folder import provenance
from gan_backbones import build, initialise
from gan_backbones.files import write_atomically
from gan_env import GanBalanceVectorEnv, GanInstance, get_suite
from gan_env.quality import cached_data


@dataclass(frozen=True)
class Options:
    """Options of bench.py."""

    what: tyro.conf.Positional[Literal["env"]] = "env"
    """Benchmark to run."""
    suite: str = "faces"
    """Suite whose GANs are trained."""
    num_envs: int = 32
    """GANs in the population."""
    seconds: float = 1.5
    """Time of each contender in each turn."""
    turns: int = 15
    """Turns."""
    json: Path | None = None
    """File for the record."""


def bare_loop(suite_name: str) -> Callable[[], int]:
    """One GAN in a plain PyTorch loop with torch.optim.Adam: what a practitioner would write. Returns updates made."""
    torch.set_num_threads(1)
    task = get_suite(suite_name).tasks[0]
    data = cached_data(task.data, task.resolution, None, False)
    pair = build(task.backbone, data.sample_shape, **dict(task.backbone_options))
    rng = torch.Generator().manual_seed(0)
    initialise(pair.generator, rng)
    initialise(pair.discriminator, rng)
    generator, discriminator = pair.generator, pair.discriminator
    optimizers = [
        torch.optim.Adam(module.parameters(), 2e-4, betas=(0.5, 0.999)) for module in (generator, discriminator)
    ]
    batch = task.batch_size

    def work() -> int:
        real = data.batch(torch.randint(len(data), (batch,), generator=rng))
        fake = generator(torch.randn(batch, pair.latent_size, generator=rng))
        real_logits, fake_logits = discriminator(torch.cat([real, fake.detach()])).split(batch)
        loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        discriminator.requires_grad_(False)
        loss = F.softplus(-discriminator(fake)).mean()
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        discriminator.requires_grad_(True)
        return 1

    return work


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


def environment(suite_name: str, num_envs: int, **options: Any) -> tuple[Callable[[], int], Stopwatch]:
    """The vector environment under a policy that keeps the knobs, and the time that its population takes of it."""
    env = GanBalanceVectorEnv(num_envs, suite=suite_name, knobs=("lr_g", "lr_d"), **options)
    env.reset(seed=0, options={"instance": [_calm(suite_name, seed) for seed in range(num_envs)]})
    actions = np.zeros(num_envs, dtype=np.int64)
    watch = Stopwatch(env.core.population, "update")

    def work() -> int:
        start = time.perf_counter()
        env.step(actions)
        watch.total += time.perf_counter() - start
        return num_envs * env.core.task.updates_per_step

    return work, watch


def population(suite_name: str, num_envs: int) -> Callable[[], int]:
    """The population alone, as the environment drives it."""
    env = GanBalanceVectorEnv(
        num_envs, suite=suite_name, knobs=("lr_g", "lr_d"), reward="stability", measure_quality=False
    )
    env.reset(seed=0)
    knobs = {name: torch.full((num_envs,), 2e-4) for name in ("lr_g", "lr_d")}
    steps = env.core.task.updates_per_step

    def work() -> int:
        env.core.population.update(knobs, steps)
        return num_envs * steps

    return work


def _calm(suite_name: str, seed: int) -> GanInstance:
    # So long an episode that no reset falls into the measurement, at rates at which nothing diverges.
    suite = get_suite(suite_name)
    return replace(suite.sample(np.random.default_rng(seed)), lr_g=2e-4, lr_d=2e-4, decisions=10**9)


def measure(work: Callable[[], int], seconds: float) -> float:
    """Updates per second over about ``seconds``."""
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += work()
    return done / elapsed


def _process(suite_name: str, pipe: Any) -> None:
    work = bare_loop(suite_name)
    work()
    while (seconds := pipe.recv()) is not None:
        pipe.send(measure(work, seconds))


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    loop = bare_loop(options.suite)
    calm = {"reward": "stability", "measure_quality": False}
    contenders: dict[str, Callable[[float], float]] = {}
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(cores):
        ours, theirs = context.Pipe()
        process = context.Process(target=_process, args=(options.suite, theirs), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)

    def in_processes(seconds: float) -> float:
        for pipe in pipes:
            pipe.send(seconds)
        return sum(pipe.recv() for pipe in pipes)

    population_work = population(options.suite, options.num_envs)
    without, watch_without = environment(options.suite, options.num_envs, **calm)
    with_proxy, watch_with = environment(options.suite, options.num_envs)
    watches = {"environment without proxy": watch_without, "environment with proxy": watch_with}
    contenders["bare loop, one core"] = lambda seconds: measure(loop, seconds)
    contenders[f"bare loop, {cores} processes"] = in_processes
    contenders[f"population of {options.num_envs}"] = lambda seconds: measure(population_work, seconds)
    contenders["environment without proxy"] = lambda seconds: measure(without, seconds)
    contenders["environment with proxy"] = lambda seconds: measure(with_proxy, seconds)
    for run in contenders.values():
        run(0.5)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(options.turns):
        order = list(contenders) if turn % 2 == 0 else list(contenders)[::-1]
        for name in order:
            rates[name].append(contenders[name](options.seconds))
    for pipe in pipes:
        pipe.send(None)

    medians = {name: statistics.median(values) for name, values in rates.items()}
    reference, alone = medians["bare loop, one core"], rates[f"population of {options.num_envs}"]
    paired = {name: statistics.median(a / b - 1 for a, b in zip(alone, rates[name], strict=True)) for name in watches}
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
        record = {"benchmark": "env", "suite": options.suite, "num_envs": options.num_envs, "cores": cores}
        record |= {"updates_per_second": rates, "median": medians} | provenance("cpu")
        record["cost_in_its_steps"] = {name: watch.cost for name, watch in watches.items()}
        record["cost_in_turns"] = paired
        record["command"] = f"python scripts/bench.py env --suite {options.suite} --num-envs {options.num_envs}"
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    fail_in_one_line(main)
