"""What bounds an environment step: its operations on a CPU, its kernels and waits on a GPU.

On a GPU the population's updates should be one graph launch, and the host should wait once, when the step's results are
copied to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile

from agents.run_folder import provenance
from gan_backbones.files import write_atomically
from gan_env import GanBalanceVectorEnv, GanInstance, get_suite
from gan_env.config import check_device

_RATE = 2e-4  # of both networks, at which nothing diverges
_WARM_STEPS = 3  # the first as usual, the second recorded as a graph, the third replayed
LAUNCHES = ("cudaGraphLaunch", "cudaLaunchKernel", "cudaLaunchKernelExC")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


@dataclass(frozen=True)
class ProfileOptions:
    """Where the time of a step goes."""

    device: str = "cpu"
    """Where the GANs train: cpu, cuda or cuda:INDEX."""
    suite: str = "faces"
    """Suite whose GANs are trained."""
    backbone: str | None = None
    """Other networks than the suite's."""
    resolution: int | None = None
    """Other pixels than the suite's."""
    width: int | None = None
    """Other channels next to the image than the suite's."""
    num_envs: int = 32
    """GANs in the population."""
    precision: str = "float32"
    """Of products in training: float32, bfloat16 or, on a GPU, tf32."""
    rows: int = 20
    """Lines of the table, the dearest first."""
    json: Path | None = None
    """File for the record."""


def run(options: ProfileOptions) -> None:
    """Profile one step, print and record."""
    torch.set_num_threads(1)
    gpu = check_device(options.device).type == "cuda"
    if min(options.num_envs, options.rows) < 1:
        raise ValueError("--num-envs and --rows must be at least 1")
    env = make_env(options)
    actions = np.zeros(options.num_envs, dtype=np.int64)
    for _ in range(_WARM_STEPS):
        env.step(actions)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    everywhere = _ExperimentalConfig(profile_all_threads=True)  # on a CPU a population works in threads of its own
    with profile(activities=activities, experimental_config=everywhere) as profiled:
        env.step(actions)
    env.close()
    record = summary(profiled.key_averages(), gpu, options.rows)
    console = Console()
    table = Table(title=f"one step of {options.num_envs} GANs on {options.device}")
    for column in ("what", "calls", "ms", "share"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in record["operations"]:
        table.add_row(row["name"], str(row["calls"]), f"{row['milliseconds']:.2f}", f"{100 * row['share']:.1f} %")
    console.print(table)
    if gpu:
        counted = ", ".join(f"{name} {count}" for name, count in record["host_calls"].items())
        console.print(f"calls of the host: {counted or 'none'}", highlight=False)
    if options.json is not None:
        described = {"num_envs": options.num_envs, "suite": options.suite, "precision": options.precision}
        record = described | record | provenance(options.device)
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())


def make_env(options: ProfileOptions) -> GanBalanceVectorEnv:
    """The vector environment, in this process, on GANs that nothing ends."""
    (task, *_) = get_suite(options.suite).tasks
    changes = {name: getattr(options, name) for name in ("backbone", "resolution") if getattr(options, name)}
    settings: dict[str, Any] = {}
    if options.width is not None:
        settings["backbone_options"] = (("latent_size", 128), ("width", options.width))
    elif options.backbone is not None:
        settings["backbone_options"] = ()
    calm = replace(task, **changes, **settings, decisions=10**9)
    instances: list[GanInstance] = [calm.instance(_RATE, _RATE, seed) for seed in range(options.num_envs)]
    env = GanBalanceVectorEnv(
        options.num_envs,
        suite=options.suite,
        knobs=("lr_g", "lr_d"),
        device=options.device,
        precision=options.precision,
        workers=1,
        **changes,
        **settings,
    )
    env.reset(seed=0, options={"instance": instances})
    return env


def summary(averages: Any, gpu: bool, rows: int) -> dict[str, Any]:
    """The dearest operations by their own time on the device, and how often the host launched and waited."""

    def own(event: Any) -> float:
        return float(event.self_device_time_total if gpu else event.self_cpu_time_total)

    runtime = {*LAUNCHES, *WAITS}
    events = [event for event in averages if event.key not in runtime]
    total = sum(map(own, events)) or 1.0
    dearest = sorted(events, key=own, reverse=True)[:rows]
    return {
        "milliseconds": total / 1e3,
        "operations": [
            {"name": event.key, "calls": event.count, "milliseconds": own(event) / 1e3, "share": own(event) / total}
            for event in dearest
        ],
        "host_calls": {event.key: event.count for event in averages if event.key in runtime},
    }
