"""Score a generator's checkpoint, or a folder of images, against a data set.

Every number has a name that carries its extractor, resolution and number of generated images; docs/metrics.md says
what each means. Features of the real images are computed once and cached.

Examples:
    python scripts/evaluate.py runs/my-gan/gan.safetensors --data faces --metrics fd,kid,prdc,lpips
    python scripts/evaluate.py pictures/ --data folder:photos/ --resolution 64 --extractor inception
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from torch import Tensor

from agents.cli import fail_in_one_line, join_data_dir
from agents.report import score_table
from agents.run_folder import provenance
from gan_backbones import load_gan
from gan_backbones.data import DataSet, load_data
from gan_backbones.files import write_atomically
from gan_backbones.metrics import Subject, make_extractor, score_images
from gan_backbones.metrics.generated import draw_images, read_images_of
from gan_backbones.metrics.scores import as_record, check_measures
from gan_env.config import check_device


@dataclass(frozen=True)
class Options:
    """Options of evaluate.py."""

    gan_or_folder: tyro.conf.Positional[Path]
    """Checkpoint of a GAN, or a folder of images."""
    data: str = "faces"
    """Data set to compare with; train_agent.py --list names all."""
    data_dir: Path | None = None
    """Folder of a data set that needs one: --data cifar10 --data-dir DIR is --data cifar10:DIR."""
    metrics: str = "fd,kid,prdc,lpips"
    """Some of fd, fd-infinity, kid, prdc (precision, recall, density, coverage) and lpips, with commas."""
    extractor: str = "efficientnet-lite0@64/6"
    """Network whose features are compared: efficientnet-lite0@PIXELS, efficientnet-lite0@PIXELS/BLOCKS or inception."""
    inception_weights: Path | None = None
    """Weights of inception; by default the file that $GANBALANCE_INCEPTION_WEIGHTS names."""
    samples: int | None = None
    """Generated images; by default 5000 of a generator, all of a folder."""
    real: int = 10_000
    """Real images to compare with, at most."""
    resolution: int | None = None
    """Pixels at which a folder and the data set are read; by default the data set's. A generator has its own."""
    device: str = "cpu"
    """Where the networks work: cpu, cuda or cuda:INDEX."""
    seed: int = 0
    """Seed of latents and of all random choices."""
    json: Path | None = None
    """File for the record."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    progress: bool = True
    """Show progress bars."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    started = time.perf_counter()
    names = tuple(options.metrics.split(","))
    check_measures(names)  # before anything that takes time
    device = check_device(options.device)
    extractor = make_extractor(options.extractor, inception_weights=options.inception_weights).to(device)
    images, data = load_both(options)
    subject = Subject(
        images,
        data,
        extractor,
        real_count=options.real,
        seed=options.seed,
        cache_dir=options.cache_dir,
        progress=options.progress,
    )
    scores = score_images(subject, names)
    Console(markup=False).print(score_table(scores, f"against {len(subject.real_images)} images of {data.name}"))
    if options.json is not None:
        record = {
            "scores": as_record(scores),
            "images": str(options.gan_or_folder),
            "samples": len(images),
            "data": data.name,
            "real": len(subject.real_images),
            "resolution": images.shape[-1],
            "seed": options.seed,
            "seconds": round(time.perf_counter() - started, 1),
        }
        content = json.dumps(record | provenance(options.device), indent=1, allow_nan=False)
        write_atomically(options.json, (content + "\n").encode())


def load_both(options: Options) -> tuple[Tensor, DataSet]:
    """The generated images, as bytes, and the data set at their resolution."""
    name = join_data_dir(options.data, options.data_dir)
    source, seed, progress = options.gan_or_folder, options.seed, options.progress
    if source.is_dir():
        data = load_data(name, resolution=options.resolution, cache_dir=options.cache_dir, progress=progress)
        if not data.is_image:
            raise ValueError(f"data set {data.name!r} holds points; a folder of images is compared with images")
        side = data.sample_shape[-1]
        return read_images_of(source, side, options.samples, seed=seed, progress=progress), data
    generator, _, meta = load_gan(source)
    if not meta.is_image:
        raise ValueError(f"{str(source)!r} makes points; these metrics are for images")
    if options.resolution not in (None, meta.sample_shape[-1]):
        raise ValueError(f"--resolution {options.resolution}: {str(source)!r} makes {meta.sample_shape[-1]} pixels")
    data = load_data(name, resolution=meta.sample_shape[-1], cache_dir=options.cache_dir, progress=progress)
    count = 5000 if options.samples is None else options.samples
    generator = generator.to(options.device)
    images = draw_images(generator, meta.latent_size, count, seed=seed, device=options.device, progress=progress)
    return images, data


if __name__ == "__main__":
    fail_in_one_line(main)
