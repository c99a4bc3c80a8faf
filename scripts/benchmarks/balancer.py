"""What a balancer costs beside a plain PyTorch DCGAN: its updates, its decisions, and their share of the GAN's step.

On a CPU the seconds are the process's own, so that other work on the machine does not count.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from agents.balancer import Balancer
from agents.run_folder import provenance
from benchmarks.plain import BareLoop, synchronise
from gan_backbones.files import write_atomically
from gan_env import SUITES
from gan_env.config import check_device

BAR = 0.01
"""Share of a step that a balancer may take."""


@dataclass(frozen=True)
class BalancerBenchOptions:
    """What a balancer costs."""

    policy: str = "recommended"
    """A shipped policy's name, or a file."""
    resolution: int = 64
    """Pixels of a side of the faces, a power of two from 16."""
    batch_size: int = 64
    """Images per step."""
    width: int = 64
    """Channels of the layer next to the image."""
    total_updates: int = 50_000
    """Length of the training that the share is worked out for, with the policy's own number of decisions."""
    steps: int = 5
    """GAN steps timed; the first is warm-up."""
    updates: int = 1000
    """Updates of the balancer timed between two decisions."""
    decisions: int = 10
    """Decisions timed."""
    device: str = "cpu"
    """cpu, cuda or cuda:INDEX."""
    json: Path | None = None
    """File for the record."""


def run(options: BalancerBenchOptions) -> None:
    """Measure, print and record."""
    torch.set_num_threads(1)
    if min(options.batch_size, options.width, options.updates, options.decisions) < 1 or options.steps < 2:
        raise ValueError("--batch-size, --width, --updates and --decisions must be at least 1, --steps at least 2")
    if options.resolution < 16 or options.resolution & (options.resolution - 1):
        raise ValueError(f"--resolution must be a power of two from 16, not {options.resolution}")
    device = check_device(options.device)
    balancer = Balancer.load(options.policy)
    task = replace(
        SUITES["faces"].tasks[0],
        resolution=options.resolution,
        batch_size=options.batch_size,
        backbone_options=(("width", options.width),),
    )
    loop = BareLoop(task, str(device))

    def seconds(work: Callable[[], Any]) -> float:
        clock = time.process_time if device.type == "cpu" else time.perf_counter
        synchronise(options.device)
        start = clock()
        work()
        synchronise(options.device)
        return clock() - start

    step = statistics.median([seconds(loop) for _ in range(options.steps)][1:])
    interval = options.updates + 1
    balancer.attach(
        *loop.optimizers,
        total_updates=interval * (options.decisions + 1),
        decisions=options.decisions + 1,
    )

    def between() -> None:
        for _ in range(options.updates):
            balancer.update(*loop.told)

    updates, decisions = [], []
    for _ in range(options.decisions):
        updates.append(seconds(between) / options.updates)
        decisions.append(seconds(lambda: balancer.update(*loop.told)))
    update, decision = statistics.median(updates), statistics.median(decisions)
    every = options.total_updates / min(options.total_updates, balancer.policy.spec.decisions)
    share = (update + decision / every) / step
    Console().print(
        f"{'pass' if share < BAR else 'FAIL'} a GAN step takes {1e3 * step:.3g} ms, an update of the balancer "
        f"{1e6 * update:.3g} us, a decision {1e3 * decision:.3g} ms: {share:.3%} of the step with a decision every "
        f"{every:g} updates (limit {BAR:.0%}), {(update + decision / 20) / step:.2%} with one every 20",
        highlight=False,
        soft_wrap=True,
    )
    if options.json is not None:
        record = {"benchmark": "balancer", "options": asdict(options) | {"json": str(options.json)}}
        record |= {"step_seconds": step, "update_seconds": updates, "decision_seconds": decisions}
        record |= {"updates_per_decision": every, "share": share} | provenance(options.device)
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())
