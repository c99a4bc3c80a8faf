"""Can the generator make given images at all? It learns to make 16 fixed images from 16 fixed latents: mean squared
error in [-1, 1], Adam, no discriminator.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from gan_backbones import build, initialise
from gan_backbones.data import load_data
from mspg_parts.study import Study, positive, show, spread

BAR = 1e-3
"""The error to get below."""
_EVERY = 20  # updates between two points of the record's curve


@dataclass(frozen=True)
class OverfitOptions:
    """Sixteen images learned by heart."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Of weights, latents and the choice of images."""
    data: str = "faces"
    """Data set."""
    resolution: int = 32
    """Pixels."""
    width: int = 16
    """Channels of the finest maps."""
    latent_size: int = 64
    """Numbers of a latent."""
    images: int = 16
    """Images."""
    learning_rate: float = 2e-3
    """Of Adam."""
    steps: int = 2000
    """Steps of Adam, at most: a fit ends where its error is below 1e-3."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def run(options: OverfitOptions) -> None:
    """Fit, print and record."""
    positive(options, "seeds", "width", "images", "steps")
    jobs = [(options, lite, seed) for lite, seed in itertools.product((True, False), options.seeds)]
    rows = options.study.compute(fit, jobs, "overfit")
    forms = {lite: [row for row in rows if row["lite"] == lite] for lite in (True, False)}
    show(
        f"{options.images} images of {options.data} at {options.resolution} pixels, {len(options.seeds)} seeds",
        ("form", "parameters", "steps until below 1e-3", "1000 x last error"),
        [
            (
                "lite" if lite else "dense",
                str(own[0]["parameters"]),
                ", ".join(str(row["steps_until_below"]) for row in own),
                spread((1e3 * row["error"] for row in own), 3),
            )
            for lite, own in forms.items()
        ],
    )
    options.study.record("overfit", options, rows, bar=BAR)


def fit(options: OverfitOptions, lite: bool, seed: int) -> dict[str, Any]:
    """The last error, the number of steps after which it was below :data:`BAR` (None: never), and the curve."""
    data = load_data(options.data, resolution=options.resolution, progress=False)
    rng = torch.Generator().manual_seed(seed)
    generator = build(
        "mspg", data.sample_shape, latent_size=options.latent_size, width=options.width, lite=lite
    ).generator
    initialise(generator, rng)
    images = data.batch(torch.randperm(len(data), generator=rng)[: options.images])
    latents = torch.randn(options.images, options.latent_size, generator=rng)
    optimizer = torch.optim.Adam(generator.parameters(), options.learning_rate)
    errors = []
    for _ in range(options.steps):
        loss = F.mse_loss(generator(latents), images)
        errors.append(float(loss.detach()))  # after as many steps as there are errors before this one
        if errors[-1] < BAR:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    else:
        with torch.no_grad():
            errors.append(float(F.mse_loss(generator(latents), images)))
    with torch.no_grad():
        in_evaluation = float(F.mse_loss(generator.eval()(latents), images))
    return {
        "lite": lite,
        "seed": seed,
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "error": errors[-1],
        "error_in_evaluation_mode": in_evaluation,
        "steps_until_below": len(errors) - 1 if errors[-1] < BAR else None,
        "curve": [[step, errors[step]] for step in range(0, len(errors), _EVERY)],
    }
