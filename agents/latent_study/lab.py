"""What all parts of the study share: sizes, data, judges, the page, and the numbers that go to ``study.json``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from agents.bandit_training import make_bandit_env
from agents.latent_gans import GanSizes
from agents.page import Markup, Page, figure, image, legend, plot, standalone
from agents.restoring import Each, require_like
from agents.run_folder import RunFolder
from agents.tree_file import Tree
from gan_backbones.data import DataSet, load_data
from gan_backbones.files import write_atomically
from gan_backbones.metrics import Subject, score_images
from gan_backbones.metrics.generated import to_bytes
from gan_env.frozen_gan import FrozenGan, frozen_gan
from gan_env.render import image_grid

_DRAWN = ("faces", "glyphs")
MEASURES = ("FD", "precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class StudySettings:
    """How much is done. :func:`quick` and :func:`full` give the two sizes there are."""

    sizes: GanSizes
    seeds: int
    """GANs that differ in their seed alone."""
    real: int
    """Images of the data set."""
    looks: int
    """Points of the curve of distances."""
    samples: int
    """Images behind each distance."""
    batches: int
    """Batches of random latents, by which it is known how much one differs from the next."""
    large_updates: int
    """GAN updates at the doubled resolution, and at the usual one beside it."""
    codes: int
    """Of the codebook without noise; ten times :attr:`samples`, so that its best tenth is as many different images."""
    pulls: int
    noisy_codes: int
    noisy_pulls: int
    noisy_seeds: int
    noisy_draws: int
    """Draws of every code by which its true worth is known."""
    policy_pulls: int
    """Pulls of the Stable-Baselines3 agents."""
    cheap_rivals: bool
    """Short chains for the rivals that need chains."""


def quick() -> StudySettings:
    """Minutes: one small GAN, hardly trained. The page says what the study shows, not what it finds."""
    return StudySettings(
        sizes=GanSizes(width=8, batch_size=16, updates=800),
        seeds=1,
        real=2048,
        looks=5,
        samples=512,
        batches=3,
        large_updates=100,
        codes=5120,
        pulls=50_000,
        noisy_codes=256,
        noisy_pulls=5000,
        noisy_seeds=2,
        noisy_draws=16,
        policy_pulls=4096,
        cheap_rivals=True,
    )


def full(updates: int, width: int) -> StudySettings:
    """Hours on two cores: three seeds, the source's numbers of images and pulls."""
    return StudySettings(
        sizes=GanSizes(width=width, batch_size=32, updates=updates),
        seeds=3,
        real=10_000,
        looks=10,
        samples=2000,
        batches=5,
        large_updates=max(1, updates // 4),
        codes=20_000,
        pulls=200_000,
        noisy_codes=1024,
        noisy_pulls=20_000,
        noisy_seeds=10,
        noisy_draws=128,
        policy_pulls=50_000,
        cheap_rivals=False,
    )


def forget(state: Callable[[], Tree]) -> None:
    """Keeps nothing."""


@dataclass
class Lab:
    """The study in progress."""

    settings: StudySettings
    folder: RunFolder
    data: DataSet
    data_name: str
    extractor: Any
    """Of the features that Frechet distances compare."""
    neighbours: Any
    """Of those among which precision, recall, density and coverage look for neighbours."""
    seed: int
    device: str
    cache_dir: Path | None
    progress: bool
    page: Page
    numbers: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    """What later parts need of earlier ones: trees, as :mod:`agents.tree_file` has them."""
    done: int = 0
    """Parts that are finished."""
    made: dict[str, Tree] = field(default_factory=dict)
    """What the finished steps of the present part gave, by name: see :meth:`once`."""
    begun: Tree = None
    """Where the part, or its step, goes on that comes next: what it had :attr:`keep` keep when the study was broken
    off."""
    keep: Callable[[Callable[[], Tree]], None] = forget
    """To be called by a part, or its step, wherever it could go on, with what gives its state."""

    @property
    def gan_path(self) -> Path:
        """The study's GAN."""
        return self.folder.path / "gan.safetensors"

    @property
    def gans(self) -> Mapping[str, str]:
        """Files of the GANs that differ in their seed alone, by name; the first is the study's."""
        gans: Mapping[str, str] = self.kept["gans"]
        return gans

    def get_state(self) -> Tree:
        """The study as it is; between two parts, :meth:`set_state` goes on from it exactly."""
        own = {"numbers": dict(self.numbers), "kept": dict(self.kept), "done": self.done}
        return own | {"page": self.page.get_state()}

    def set_state(self, state: Tree) -> None:
        """Go on from what :meth:`get_state` of a study with equal settings gave."""
        sections = Each(("", Each((False, "")), None))
        require_like(state, {"numbers": {}, "kept": {}, "done": 0, "page": sections}, "its study")
        self.page.set_state(state["page"])
        self.numbers, self.kept, self.done = state["numbers"], state["kept"], state["done"]

    def once(self, step: str, make: Callable[[], Tree]) -> Tree:
        """What ``make()`` gives, kept until the part is over: no step of a part is made again where the study goes on.

        ``make`` may use :attr:`begun` and :attr:`keep` for itself; a part of steps may not.
        """
        if step not in self.made:
            self.made[step] = make()
            self.begun = None
            self.keep(lambda: None)
        return self.made[step]

    def say(self, what: str) -> None:
        """Tell what is being done."""
        print(what, flush=True)

    @property
    def latents(self) -> dict[str, Any]:
        """Options of an environment over the study's GAN."""
        return {"gan": str(self.gan_path), "device": self.device, "cache_dir": self.cache_dir}

    def codes(self, arms: NDArray[np.int64], count: int) -> Tensor:
        """``(n, latent_size)``: the latents of ``arms`` ``(n,)`` in the codebook of ``count`` codes, the same for every
        GAN."""
        return make_bandit_env(1, self.latents | {"codes": count}).core.actions.latents(arms)

    def chart(
        self,
        file: str,
        caption: str,
        series: Mapping[str, Iterable[tuple[float, float]]],
        x: str,
        y: str,
        **options: Any,
    ) -> Markup:
        """A :func:`~agents.page.plot` as a figure of the page, and as an SVG file."""
        drawn, key = plot(caption, series, x, y, **options)
        write_atomically(self.folder.path / "figures" / file, standalone(drawn, key).encode())
        return figure(drawn.render(), caption, key=legend(key))

    def picture(self, file: str, caption: str, images: Tensor, columns: int) -> Markup:
        """Images in [-1, 1] as a figure of the page, and as a PNG file without the page's loss of compression."""
        pixels = Image.fromarray(image_grid(images, columns))
        exact, small = io.BytesIO(), io.BytesIO()
        pixels.save(exact, "PNG", optimize=True)
        pixels.save(small, "JPEG", quality=90, subsampling=0)
        write_atomically(self.folder.path / "figures" / file, exact.getvalue())
        return figure(image(small.getvalue(), caption, pixels.size, "jpeg"), caption)

    def measure(self, images: Tensor, data: DataSet | None = None) -> dict[str, float]:
        """:data:`MEASURES` of images in [-1, 1] against as many real ones as there are, up to twice their number."""

        def scores(extractor: Any, kinds: tuple[str, ...]) -> list[float]:
            subject = Subject(
                to_bytes(images),
                self.data if data is None else data,
                extractor,
                real_count=2 * self.settings.samples,
                cache_dir=self.cache_dir,
                progress=False,
            )
            return [score.value for score in score_images(subject, kinds)]

        values = scores(self.extractor, ("fd",)) + scores(self.neighbours, ("prdc",))
        return dict(zip(MEASURES, values, strict=True))

    def load(self, resolution: int) -> DataSet:
        """The study's data at another resolution, the same images."""
        return load_data(
            self.data_name,
            resolution=resolution,
            count=self.settings.real,
            cache_dir=self.cache_dir,
            progress=self.progress,
        )

    def unseen(self, count: int) -> tuple[Tensor, str]:
        """Real images, and where they are from: such as no discriminator has seen where the data set is drawn by this
        project and so has more of them, else some of the training data."""
        if self.data_name in _DRAWN:
            side = self.data.sample_shape[-1]
            more = load_data(
                self.data_name, resolution=side, seed=1, count=count, cache_dir=self.cache_dir, progress=self.progress
            )
            return more.batch(range(len(more))), "drawn anew, none of them seen in training"
        return self.data.batch(range(min(count, len(self.data)))), "from the training data"

    def draw(self, count: int, seed: int, latent_size: int | None = None) -> Tensor:
        """Latents from N(0, I)."""
        size = self.settings.sizes.latent_size if latent_size is None else latent_size
        return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def frozen(lab: Lab) -> FrozenGan:
    """The study's GAN."""
    return frozen_gan(lab.gan_path, torch.device(lab.device))
