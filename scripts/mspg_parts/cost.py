"""What training and sampling cost: seconds per update, peak memory, latency.

All contenders live in one process of one thread and take turns, so that a machine whose speed drifts is fair to all.
Those with the same networks and terms are timed once, and share what comes out. The seconds are the process's own, so
that other work on the machine counts less; ratios are medians over the turns of ratios within a turn, and their spread
is told. Peak memory is what a fresh process gains by three updates.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from agents.growth import Growth
from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones.data import load_data
from mspg_parts.recipes import PARTS, RIVALS
from mspg_parts.runs import Budget, Recipe
from mspg_parts.study import Study, positive, show

_SAMPLED = ("dcgan", "mspg", "mspg lite")
"""Whose memory and latency are measured, too."""
_COUNTS = (1, 64)
"""Images of a latency."""


@dataclass(frozen=True)
class CostOptions:
    """Seconds per update of a GAN, peak memory and latency."""

    contenders: tuple[str, ...] = (*RIVALS, *PARTS)
    """Whose updates are timed; the others are compared with the first."""
    width: int = 16
    """Channels of the finest maps."""
    size: int = 1
    """GANs that each contender trains at once."""
    turns: int = 9
    """Turns."""
    updates: int = 10
    """GAN updates of a turn."""
    budget: Budget = field(default_factory=Budget)
    """Data; the number of updates does not matter here."""
    record: str = "cost"
    """Name of the record; equal-time reads the one of this name."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def run(options: CostOptions) -> None:
    """Measure, print and record."""
    positive(options, "contenders", "width", "size", "turns", "updates")
    table = {name: sized(recipe, options.width) for name, recipe in {**RIVALS, **PARTS}.items()}
    unknown = [name for name in options.contenders if name not in table]
    if unknown:
        raise ValueError(f"unknown contender {unknown[0]!r}; known: {', '.join(table)}")
    torch.set_num_threads(1)
    scales = scale_count(options.budget.resolution)
    contenders: dict[str, Recipe] = {}
    for name in options.contenders:
        contenders |= forms(name, table[name], scales)
    same = timed_as(contenders)
    populations = {name: make(contenders[name], options.budget, options.size) for name in dict.fromkeys(same.values())}
    works: dict[str, Callable[[], object]] = {}
    for name, population in populations.items():
        values = {"lr_g": 1e-3, "lr_d": 1e-3, **contenders[name].constants}
        knobs = {knob: torch.full((options.size,), values[knob]) for knob in population.knob_names}
        works[name] = lambda population=population, knobs=knobs: population.update(knobs, options.updates)
    updates = options.updates * options.size
    seconds = {name: [one / updates for one in own] for name, own in take_turns(works, options.turns).items()}
    sampled = [name for name in _SAMPLED if name in contenders]
    latencies = take_turns(
        {
            f"{name} x {count}": lambda population=populations[same[name]], count=count: population.sample(count)
            for name in sampled
            for count in _COUNTS
        },
        options.turns,
    )
    memory = {name: peak(table[name], options) for name in tqdm(sampled, "memory", disable=None)}
    first = seconds[next(iter(seconds))]
    rows = []
    for name, timed in same.items():
        own = ratios(seconds[timed], first)
        rows.append(
            {
                "name": name,
                "timed_as": timed,
                "seconds_per_update": statistics.median(seconds[timed]),
                "of_first": statistics.median(own),
                "of_first_range": [min(own), max(own)],
                "turns": seconds[timed],
                "planned_bytes": populations[timed].memory.total(options.size),
                "peak_bytes": memory.get(name),
                "latency_seconds": {
                    str(count): statistics.median(latencies[f"{name} x {count}"]) for count in _COUNTS if name in memory
                },
            }
        )
    show(
        f"width {options.width}, {options.budget.resolution} pixels, {options.size} at once, one thread, by the GAN",
        ("", "ms an update", "of the first", "peak MB", *(f"ms for {count} images" for count in _COUNTS)),
        [
            (
                row["name"],
                f"{1e3 * row['seconds_per_update']:.1f}",
                "{:.2f} ({:.2f}..{:.2f})".format(row["of_first"], *row["of_first_range"]),
                "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.0f}",
                *(f"{1e3 * value:.1f}" for value in row["latency_seconds"].values()),
            )
            for row in rows
        ],
    )
    options.study.record(options.record, options, rows)


