"""DEMA in its lite and its dense form against self-attention of the same width: FLOPs counted, time measured.

The rival is torch's fused ``scaled_dot_product_attention`` between four projections, one head, which is its fastest.
The contenders take turns on one thread; times are medians over the turns, forward alone and with the backward pass.
FLOPs are those of the forward pass: torch's counter for DEMA, for attention the formula 8 P C^2 + 4 P^2 C of P pixels
and C channels.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from agents.run_folder import provenance
from benchmarks.plain import synchronise
from gan_backbones import initialise
from gan_backbones.files import write_atomically
from gan_backbones.layers import Dema
from gan_env.config import check_device

RIVAL = "self-attention"


@dataclass(frozen=True)
class AttentionOptions:
    """What dynamic embedded attention costs."""

    channels: int = 64
    """Width of every contender."""
    resolutions: tuple[int, ...] = (32, 64, 128)
    """Pixels along a side."""
    batch_size: int = 1
    """Images at a time."""
    turns: int = 9
    """Turns."""
    device: str = "cpu"
    """Where they are computed: cpu, cuda or cuda:INDEX."""
    json: Path | None = None
    """File for the record."""


class SelfAttention(nn.Module):
    """``(batch, pixels, C)`` to the same: projections to queries, keys and values, fused attention, one more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (part.unsqueeze(1) for part in self.inward(x).chunk(3, dim=-1))
        out: Tensor = self.outward(F.scaled_dot_product_attention(queries, keys, values).squeeze(1))
        return out


def contenders(channels: int, pixels: int, batch: int) -> dict[str, tuple[nn.Module, Tensor, int]]:
    """Module, input and FLOPs of each; images with the channels last in memory, as everywhere here."""
    rng = torch.Generator().manual_seed(0)
    tokens = torch.randn(batch, pixels**2, channels, generator=rng)
    images = tokens.unflatten(1, (pixels, pixels)).movedim(-1, 1)
    found: dict[str, tuple[nn.Module, Tensor, int]] = {}
    for name, lite in (("DEMA lite", True), ("DEMA dense", False)):
        layer = Dema(channels, 2 * channels, lite=lite)
        initialise(layer, rng)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            layer(images)
        found[name] = (layer, images, counter.get_total_flops())
    flops = batch * (8 * pixels**2 * channels**2 + 4 * pixels**4 * channels)
    return found | {RIVAL: (SelfAttention(channels), tokens, flops)}


def _forward(module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        module(x)


def _backward(module: nn.Module, x: Tensor) -> None:
    outputs = module(x)
    out = outputs[0] if isinstance(outputs, tuple) else outputs
    torch.autograd.grad(out.sum(), list(module.parameters()), allow_unused=True)


def _seconds(work: Callable[[nn.Module, Tensor], None], module: nn.Module, x: Tensor) -> float:
    device = str(x.device)
    synchronise(device)
    start = time.perf_counter()
    work(module, x)
    synchronise(device)
    return time.perf_counter() - start


def run(options: AttentionOptions) -> None:
    """Measure, print and record."""
    if min(options.channels, options.batch_size, options.turns, *options.resolutions) < 1:
        raise ValueError("channels, resolutions, batch size and turns are 1 or more")
    device = check_device(options.device)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for pixels in options.resolutions:
        entries = {
            name: (module.to(device), x.to(device), flops)
            for name, (module, x, flops) in contenders(options.channels, pixels, options.batch_size).items()
        }
        times: dict[tuple[str, str], list[float]] = {}
        for turn in range(options.turns + 1):
            for name in list(entries) if turn % 2 == 0 else list(entries)[::-1]:
                module, x, _ = entries[name]
                for what, work in (("forward", _forward), ("training", _backward)):
                    seconds = _seconds(work, module, x)
                    if turn:  # the first turn warms up
                        times.setdefault((name, what), []).append(seconds)
        for name, (_, _, flops) in entries.items():
            row = {"pixels": pixels, "contender": name, "flops": flops, "flops_share": flops / entries[RIVAL][2]}
            for what in ("forward", "training"):
                own = statistics.median(times[name, what])
                share = own / statistics.median(times[RIVAL, what])
                row |= {f"{what}_seconds": own, f"{what}_share": share, f"{what}_turns": times[name, what]}
            rows.append(row)
    Console().print(_table(rows, options))
    if options.json is not None:
        record = {"benchmark": "attention", "channels": options.channels, "batch_size": options.batch_size}
        record |= {"threads": 1, "rows": rows} | provenance(options.device)
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())


def _table(rows: list[dict[str, Any]], options: AttentionOptions) -> Table:
    table = Table(title=f"{options.channels} channels, batch {options.batch_size}; shares are of self-attention's")
    columns = ("pixels", "contender", "MFLOP", "share", "forward ms", "share", "training ms", "share")
    for column in columns:
        table.add_column(column, justify="left" if column == "contender" else "right", no_wrap=True)
    for one in rows:
        table.add_row(
            str(one["pixels"]),
            one["contender"],
            f"{one['flops'] / 1e6:.0f}",
            f"{100 * one['flops_share']:.1f} %",
            f"{1e3 * one['forward_seconds']:.1f}",
            f"{100 * one['forward_share']:.0f} %",
            f"{1e3 * one['training_seconds']:.1f}",
            f"{100 * one['training_share']:.0f} %",
        )
    return table
