"""Bandits over the latents of a frozen GAN: how fast they pull, and how fast a codebook is scored.

Pulls through the vector environment with deterministic rewards, on one core, and a codebook scored from nothing, on
all cores. Both depend on the networks' sizes alone: an untrained GAN does where none is named. How close bandits come
to the best code is measured by scripts/latent_report.py.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from agents.bandit_training import make_bandit_env, pull
from agents.bandits import BANDITS, make_bandit
from agents.run_folder import provenance
from gan_backbones import GanMeta, build, initialise, save_gan
from gan_backbones.files import write_atomically
from gan_env.frozen_gan import FrozenGan


@dataclass(frozen=True)
class LatentBenchOptions:
    """What pulling costs."""

    gan: Path | None = None
    """Checkpoint of a GAN; by default an untrained one of the sizes below."""
    bandits: tuple[str, ...] = tuple(BANDITS)
    """Who pulls."""
    resolution: int = 64
    """Pixels of the untrained GAN."""
    width: int = 32
    """Its channels next to the image."""
    codes: int = 4096
    """Codes that are scored."""
    pulls: int = 1_000_000
    """Pulls that are timed."""
    pulled_codes: int = 1024
    """Codes among which they choose."""
    batch: int = 256
    """Pulls at once."""
    json: Path | None = None
    """File for the record."""


def run(options: LatentBenchOptions) -> None:
    """Measure, print and record."""
    for name in options.bandits:
        make_bandit(name, 1, 0)  # a wrong name is told before anything is measured
    torch.set_num_threads(1)
    record: dict[str, Any] = {"benchmark": "latent", "options": asdict(options)}
    with tempfile.TemporaryDirectory() as folder:
        path = options.gan or _untrained(options, Path(folder) / "gan.safetensors")
        record["speed"] = _speed(options, path)
    if options.json is not None:
        content = json.dumps(record | provenance("cpu"), indent=1, default=str)
        write_atomically(options.json, (content + "\n").encode())


def _untrained(options: LatentBenchOptions, path: Path) -> Path:
    sizes = {"latent_size": 128, "width": options.width}
    shape = (3, options.resolution, options.resolution)
    pair = build("dcgan", shape, **sizes)
    rng = torch.Generator().manual_seed(0)
    initialise(pair.generator, rng)
    initialise(pair.discriminator, rng)
    save_gan(path, pair.generator, pair.discriminator, GanMeta("dcgan", sizes, shape, 128))
    return path


def _speed(options: LatentBenchOptions, path: Path) -> dict[str, Any]:
    gan = FrozenGan(path, torch.device("cpu"))
    latents = torch.randn(options.codes, gan.latent_size, generator=torch.Generator().manual_seed(0))
    gan.look(latents[:64])
    start = time.perf_counter()
    gan.look(latents)
    scoring = time.perf_counter() - start
    envs = make_bandit_env(options.batch, {"gan": str(path), "codes": options.pulled_codes})
    envs.reset(seed=0)
    envs.step(np.zeros(options.batch, np.int64))  # scores the codebook
    table = Table("what", "seconds", "process seconds", title=f"{options.pulls} pulls, {options.batch} at once")
    pulling = {}
    for name in options.bandits:
        bandit = make_bandit(name, options.pulled_codes, 0)
        start, work = time.perf_counter(), time.process_time()
        pull(envs, bandit, options.pulls, seed=0, points=10)
        pulling[name] = {"seconds": time.perf_counter() - start, "process_seconds": time.process_time() - work}
        table.add_row(name, *(f"{value:.2f}" for value in pulling[name].values()))
    side = gan.meta.sample_shape[-1]
    table.add_row(f"scoring {options.codes} codes at {side} pixels", f"{scoring:.2f}", "")
    Console().print(table)
    return {"scoring_seconds": scoring, "pulling": pulling}