def sized(recipe: Recipe, width: int) -> Recipe:
    """The recipe with networks of another width."""
    return replace(recipe, options={**recipe.options, "width": width})


def forms(name: str, recipe: Recipe, scales: int) -> dict[str, Recipe]:
    """What has to be timed for a recipe, by name: its networks and terms, at each number of ``scales`` where it grows.

    At all scales a GAN that grows is one that does not.
    """
    whole = Recipe(recipe.backbone, recipe.options, recipe.constants)
    if not recipe.grow:
        return {name: whole}
    constants = {**recipe.constants, "stage": 1.0}
    coarser = {
        at_scales(name, shown): Recipe(recipe.backbone, {**recipe.options, "scales": shown}, constants)
        for shown in range(1, scales)
    }
    return coarser | {at_scales(name, scales): whole}


def timed_as(contenders: Mapping[str, Recipe]) -> dict[str, str]:
    """Whose time each contender has: that of the first with the same recipe."""
    return {
        name: next(other for other, theirs in contenders.items() if theirs == recipe)
        for name, recipe in contenders.items()
    }


def at_scales(name: str, scales: int) -> str:
    """What a growing GAN is called while it computes so many scales."""
    return f"{name}: {scales} scale{'s' * (scales > 1)}"


def mean_cost(name: str, recipe: Recipe, costs: Mapping[str, float], scales: int, decisions: int = 1000) -> float:
    """What an update costs on average over a training of so many decisions, by the costs of its :func:`forms`."""
    if not recipe.grow:
        return costs[name]
    growth = Growth(scales, recipe.grow)
    return statistics.fmean(costs[at_scales(name, growth.computed(one / decisions))] for one in range(decisions))


def ratios(ours: list[float], first: list[float]) -> list[float]:
    """Ratio within each turn."""
    return [a / b for a, b in zip(ours, first, strict=True)]


def make(recipe: Recipe, budget: Budget, size: int) -> GanPopulation:
    """A population of ``size`` GANs."""
    data = load_data(budget.data, resolution=budget.resolution, progress=False)
    population = GanPopulation(
        lambda: build(recipe.backbone, data.sample_shape, **recipe.options),
        size,
        batch_size=budget.batch_size,
        knobs=tuple(recipe.constants),
        workers=1,
    )
    population.reset(range(size), [ReplicaSetup(seed, data) for seed in range(size)])
    return population


def take_turns(works: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of this process that each of some works takes, turn by turn; every other turn goes backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in tqdm(range(turns + 1), "turns", disable=None):
        for name in list(works) if turn % 2 == 0 else list(works)[::-1]:
            start = time.process_time()
            works[name]()
            if turn:  # the first turn warms up
                seconds[name].append(time.process_time() - start)
    return seconds


def peak(recipe: Recipe, options: CostOptions) -> int:
    """Bytes that a fresh process gains by making the population and three updates."""
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        return pool.submit(_peak, recipe, options.budget, options.size).result()


def _peak(recipe: Recipe, budget: Budget, size: int) -> int:
    load_data(budget.data, resolution=budget.resolution, progress=False)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    population = make(recipe, budget, size)
    population.update({name: torch.full((size,), 1e-3) for name in population.knob_names}, 3)
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Bytes of memory that this process holds now, ``VmRSS``, or has held at most, ``VmHWM``.

    Not ``getrusage``: there a new process begins with what its parent held.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def scale_count(resolution: int) -> int:
    """Scales of mspg: 8 pixels and each doubling."""
    return resolution.bit_length() - 3
