"""The study of a cartoon-face GAN and of what a bandit makes of its latents, as one HTML page with its figures.

Trains the GAN, looks at it, lets a bandit and its rivals draw from it, and tries what is known to go wrong. --quick
shows the whole page within minutes; without it the numbers mean something, after hours on two cores.

Examples:
    python scripts/latent_report.py --quick
    python scripts/latent_report.py --data folder:cartoonset/ --run-dir runs/latent-cartoonset
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch
from rich.console import Console

from agents.cli import fail_in_one_line, join_data_dir
from agents.latent_study.lab import Lab, StudySettings, full, quick
from agents.latent_study.study import run
from agents.page import Page
from agents.resuming import folder_of, going_on, parse_options
from agents.run_folder import provenance
from gan_backbones.data import load_data
from gan_backbones.metrics import make_extractor
from gan_env.config import check_device


@dataclass(frozen=True)
class Options:
    """Options of latent_report.py."""

    run_dir: Path | None = None
    """Folder to write, new or empty; by default runs/latent-DATA-SEED-TIME."""
    resume: Path | None = None
    """Run folder of a study that was stopped or killed: go on with it, as if it had not been. Other options stay."""
    checkpoint_every: float | None = None
    """Seconds between two checkpoints, at least; by default 60, or more where they would take over 2 % of the time."""
    data: str = "faces"
    """Data set of images; folder:PATH for your own, the real CartoonSet among them."""
    data_dir: Path | None = None
    """Folder of a data set that needs one: --data cifar10 --data-dir DIR is --data cifar10:DIR."""
    quick: bool = False
    """Minutes instead of hours."""
    resolution: int = 64
    """Pixels of a side."""
    updates: int = 10_000
    """GAN updates; not with --quick."""
    width: int = 32
    """Channels of the GAN next to the image; not with --quick."""
    extractor: str = "efficientnet-lite0@64/6"
    """Network whose features the distances compare, as for evaluate.py."""
    neighbours: str = "efficientnet-lite0@32/11"
    """Network for precision, recall, density and coverage: one that sees no texture, by which every image of a small
    GAN is far from every real one."""
    seed: int = 0
    """Seed of everything."""
    device: str = "cpu"
    """Where networks work: cpu, cuda or cuda:INDEX."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    progress: bool = True
    """Show progress bars."""


def main() -> None:
    report(parse_options(Options, __doc__))


def report(options: Options) -> None:
    """Check, prepare, run; or go on with it."""
    settings = _settings(options)
    check_device(options.device)
    torch.set_num_threads(1)  # the parts that compute have threads of their own
    name = join_data_dir(options.data, options.data_dir) or options.data
    extractor, neighbours = (
        make_extractor(name).to(options.device) for name in (options.extractor, options.neighbours)
    )
    kind = options.data.partition(":")[0]
    default = Path("runs") / f"latent-{kind}-{options.seed}-{datetime.now():%Y%m%d-%H%M%S}"
    console = Console(soft_wrap=False, markup=False)
    folder = folder_of(options, default, console, last="report.html")
    if folder is None:
        return
    data = load_data(
        name,
        resolution=options.resolution,
        count=settings.real,
        cache_dir=options.cache_dir,
        progress=options.progress,
    )
    if not data.is_image:
        raise ValueError(f"data set {data.name!r} holds points; this study is of images")
    record = {"options": dataclasses.asdict(options), "settings": dataclasses.asdict(settings)}
    lab = Lab(
        settings,
        folder,
        data,
        name,
        extractor,
        neighbours,
        options.seed,
        options.device,
        options.cache_dir,
        options.progress,
        Page(f"A frozen GAN of {data.name}", "Which latents of a frozen GAN are worth drawing?"),
    )
    with going_on(folder, options, provenance(options.device) | record, console, data=[data]) as going:
        run(lab, *going, quick=options.quick)
    print(f"wrote {folder.path / 'report.html'}")


def _settings(options: Options) -> StudySettings:
    if options.updates < 20 or options.width < 1:
        raise ValueError(
            f"--updates must be at least 20 and --width at least 1, not {options.updates}, {options.width}"
        )
    return quick() if options.quick else full(options.updates, options.width)


if __name__ == "__main__":
    fail_in_one_line(main)
