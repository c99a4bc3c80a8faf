"""Does the quality proxy, of which rewards are made, order GANs as slow judges do?

Rank correlation with the Frechet distance of 1,000 images on EfficientNet-lite0 at 128 pixels, and with the grader of
the tables, over GANs of all qualities; how much of a decision's reward is noise of the proxy's own samples; whether one
perfect image is told from variety; and the proxy's arithmetic beside a decision's. `bench.py env` measures its time.

The judges' verdicts take some ten minutes per data set on two cores and are cached.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Generator, Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from agents.run_folder import provenance
from benchmarks.checkpoints import Checkpoints, load_checkpoints
from benchmarks.plain import BareLoop
from benchmarks.population import flops_per_update
from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones.files import write_atomically
from gan_backbones.metrics import DiagonalReference
from gan_backbones.metrics.damage import damaged
from gan_backbones.metrics.references import real_images
from gan_env import Task, get_suite
from gan_env.quality import Proxy, cached_data, make_proxy
from gan_env.render import image_grid

_COLLAPSED = 0.1  # of the data's spread
_BLUR = 0.4  # strength of `gan_backbones.metrics.damage`: a Gaussian of about one pixel in sixteen
_SHOWN_EVERY, _SHOWN = 4, 12  # of the GANs in order, and images of each, in the picture of the rankings
_LIMITS = {"all": 0.90, "better half": 0.75}


@dataclass(frozen=True)
class ProxyOptions:
    """What the quality proxy is worth."""

    data: str = "faces,digits,glyphs,photos"
    """Data sets, with commas."""
    resolution: int = 16
    """Pixels."""
    gans: int = 16
    """GANs of each data set, each judged at four ages."""
    wild: int = 4
    """Further GANs at rates so high that some collapse or diverge."""
    seed: int = 1000
    """Seed of the GANs. The proxy was developed on others."""
    draws: int = 8
    """Sets of latents by which the noise is measured."""
    json: Path | None = None
    """File for the record."""
    plot: Path | None = None
    """File for a scatter plot."""
    ranking: Path | None = None
    """File for a picture of the GANs from best to worst, by each judge and by the proxy."""
    progress: bool = True
    """Show progress bars."""


def run(options: ProxyOptions) -> None:
    """Measure, print and record."""
    torch.set_num_threads(1)
    if min(options.gans, options.draws) < 2 or options.wild < 0:
        raise ValueError(
            f"--gans and --draws must be at least 2 and --wild 0, not {options.gans}, {options.draws}, {options.wild}"
        )
    faces = get_suite("faces").tasks[0]
    tasks = {name: replace(faces, data=name, resolution=options.resolution) for name in options.data.split(",")}
    record = {name: examine(task, options) for name, task in tasks.items()}
    Console().print(agreement_table(record))
    Console().print(reward_table(record))
    if options.json is not None:
        content = {"data": record, "limits": _LIMITS, "made": provenance("cpu")}
        write_atomically(options.json, (json.dumps(content, indent=1) + "\n").encode())
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        draw(record).savefig(options.plot, dpi=90)
    if options.ranking is not None:
        options.ranking.parent.mkdir(parents=True, exist_ok=True)
        draw_ranking(record, tasks, options).savefig(options.ranking, dpi=60)


def examine(task: Task, options: ProxyOptions) -> dict[str, Any]:
    """Everything on one data set."""
    checkpoints = load_checkpoints(task, options.gans, options.wild, options.seed, progress=options.progress)
    data = cached_data(task.data, task.resolution, None, options.progress)
    proxy = make_proxy(data, task.proxy_samples, torch.device("cpu"), progress=options.progress)
    distance, spread = measured(proxy, checkpoints)
    reference = DiagonalReference.fit(real_images(data).flatten(1) / 127.5 - 1)
    pixels = reference.distance(checkpoints.images.flatten(2) / 127.5 - 1)[0]
    pixels = torch.where(checkpoints.finite, pixels, torch.inf)
    return {
        "proxy": proxy.name,
        "checkpoints": len(distance),
        "not finite": int((~checkpoints.finite).sum()),
        "collapsed": int((checkpoints.finite & (spread < _COLLAPSED)).sum()),
        "spearman": {name: agreement(distance, verdict) for name, verdict in checkpoints.verdicts.items()},
        "spearman of pixels": {name: agreement(pixels, verdict) for name, verdict in checkpoints.verdicts.items()},
        "spearman of the judges": agreement(*reversed(checkpoints.verdicts.values())),
        "spearman with age": {name: of_age(checkpoints, verdict) for name, verdict in checkpoints.verdicts.items()},
        "noise": reward_noise(task, proxy, options),
        "one image worse than a blurry crowd": one_image_worse(real_images(data, 1024), proxy, task.proxy_samples),
        "flops share": flops_share(task, proxy),
        "rows": {
            name: [value if value < math.inf else None for value in column.tolist()]
            for name, column in {
                "lr_g": checkpoints.rates[:, 0],
                "lr_d": checkpoints.rates[:, 1],
                "updates": checkpoints.ages,
                "proxy": distance,
                "spread": spread,
                **checkpoints.verdicts,
            }.items()
        },
    }


def measured(proxy: Proxy, checkpoints: Checkpoints) -> tuple[Tensor, Tensor]:
    """``(m,)`` each: the proxy's distance, infinite for images that are not finite, and the spread."""
    images = checkpoints.images / 127.5 - 1
    distance, spread = torch.cat([proxy.measure(row[None]) for row in images]).unbind(-1)
    return torch.where(checkpoints.finite, distance, torch.inf), spread


