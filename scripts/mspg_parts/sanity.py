"""No NaN in 2,000 updates at default knobs, on all data sets of images, in both forms.

``ring`` and ``grid`` are points, which mspg does not make. That every parameter receives a gradient and that every
switch changes the output is held by the tests of the backbone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import torch

from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones.data import DATA_SETS, load_data
from gan_backbones.layers import dead_branches
from gan_env.knobs import KNOBS
from mspg_parts.study import Study, positive, show

_STEPS = 50  # updates between two looks
_KNOBS = ("fm_weight", "contrastive_weight", "aux_weight", "stage")


def image_sets() -> tuple[str, ...]:
    """Names of all registered data sets of images."""
    return tuple(source.name for source in DATA_SETS.values() if source.resolutions is not None)


@dataclass(frozen=True)
class SanityOptions:
    """Long runs at default knobs, on every data set of images."""

    data: tuple[str, ...] = field(default_factory=image_sets)
    """Data sets."""
    resolution: int = 16
    """Pixels."""
    width: int = 4
    """Channels of the finest maps."""
    seeds: tuple[int, ...] = (0,)
    """Of weights, latents and batches."""
    updates: int = 2000
    """GAN updates."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def run(options: SanityOptions) -> None:
    """Train, print and record."""
    positive(options, "data", "seeds", "width", "updates")
    jobs = [(options, name, lite) for name, lite in itertools.product(options.data, (False, True))]
    rows = options.study.compute(train, jobs, "sanity")
    show(
        f"{options.updates} updates at default knobs, {len(options.seeds)} seeds",
        ("data", "form", "not finite", "dead branches"),
        [
            (row["data"], "lite" if row["lite"] else "dense", str(row["not_finite"]), str(len(row["dead_branches"])))
            for row in rows
        ],
    )
    options.study.record("sanity", options, rows)


def train(options: SanityOptions, name: str, lite: bool) -> dict[str, Any]:
    """GANs of one form on one data set; how many of them held something that is not finite at any look."""
    data = load_data(name, resolution=options.resolution, progress=False)
    count = len(options.seeds)
    population = GanPopulation(
        lambda: build("mspg", data.sample_shape, latent_size=32, width=options.width, lite=lite),
        count,
        batch_size=16,
        knobs=_KNOBS,
        workers=1,
    )
    population.reset(range(count), [ReplicaSetup(seed, data) for seed in options.seeds])
    knobs = {knob: torch.full((count,), KNOBS[knob].default) for knob in population.knob_names}
    lost = torch.zeros(count, dtype=torch.bool)
    for done in range(0, options.updates, _STEPS):
        stats = population.update(knobs, min(_STEPS, options.updates - done))
        lost |= stats.diverged | ~population.sample(16).flatten(1).isfinite().all(1)
    dead = [line for row in range(count) for line in dead_branches(population.networks(row)[0])]
    population.close()
    accuracies = [stats.real_accuracy.tolist(), stats.fake_accuracy.tolist()]
    return {
        "data": name,
        "lite": lite,
        "not_finite": int(lost.sum()),
        "dead_branches": dead,
        "last_accuracies": accuracies,
    }
