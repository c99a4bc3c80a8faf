"""What sampling code maps costs: with and without the key/value cache, and a quarter of the map against all of it.

The contenders take turns, in which the quarter moves over the map, tile by tile; a ratio is that of the means over the
turns. A quarter near the end costs more than one at the beginning: more of the map has to be read before it. On a CPU
the seconds are the process's own, so that other work on the machine does not count.

Whether the cache changes what is drawn is tried in double precision: in single precision its other order of summation
may tip a choice that hangs by a rounding error, and everything after it; how many maps that meets is told, too.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from agents.ral import Windows
from agents.run_folder import provenance
from benchmarks.plain import synchronise
from gan_backbones.files import write_atomically
from gan_backbones.prior import CodePrior, PriorOptions
from gan_env.config import check_device


@dataclass(frozen=True)
class RalBenchOptions:
    """What the cache and partial generation gain."""

    side: int = 16
    """Codes of a side of the map."""
    codes: int = 64
    """Values of a code."""
    batch_size: int = 32
    """Maps sampled at once."""
    prior: PriorOptions = field(default_factory=lambda: PriorOptions(channels=64, layers=3, heads=4))
    """Sizes of the transformer."""
    turns: int = 4
    """Turns; four pass over the map once."""
    device: str = "cpu"
    """cpu, cuda or cuda:INDEX."""
    json: Path | None = None
    """File for the record."""


def run(options: RalBenchOptions) -> None:
    """Measure, print and record."""
    torch.set_num_threads(1)
    if min(options.side, options.codes, options.batch_size, options.turns) < 1:
        raise ValueError("--side, --codes, --batch-size and --turns must be at least 1")
    device = check_device(options.device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    draws = torch.Generator().manual_seed(0)
    prior = CodePrior(options.codes, options.side**2, options.prior, draws)
    with torch.no_grad():
        prior.head.weight.normal_(0, 0.3, generator=draws)
    prior.to(device)
    given = prior.sample(options.batch_size, draws)
    shape = ((options.side, options.side),)
    quarters = {
        "quarter of the map, some rows": Windows(0.25, 1, "raster"),
        "quarter of the map, a square": Windows(0.5, 0.5, "raster"),
    }

    def seconds(windows: Windows, turn: int, *, cached: bool = True) -> tuple[float, torch.Tensor]:
        free = windows.free(shape, turn, torch.Generator().manual_seed(turn))
        generator = torch.Generator().manual_seed(turn)
        synchronise(options.device)
        start = clock()
        drawn = prior.sample(options.batch_size, generator, given=given, free=free, cached=cached)
        synchronise(options.device)
        return clock() - start, drawn

    times: dict[str, list[float]] = {"cached": [], "uncached": []} | {name: [] for name in quarters}
    tipped = 0
    seconds(Windows(), 0)
    for turn in tqdm(range(options.turns), desc="ral", disable=None):
        spent, drawn = seconds(Windows(), turn)
        times["cached"].append(spent)
        for name, windows in quarters.items():
            times[name].append(seconds(windows, turn)[0])
        spent, slowly = seconds(Windows(), turn, cached=False)
        times["uncached"].append(spent)
        tipped += int((drawn != slowly).any(1).sum())
    prior.double()
    equal = torch.equal(seconds(Windows(), 0)[1], seconds(Windows(), 0, cached=False)[1])

    table = Table(
        title=f"{options.batch_size} maps of {options.side}x{options.side} codes, mean of {options.turns} turns"
    )
    for column in ("contender", "seconds", "cached, whole map = 1"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    means = {name: statistics.mean(values) for name, values in times.items()}
    ratios = {name: mean / means["cached"] for name, mean in means.items()}
    for name, mean in means.items():
        table.add_row(name, f"{mean:.3f}", f"{ratios[name]:.3g}")
    console = Console()
    console.print(table)
    console.print(
        f"cached is {ratios['uncached']:.1f} times faster; in double precision "
        + ("every code is the same" if equal else "some codes differ")
        + f", in single precision {tipped} of {options.turns * options.batch_size} maps differ; "
        "a quarter is faster than the whole map "
        + " and ".join(f"{1 / ratios[name]:.2f}" for name in quarters)
        + " times",
        highlight=False,
    )
    if options.json is not None:
        record = {"benchmark": "ral", "options": asdict(options) | {"json": str(options.json)}, "seconds": times}
        record |= {"cached_speed_up": ratios["uncached"], "same_codes_in_double": equal}
        record |= {"maps_tipped_in_single": tipped, "maps": options.turns * options.batch_size}
        record |= {"quarter_speed_up": {name: 1 / ratios[name] for name in quarters}} | provenance(options.device)
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())