def agreement(distance: Tensor, verdict: Tensor) -> dict[str, float]:
    """Spearman's rank correlation over all checkpoints, and over the half that the judge prefers."""
    better = verdict <= verdict.median()
    return {
        "all": float(spearmanr(distance, verdict).statistic),
        "better half": float(spearmanr(distance[better], verdict[better]).statistic),
    }


def of_age(checkpoints: Checkpoints, verdict: Tensor) -> float:
    """Rank correlation of a verdict with the updates made, over GANs at rates with which training mostly goes well.

    A judge that sees what training achieves is far below zero.
    """
    return float(spearmanr(checkpoints.ages[checkpoints.tuned], verdict[checkpoints.tuned]).statistic)


def reward_noise(task: Task, proxy: Proxy, options: ProxyOptions) -> dict[str, float]:
    """How much a decision's fall in log proxy varies with the latents, which are fixed within an episode.

    Over episodes of GANs left alone at random rates: the mean fall per decision, the mean size of a decision's change,
    both averaged over the draws of latents, and the standard deviation over the draws; with latents that are fixed,
    and were they drawn anew at each decision.
    """
    data = cached_data(task.data, task.resolution, None, options.progress)
    population = GanPopulation(
        lambda: build(task.backbone, data.sample_shape, **dict(task.backbone_options)),
        options.gans,
        batch_size=task.batch_size,
        loss=task.loss,
    )
    seeds = range(1000 * options.seed + 500, 1000 * options.seed + 500 + options.gans)
    population.reset(range(options.gans), [ReplicaSetup(seed, data) for seed in seeds])
    rng = Generator().manual_seed(options.seed)
    low, high = torch.tensor(task.start_ranges).log().unbind(1)  # (2,) each: of lr_g and lr_d
    rates = (low + (high - low) * torch.rand(options.gans, 2, generator=rng)).exp().T
    knobs = dict(zip(("lr_g", "lr_d"), rates, strict=True))
    latents = population.draw_latents(options.draws * task.proxy_samples)

    def look(samples: Tensor, rows: range) -> Tensor:
        draws = samples.unflatten(1, (options.draws, task.proxy_samples))
        return proxy.measure(draws.flatten(0, 1))[:, 0].unflatten(0, draws.shape[:2])  # (n, draws)

    trace = [population.evaluate(look, latents)]
    decisions = range(task.decisions)
    for _ in tqdm(decisions, desc=f"{task.data}: noise", disable=None if options.progress else True, leave=False):
        population.update(knobs, task.updates_per_step)
        trace.append(population.evaluate(look, latents))
    population.close()
    logs = torch.stack(trace).clamp(max=task.worst_proxy).log()  # (decisions + 1, gans, draws)
    falls = -logs.diff(dim=0)
    size = float(falls.mean(-1).abs().mean())
    fixed, anew = (float(values.var(-1).mean().sqrt()) for values in (falls, logs))
    return {
        "mean fall": float(falls.mean()),
        "mean size": size,
        "noise": fixed,
        "noise, latents anew": anew * 2**0.5,
        "ratio": fixed / size,
    }


