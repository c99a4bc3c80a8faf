"""N GANs trained five ways, side by side in one run.

``eager_loop``: one GAN in a plain PyTorch loop. ``sequential``: N such GANs, one environment step each in turn.
``async_vector_env``: Gymnasium's AsyncVectorEnv with one process per GAN, at most one per core, on the same device.
``population``: one GanPopulation. ``environment``: the vector environment on it, with the quality proxy.

A row's FLOP/s are those of the plain loop's arithmetic, as a fraction of a large matrix product's rate in the same
precision, measured in the same run.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from agents.run_folder import provenance
from benchmarks.plain import BareLoop, measure, synchronise
from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones.files import write_atomically
from gan_backbones.metrics.extractors import torch_threads
from gan_backbones.threads import available_cores
from gan_env import GanBalanceVectorEnv, GanInstance, Task, get_suite
from gan_env.config import check_device
from gan_env.quality import cached_data

METHODS = ("eager_loop", "sequential", "async_vector_env", "population", "environment")
_RATE = 2e-4  # of both networks, at which nothing diverges


@dataclass(frozen=True)
class PopulationOptions:
    """What a population of GANs gains."""

    device: str = "cpu"
    """Where the GANs train: cpu, cuda or cuda:INDEX."""
    sizes: tuple[int, ...] = ()
    """Numbers N of GANs; by default 1, 4 and 16 on a CPU, up to 256 on a GPU."""
    resolutions: tuple[int, ...] = ()
    """Pixels; by default 32 on a CPU, 32 and 64 on a GPU."""
    backbone: str = "dcgan"
    """Networks."""
    strategy: str = "auto"
    """How the population computes: auto, stacked or looped."""
    width: int | None = None
    """Channels next to the image; by default 8 on a CPU, 64 on a GPU."""
    batch_size: int = 16
    """Images per update."""
    data: str = "photos"
    """Data set."""
    methods: tuple[str, ...] = METHODS
    """What to measure."""
    seconds: float = 3.0
    """Time of each measurement."""
    json: Path | None = None
    """File for the record."""
    plot: Path | None = None
    """File for a figure."""


def run(options: PopulationOptions) -> None:
    """Measure, print and record."""
    torch.set_num_threads(1)
    device = check_device(options.device)
    gpu = device.type == "cuda"
    sizes = options.sizes or ((1, 4, 16, 64, 256) if gpu else (1, 4, 16))
    resolutions = options.resolutions or ((32, 64) if gpu else (32,))
    width = options.width or (64 if gpu else 8)
    unknown = sorted(set(options.methods) - set(METHODS))
    if unknown or min(*sizes, *resolutions, options.batch_size, 1) < 1:
        raise ValueError(f"--methods are {', '.join(METHODS)}; sizes, resolutions and the batch size are 1 or more")
    matrix_rate = matrix_flops_per_second(options.device)
    rows: list[dict[str, Any]] = []
    jobs = [(pixels, size, method) for pixels in resolutions for size in sizes for method in options.methods]
    for pixels, size, method in tqdm(jobs, desc="population", disable=None):
        if method == "eager_loop" and size != sizes[0]:
            continue  # it is one GAN, whatever N
        task = replace(
            get_suite("faces").tasks[0],
            data=options.data,
            resolution=pixels,
            backbone=options.backbone,
            batch_size=options.batch_size,
            backbone_options=(("latent_size", 128), ("width", width)),
        )
        count = 1 if method == "eager_loop" else size
        rows.append(measured(task, count, method, options, matrix_rate, width))
    Console().print(summary(rows, options.device))
    if options.json is not None:
        record = {"device": options.device, "matrix_flops_per_second": matrix_rate, "rows": rows}
        write_atomically(options.json, (json.dumps(record | provenance(options.device), indent=1) + "\n").encode())
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        draw(rows).savefig(options.plot, dpi=110)


def measured(
    task: Task, size: int, method: str, options: PopulationOptions, matrix_rate: float, width: int
) -> dict[str, Any]:
    """:func:`row`; on a CPU in a process of its own, whose memory is not what an earlier contender left."""
    arguments = (task, size, method, options, matrix_rate, width)
    if options.device.startswith("cuda"):
        return row(*arguments)
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as process:
        return process.submit(row, *arguments).result()


def row(
    task: Task, size: int, method: str, options: PopulationOptions, matrix_rate: float, width: int
) -> dict[str, Any]:
    """One line of the record; a method that does not fit into memory has no figures."""
    rate = peak = fraction = milliseconds = None
    make = _CONTENDERS[method]
    smallest = replace(task, resolution=16, batch_size=2, backbone_options=(("latent_size", 8), ("width", 2)))
    with make(smallest, 1, options) as work:
        work()  # libraries and data are in memory from here on
    with (
        suppress(torch.cuda.OutOfMemoryError),
        peak_memory(options.device) as memory,
        make(task, size, options) as work,
    ):
        work()
        rate = measure(work, options.seconds, options.device)
        fraction = rate * flops_per_update(task) / matrix_rate
        milliseconds = 1e3 * size * task.updates_per_step / rate
    peak = memory["peak_bytes"]
    return {
        "suite": "faces",
        "backbone": task.backbone,
        "resolution": task.resolution,
        "width": width,
        "n": size,
        "method": method,
        "updates_per_second": rate,
        "ms_per_env_step": milliseconds,
        "peak_bytes": peak,
        "matrix_rate_fraction": fraction,
    }


@contextmanager
def _eager_loop(task: Task, size: int, options: PopulationOptions) -> Iterator[Callable[[], int]]:
    yield BareLoop(task, options.device)


@contextmanager
def _sequential(task: Task, size: int, options: PopulationOptions) -> Iterator[Callable[[], int]]:
    loops = [BareLoop(task, options.device, seed) for seed in range(size)]
    yield lambda: sum(loop() for loop in loops for _ in range(task.updates_per_step))


@contextmanager
def _async_vector_env(task: Task, size: int, options: PopulationOptions) -> Iterator[Callable[[], int]]:
    count = min(size, available_cores())
    keywords = _env_options(task, options) | {"measure_quality": False, "reward": "stability", "workers": 1}
    envs = gym.vector.AsyncVectorEnv(
        [lambda: gym.make("gan_env:GanBalanceEnv-v0", **keywords)] * count, context="spawn"
    )
    envs.reset(seed=0)
    actions = np.zeros(count, dtype=np.int64)

    def work() -> int:
        envs.step(actions)
        return count * task.updates_per_step

    yield work
    envs.close()


@contextmanager
def _population(task: Task, size: int, options: PopulationOptions) -> Iterator[Callable[[], int]]:
    data = cached_data(task.data, task.resolution, None, False)
    population = GanPopulation(
        lambda: build(task.backbone, data.sample_shape, **dict(task.backbone_options)),
        size,
        batch_size=task.batch_size,
        device=options.device,
        strategy=options.strategy,
    )
    population.reset(range(size), [ReplicaSetup(seed, data) for seed in range(size)])
    knobs = {name: torch.full((size,), _RATE) for name in ("lr_g", "lr_d")}

    def work() -> int:
        population.update(knobs, task.updates_per_step)
        return size * task.updates_per_step

    yield work
    population.close()


@contextmanager
def _environment(task: Task, size: int, options: PopulationOptions) -> Iterator[Callable[[], int]]:
    env = GanBalanceVectorEnv(size, **_env_options(task, options))
    calm: list[GanInstance] = [replace(task, decisions=10**9).instance(_RATE, _RATE, seed) for seed in range(size)]
    env.reset(seed=0, options={"instance": calm})
    actions = np.zeros(size, dtype=np.int64)

    def work() -> int:
        env.step(actions)
        return size * task.updates_per_step

    yield work
    env.close()


_CONTENDERS: dict[str, Callable[[Task, int, PopulationOptions], AbstractContextManager[Callable[[], int]]]] = {
    "eager_loop": _eager_loop,
    "sequential": _sequential,
    "async_vector_env": _async_vector_env,
    "population": _population,
    "environment": _environment,
}


def _env_options(task: Task, options: PopulationOptions) -> dict[str, Any]:
    return {
        "suite": "faces",
        "data": task.data,
        "resolution": task.resolution,
        "backbone_options": task.backbone_options,
        "batch_size": task.batch_size,
        "knobs": ("lr_g", "lr_d"),
        "backbone": task.backbone,
        "strategy": options.strategy,
        "device": options.device,
    }


def flops_per_update(task: Task) -> int:
    """Floating-point operations of one update of one GAN, counted in the plain loop."""
    loop = BareLoop(task)
    with FlopCounterMode(display=False) as counter:
        loop()
    return counter.get_total_flops()


def matrix_flops_per_second(device: str) -> float:
    """Rate of a large float32 matrix product: all cores of a CPU."""
    size = 8192 if device.startswith("cuda") else 2048
    one, other = (torch.randn(size, size, device=device) for _ in range(2))
    with torch_threads(available_cores()):
        torch.mm(one, other)
        synchronise(device)
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            torch.mm(one, other)
            synchronise(device)
            best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


@contextmanager
def peak_memory(device: str) -> Iterator[dict[str, int | None]]:
    """Bytes allocated at most inside the block: of the device, or on Linux of this process beyond its start.

    Processes that are started inside do not count.
    """
    found: dict[str, int | None] = {"peak_bytes": None}
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found["peak_bytes"] = torch.cuda.max_memory_allocated(device)
        return
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    before = None
    with suppress(OSError):
        reset.write_text("5")  # forget the highest resident size
        before = _kibibytes(status.read_text(), "VmRSS")
    yield found
    if before is not None:
        found["peak_bytes"] = 1024 * (_kibibytes(status.read_text(), "VmHWM") - before)


def _kibibytes(text: str, field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) if match else 0


def summary(rows: list[dict[str, Any]], device: str) -> Table:
    """The record as a table."""
    table = Table(title=f"GAN updates per second on {device}")
    for column in ("pixels", "n", "method", "updates/s", "ms/env step", "peak MB", "matrix rate"):
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    for one in rows:
        rate, peak, fraction = one["updates_per_second"], one["peak_bytes"], one["matrix_rate_fraction"]
        table.add_row(
            str(one["resolution"]),
            str(one["n"]),
            one["method"],
            "out of memory" if rate is None else f"{rate:.0f}",
            "" if rate is None else f"{one['ms_per_env_step']:.1f}",
            "" if peak is None else f"{peak / 1e6:.0f}",
            "" if fraction is None else f"{100 * fraction:.1f} %",
        )
    return table


def draw(rows: list[dict[str, Any]]) -> Figure:
    """Updates per second against N, a panel for each resolution."""
    resolutions = list(dict.fromkeys(one["resolution"] for one in rows))
    figure = Figure(figsize=(5 * len(resolutions), 4), layout="constrained")
    for axis, pixels in zip(figure.subplots(1, len(resolutions), squeeze=False)[0], resolutions, strict=True):
        for method in METHODS:
            own = [one for one in rows if (one["resolution"], one["method"]) == (pixels, method)]
            points = [(one["n"], rate) for one in own if (rate := one["updates_per_second"]) is not None]
            if points:
                axis.loglog(*zip(*points, strict=True), marker="o", label=method)
        axis.set_title(f"{pixels} pixels")
        axis.set_xlabel("GANs")
        axis.set_ylabel("GAN updates per second")
        axis.legend()
    return figure
