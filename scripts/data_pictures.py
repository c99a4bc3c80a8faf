"""Train one GAN on each data set and draw its samples beside the data: one picture for the documentation.

Example: python scripts/data_pictures.py --output docs/images/data.png
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from matplotlib.figure import Figure
from tqdm import tqdm

from agents.cli import fail_in_one_line
from gan_backbones import GanPopulation, ReplicaSetup, build
from gan_backbones.data import DataSet, load_data
from gan_backbones.threads import available_cores
from gan_env.render import image_grid, scatter

ROWS, COLUMNS = 4, 6
_STEPS = 20  # updates between two changes of the rates


@dataclass(frozen=True)
class Options:
    """Options of data_pictures.py."""

    data: tuple[str, ...] = ("ring", "grid", "digits", "faces", "glyphs", "photos")
    """Data sets, from left to right."""
    resolution: int = 16
    """Pixels of images."""
    width: int = 24
    """Channels next to the image."""
    updates: int = 8000
    """GAN updates of each."""
    batch_size: int = 32
    """Images per update; points come by 256."""
    lr_g: float = 5e-4
    """Generator's rate at the start; both fall to a tenth along a cosine."""
    lr_d: float = 1e-3
    """Discriminator's rate at the start."""
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
    # The hardest first, so that no core waits at the end; each population works in a thread of its own.
    with ThreadPoolExecutor(available_cores()) as executor:
        jobs = [executor.submit(train, data, options) for data in reversed(sets)][::-1]
        results = [job.result() for job in jobs]
    for column, (data, generated) in enumerate(zip(sets, results, strict=True)):
        real = data.batch(torch.randperm(len(data), generator=torch.Generator().manual_seed(1))[: len(generated)])
        for row, samples in enumerate((real, generated)):
            picture = image_grid(samples, COLUMNS) if data.is_image else scatter(samples, data.samples[:2000])
            axes[row, column].imshow(picture, interpolation="nearest")
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
        axes[0, column].set_title(data.name)
    axes[0, 0].set_ylabel("data")
    axes[1, 0].set_ylabel(f"after {options.updates} updates")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=80)
    print(f"wrote {options.output}")


def train(data: DataSet, options: Options) -> torch.Tensor:
    """Samples ``(count, *sample_shape)`` of a GAN after its training."""
    if data.is_image:
        name, sizes, batch_size = "dcgan", {"latent_size": 64, "width": options.width}, options.batch_size
    else:
        name, sizes, batch_size = "mlp", {"latent_size": 8, "width": 128}, 256
    population = GanPopulation(lambda: build(name, data.sample_shape, **sizes), 1, batch_size=batch_size)
    population.reset([0], [ReplicaSetup(options.seed, data)])
    for done in tqdm(range(0, options.updates, _STEPS), desc=data.name, disable=None):
        share = 0.1 + 0.9 * (1 + torch.cos(torch.tensor([torch.pi * done / options.updates]))) / 2
        population.update({"lr_g": options.lr_g * share, "lr_d": options.lr_d * share}, _STEPS)
    samples = population.sample(ROWS * COLUMNS if data.is_image else 2000)[0]
    population.close()
    return samples


if __name__ == "__main__":
    fail_in_one_line(main)
