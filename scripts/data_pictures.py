"""Train one GAN on each data set and draw its samples beside the data: one picture for the documentation.

Example: python scripts/data_pictures.py --output docs/images/data.png
"""

from __future__ import annotations

import functools
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro
from matplotlib.figure import Figure
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from agents.cli import fail_in_one_line
from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones.data import DataSet, load_data
from gan_backbones.threads import available_cores
from gan_env.render import image_grid, scatter

ROWS, COLUMNS = 4, 6
_BETAS = (0.0, 0.99)
_POINTS_RATES = {"lr_g": 1e-3, "lr_d": 2e-3}
_STEPS = 20  # updates between two changes of the rates
_PATIENCE = {"glyphs": 3}  # times the updates: letters become legible long after everything else


@dataclass(frozen=True)
class Options:
    """Options of data_pictures.py."""

    data: tuple[str, ...] = ("ring", "digits", "faces", "glyphs", "photos")
    """Data sets, from left to right."""
    resolution: int = 16
    """Pixels of images."""
    width: int = 32
    """Channels next to the image."""
    updates: int = 6000
    """GAN updates of each; letters take three times as many."""
    batch_size: int = 64
    """Images per update; points come by 256."""
    loss: str = "hinge"
    """Adversarial loss of the images' GANs."""
    lr_g: float = 3e-4
    """Generator's rate at the start, of images; both fall to a tenth along a cosine."""
    lr_d: float = 2e-3
    """Discriminator's rate at the start. Spectral norm holds it back: at lower rates letters stay illegible."""
    ema_halflife: float = 300.0
    """Updates after which weights count half in the average that draws the images; points are the last weights'."""
    seed: int = 0
    """Seed of the GANs."""
    output: Path = Path("data.png")
    """Picture to write."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    sets = [
        load_data(name, resolution=None if name in ("ring", "grid") else options.resolution) for name in options.data
    ]
    figure = Figure(figsize=(2.4 * len(sets), 5.0), layout="constrained")
    axes = figure.subplots(2, len(sets), squeeze=False)
    # The longest first, so that no core waits at the end.
    order = sorted(range(len(sets)), key=lambda index: (updates_of(sets[index], options), sets[index].is_image))[::-1]
    with ProcessPoolExecutor(available_cores(), get_context("spawn"), torch.set_num_threads, (1,)) as executor:
        jobs = {index: executor.submit(train, sets[index], options, line) for line, index in enumerate(order)}
        results = [jobs[index].result() for index in range(len(sets))]
    for column, (data, generated) in enumerate(zip(sets, results, strict=True)):
        real = data.batch(torch.randperm(len(data), generator=torch.Generator().manual_seed(1))[: len(generated)])
        for row, samples in enumerate((real, generated)):
            picture = image_grid(samples, COLUMNS) if data.is_image else scatter(samples, data.samples[:2000])
            axes[row, column].imshow(picture, interpolation="nearest")
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
        axes[0, column].set_title(data.name)
        axes[1, column].set_xlabel(f"after {updates_of(data, options)} updates")
    axes[0, 0].set_ylabel("data")
    axes[1, 0].set_ylabel("generated")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=80)
    print(f"wrote {options.output}")


def updates_of(data: DataSet, options: Options) -> int:
    """GAN updates that a data set's GAN is trained for."""
    return options.updates * _PATIENCE.get(data.name, 1)


def train(data: DataSet, options: Options, position: int) -> torch.Tensor:
    """Samples ``(count, *sample_shape)`` of a GAN after its training; its progress bar is the one at ``position``."""
    if data.is_image:
        name, sizes, batch_size, loss = "dcgan", (64, options.width), options.batch_size, options.loss
        rates = {"lr_g": options.lr_g, "lr_d": options.lr_d}
    else:
        name, sizes, batch_size, loss, rates = "mlp", (8, 128), 256, "nonsaturating", _POINTS_RATES
    pair = functools.partial(build, name, data.sample_shape, latent_size=sizes[0], width=sizes[1])
    population = GanPopulation(pair, 1, batch_size=batch_size, loss=loss)
    population.reset([0], [ReplicaSetup(options.seed, data, _BETAS)])
    generator, _ = population.networks(0)
    updates = updates_of(data, options)
    decay = 0.5 ** (_STEPS / options.ema_halflife)
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=False)
    for done in tqdm(range(0, updates, _STEPS), desc=data.name, disable=None, position=position):
        share = 0.1 + 0.9 * (1 + torch.cos(torch.tensor([torch.pi * done / updates]))) / 2
        population.update({name: rate * share for name, rate in rates.items()}, _STEPS)
        average.update_parameters(generator)
    if data.is_image:
        latents = torch.randn(ROWS * COLUMNS, sizes[0], generator=torch.Generator().manual_seed(options.seed))
        with torch.no_grad():
            samples: torch.Tensor = average.module.eval()(latents)
    else:
        samples = population.sample(2000)[0]
    population.close()
    return samples


if __name__ == "__main__":
    fail_in_one_line(main)