def one_image_worse(samples: Tensor, proxy: Proxy, count: int) -> float:
    """Share of 64 real images that, repeated, score worse than ``count`` blurred ones; ``samples`` are bytes."""
    real = samples / 127.5 - 1
    crowd = damaged(real[-count:], "blur", _BLUR, Generator().manual_seed(0))
    limit = proxy.measure(crowd[None])[0, 0]
    distances = torch.cat([proxy.measure(image.expand(1, count, *image.shape))[:, 0] for image in real[:64]])
    return float((distances > limit).double().mean())


def flops_share(task: Task, proxy: Proxy) -> float:
    """Floating-point operations of one look of the proxy, its samples made, over those of a decision's updates.

    Matrix products and convolutions alone are counted.
    """
    loop = BareLoop(task)
    latents = torch.zeros(task.proxy_samples, loop.pair.latent_size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        proxy.measure(loop.generator.eval()(latents)[None])
    return counter.get_total_flops() / (task.updates_per_step * flops_per_update(task))


def agreement_table(record: dict[str, Any]) -> Table:
    """Rank correlations, a line for each data set and judge."""
    table = Table("data", "checkpoints", "judge", *_LIMITS, title="Spearman's rank correlation of proxy and judge")
    for name, one in record.items():
        kinds = f"{one['checkpoints']} ({one['collapsed']} collapsed, {one['not finite']} not finite)"
        for judge, found in one["spearman"].items():
            table.add_row(name, kinds, judge, *(f"{found[part]:.3f}" for part in _LIMITS))
    return table


def reward_table(record: dict[str, Any]) -> Table:
    """What the reward is made of."""
    columns = ("mean fall", "mean size", "noise", "noise, latents anew", "ratio")
    table = Table("data", *columns, "one image worse", "FLOPs", title="Log proxy per decision; its cost")
    for name, one in record.items():
        numbers = (f"{one['noise'][column]:.3f}" for column in columns)
        one_image = f"{100 * one['one image worse than a blurry crowd']:.0f} %"
        table.add_row(name, *numbers, one_image, f"{100 * one['flops share']:.1f} %")
    return table


def draw(record: dict[str, Any]) -> Figure:
    """The proxy against each judge, a column for each data set, coloured by age."""
    judges = list(next(iter(record.values()))["spearman"])
    figure = Figure(figsize=(3.2 * len(record), 3 * len(judges)), layout="constrained")
    axes = figure.subplots(len(judges), len(record), squeeze=False)
    for column, (name, one) in enumerate(record.items()):
        for line, judge in enumerate(judges):
            axis, found = axes[line, column], one["spearman"][judge]
            for age in sorted(set(one["rows"]["updates"])):
                own = [place for place, updates in enumerate(one["rows"]["updates"]) if updates == age]
                x, y = ([one["rows"][what][place] or math.nan for place in own] for what in (judge, "proxy"))
                axis.loglog(x, y, "o", markersize=3, alpha=0.7, label=f"{age} updates")
            axis.set_title(f"{name}: {found['all']:.2f}, better half {found['better half']:.2f}", fontsize=9)
            axis.set_xlabel(judge, fontsize=8)
            axis.set_ylabel("proxy", fontsize=8)
            axis.tick_params(which="both", labelsize=7)
    axes[0, 0].legend(fontsize=7)
    return figure


def draw_ranking(record: dict[str, Any], tasks: Mapping[str, Task], options: ProxyOptions) -> Figure:
    """Samples of every fourth GAN in the order of each judge and of the proxy; a row for each data set."""
    orders = [*next(iter(record.values()))["spearman"], "proxy"]
    figure = Figure(figsize=(3.6 * len(orders), 4.2 * len(record)), layout="constrained")
    axes = figure.subplots(len(record), len(orders), squeeze=False)
    for line, (name, one) in enumerate(record.items()):
        images = load_checkpoints(
            tasks[name], options.gans, options.wild, options.seed, progress=options.progress
        ).images
        for axis, order in zip(axes[line], orders, strict=True):
            values = torch.tensor([math.inf if value is None else value for value in one["rows"][order]])
            chosen = images[values.argsort()[::_SHOWN_EVERY], :_SHOWN] / 127.5 - 1
            axis.imshow(image_grid(chosen.flatten(0, 1), _SHOWN), interpolation="nearest")
            axis.set_title(f"{name}: {order}", fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[line, 0].set_ylabel("best above, worst below")
    return figure
