"""GANs of all qualities - young and old, well tuned, collapsed, diverged - and what slow judges say of them.

The judges' verdicts take minutes per data set and do not depend on the proxy that is compared with them, so they are
computed once and cached.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones.data import DataSet
from gan_backbones.data.cache import cache_folder, load_or_compute
from gan_backbones.metrics import EfficientNetLite0, extract, load_reference, name_number
from gan_backbones.metrics.references import VERSION
from gan_env import Task
from gan_env.quality import cached_data, make_grader

AGES = (50, 150, 500, 1500)
"""Updates after which a GAN is judged; an episode of the suites has 300."""

JUDGE_IMAGES = 1000
"""Images of each checkpoint that EfficientNet-lite0 at 128 pixels looks at."""

Ranges = tuple[tuple[float, float], tuple[float, float]]
_TENSORS = ("images", "finite", "rates", "ages", "tuned")
_VERDICT = "verdict "  # before the names of these tensors in the cache
# log10 of lr_g and lr_d
_ANY, _TUNED = ((-5.0, -1.5), (-5.0, -1.5)), ((-3.5, -2.5), (-3.0, -1.5))
_WILD = ((-1.5, 0.0), (-1.5, 0.0))


@dataclass(frozen=True)
class Checkpoints:
    """m = GANs x ages checkpoints."""

    images: Tensor
    """(m, proxy_samples, C, H, W) uint8, drawn apart from those that were judged; zeros where not finite."""
    finite: Tensor
    """(m,) whether all of its images were finite."""
    rates: Tensor
    """(m, 2): lr_g and lr_d."""
    ages: Tensor
    """(m,) updates."""
    tuned: Tensor
    """(m,) whether the GAN is one of those at rates with which training mostly goes well."""
    verdicts: dict[str, Tensor]
    """(m,) float64 by the metric's full name; lower is better, infinite where not finite. The slowest judge's first."""


def load_checkpoints(task: Task, gans: int, wild: int, seed: int, *, progress: bool = True) -> Checkpoints:
    """The checkpoints of a task's kind of GAN, computed or read from the cache.

    The first half of ``gans`` GANs have rates log-uniform over all that a suite starts from, the others over a smaller
    range in which training mostly goes well: lr_g in [10^-3.5, 10^-2.5], lr_d in [10^-3, 10^-1.5]. ``wild`` ones come
    after them, at rates up to 1, where GANs collapse and diverge.
    """
    data = cached_data(task.data, task.resolution, None, progress)
    halves = [_ANY if row < gans // 2 else _TUNED for row in range(gans)]
    ordinary = _group(task, data, halves, seed, (_ANY, _TUNED), f"{gans}-{seed}", progress)
    if not wild:
        return ordinary
    others = _group(task, data, [_WILD] * wild, seed + 1, (_WILD,), f"wild-{wild}-{seed}", progress)
    return Checkpoints(
        *(torch.cat([getattr(one, name) for one in (ordinary, others)]) for name in _TENSORS),
        {name: torch.cat([values, others.verdicts[name]]) for name, values in ordinary.verdicts.items()},
    )


def _group(
    task: Task, data: DataSet, ranges: list[Ranges], seed: int, told: tuple[Ranges, ...], name: str, progress: bool
) -> Checkpoints:
    """GANs with rates from ``ranges``, one for each."""
    gans = len(ranges)
    network = (task.backbone, task.backbone_options, task.batch_size, task.loss)
    counts = (gans, seed, task.proxy_samples, JUDGE_IMAGES, task.grade_samples)
    recipe = {"version": VERSION, "data": data.fingerprint, "plan": repr((network, counts, AGES, *told))}
    path = cache_folder() / "metrics" / f"checkpoints-{task.data}-{task.resolution}-{name}.safetensors"

    def use(tensors: dict[str, Tensor]) -> Checkpoints:
        verdicts = {name[len(_VERDICT) :]: values for name, values in tensors.items() if name.startswith(_VERDICT)}
        tuned = torch.tensor([one == _TUNED for one in ranges]).repeat(len(AGES))
        images, finite, rates, ages = (tensors[name] for name in ("images", "finite", "rates", "ages"))
        return Checkpoints(images, finite.bool(), rates, ages, tuned, verdicts)

    return load_or_compute(path, recipe, lambda: _compute(task, data, ranges, seed, progress), use)


def _compute(task: Task, data: DataSet, ranges: list[Ranges], seed: int, progress: bool) -> dict[str, Tensor]:
    gans = len(ranges)
    population = GanPopulation(
        lambda: build(task.backbone, data.sample_shape, **dict(task.backbone_options)),
        gans,
        batch_size=task.batch_size,
        loss=task.loss,
    )
    population.reset(range(gans), [ReplicaSetup(1000 * seed + row, data) for row in range(gans)])
    rates = _draw_rates(ranges, Generator().manual_seed(seed))
    judge = EfficientNetLite0(128, batch_size=32)  # a third faster than 128 on a CPU
    reference = load_reference(data, judge, progress=progress)
    grader = make_grader(data, task.grade_samples, torch.device("cpu"), progress=progress)
    shown, finite, by_judge, by_grader, age = [], [], [], [], 0
    for target in AGES:
        population.update({"lr_g": rates[:, 0], "lr_d": rates[:, 1]}, target - age)
        age = target
        judged = population.sample(JUDGE_IMAGES)
        features = extract(judge, _to_bytes(judged).flatten(0, 1), progress=progress, label=f"{task.data}, age {age}")
        distances = torch.stack([reference.distance(row) for row in features.unflatten(0, judged.shape[:2])])
        usable = judged.isfinite().flatten(1).all(1)
        by_judge.append(torch.where(usable, distances, torch.inf))
        by_grader.append(grader.grade(judged[:, : task.grade_samples]))
        fresh = population.sample(task.proxy_samples)
        shown.append(_to_bytes(fresh))
        finite.append(fresh.isfinite().flatten(1).all(1))
    population.close()
    return {
        "images": torch.cat(shown),
        "finite": torch.cat(finite).to(torch.uint8),
        "rates": rates.repeat(len(AGES), 1),
        "ages": torch.tensor(AGES).repeat_interleave(gans),
        _VERDICT + name_number("FD", judge, JUDGE_IMAGES): torch.cat(by_judge),
        _VERDICT + grader.metric: torch.cat(by_grader),
    }


def _draw_rates(ranges: list[Ranges], rng: Generator) -> Tensor:
    """(gans, 2)."""
    low, high = torch.tensor(ranges).unbind(-1)  # (gans, 2) each
    return 10 ** (low + (high - low) * torch.rand(len(ranges), 2, generator=rng))


def _to_bytes(samples: Tensor) -> Tensor:
    """Images as picture files would hold them; not finite ones are black."""
    finite = samples.isfinite().flatten(2).all(2)[..., None, None, None]
    return torch.where(finite, (samples.clamp(-1, 1) * 127.5 + 127.5).round(), 0).to(torch.uint8)
