"""What a balancer costs beside a plain PyTorch DCGAN: its updates, its decisions, and their share of the GAN's step.

On a CPU the seconds are the process's own, so that other work on the machine does not count.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from agents.balancer import Balancer
from agents.run_folder import provenance
from benchmarks.plain import ADAM, synchronise
from gan_backbones.files import write_atomically
from gan_env.config import check_device

LATENT_SIZE = 100
BAR = 0.01
"""Share of a step that a balancer may take."""


@dataclass(frozen=True)
class BalancerBenchOptions:
    """What a balancer costs."""

    policy: str = "recommended"
    """A shipped policy's name, or a file."""
    resolution: int = 64
    """Pixels of a side, a power of two from 16."""
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


class Loop:
    """A DCGAN (arXiv 1511.06434) on noise in place of images: what a step computes does not depend on them."""

    def __init__(self, options: BalancerBenchOptions, device: torch.device) -> None:
        torch.manual_seed(0)
        widths = [options.width]
        while options.resolution >> len(widths) > 4:
            widths.append(2 * widths[-1])
        up: list[nn.Module] = [nn.ConvTranspose2d(LATENT_SIZE, widths[-1], 4)]
        down: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for small, large in itertools.pairwise(widths):
            down += [nn.Conv2d(small, large, 4, 2, 1), nn.BatchNorm2d(large), nn.LeakyReLU(0.2)]
        for large, small in zip(widths[::-1], [*widths[-2::-1], 3], strict=True):
            up += [nn.BatchNorm2d(large), nn.ReLU(), nn.ConvTranspose2d(large, small, 4, 2, 1)]
        self.generator = nn.Sequential(*up, nn.Tanh()).to(device)
        self.discriminator = nn.Sequential(*down, nn.Conv2d(widths[-1], 1, 4), nn.Flatten()).to(device)
        self.optimizer_g, self.optimizer_d = ADAM(self.generator.parameters()), ADAM(self.discriminator.parameters())
        self.real = torch.randn(options.batch_size, 3, options.resolution, options.resolution, device=device)

    def step(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One update of both networks; what the balancer is told."""
        fake = self.generator(torch.randn(len(self.real), LATENT_SIZE, 1, 1, device=self.real.device))
        real_logits, fake_logits = self.discriminator(self.real), self.discriminator(fake.detach())
        loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        self.optimizer_d.zero_grad()
        loss_d.backward()
        self.optimizer_d.step()
        loss_g = F.softplus(-self.discriminator(fake)).mean()
        self.optimizer_g.zero_grad()
        loss_g.backward()
        self.optimizer_g.step()
        return loss_g, loss_d, real_logits, fake_logits


def run(options: BalancerBenchOptions) -> None:
    """Measure, print and record."""
    torch.set_num_threads(1)
    if min(options.batch_size, options.width, options.updates, options.decisions) < 1 or options.steps < 2:
        raise ValueError("--batch-size, --width, --updates and --decisions must be at least 1, --steps at least 2")
    if options.resolution < 16 or options.resolution & (options.resolution - 1):
        raise ValueError(f"--resolution must be a power of two from 16, not {options.resolution}")
    device = check_device(options.device)
    balancer = Balancer.load(options.policy)
    loop = Loop(options, device)

    def seconds(work: Callable[[], Any]) -> float:
        clock = time.process_time if device.type == "cpu" else time.perf_counter
        synchronise(options.device)
        start = clock()
        work()
        synchronise(options.device)
        return clock() - start

    step = statistics.median([seconds(loop.step) for _ in range(options.steps)][1:])
    told = tuple(one.detach() for one in loop.step())
    interval = options.updates + 1
    balancer.attach(
        loop.optimizer_g,
        loop.optimizer_d,
        total_updates=interval * (options.decisions + 1),
        decisions=options.decisions + 1,
    )

    def between() -> None:
        for _ in range(options.updates):
            balancer.update(*told)

    updates, decisions = [], []
    for _ in range(options.decisions):
        updates.append(seconds(between) / options.updates)
        decisions.append(seconds(lambda: balancer.update(*told)))
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
