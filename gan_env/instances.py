"""Problem instances and suites: what is trained, from which start, and which of them are held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gan_env.knobs import KNOBS

SPLITS = ("train", "validation", "test")
_LISTS = 2  # edition of the held-out lists; raised when settings had been changed after a look at the test tables
_SEEDS_PER_SPLIT = 2**30  # all splits in 32 bits: PyTorch's CPU generator ignores the higher bits of a seed


@dataclass(frozen=True)
class GanInstance:
    """One GAN training problem. A rate outside its knob's bounds raises ``ValueError``."""

    data: str
    """Name of a data set, e.g. ``faces`` or ``folder:PATH``."""
    resolution: int | None
    """Pixels; none for points."""
    backbone: str
    backbone_options: tuple[tuple[str, int], ...]
    loss: str
    batch_size: int
    updates_per_step: int
    """GAN updates between two decisions."""
    decisions: int
    """Length of an episode; the training budget is ``decisions * updates_per_step`` updates."""
    lr_g: float
    """Starting rate of the generator."""
    lr_d: float
    """Starting rate of the discriminator."""
    seed: int
    """Initial weights, latents and order of the data."""

    def __post_init__(self) -> None:
        for name in ("lr_g", "lr_d"):
            value, knob = getattr(self, name), KNOBS[name]
            if not knob.low * (1 - 1e-9) <= value <= knob.high * (1 + 1e-9):  # false for NaN, too
                raise ValueError(f"{name} must lie in [{knob.low:g}, {knob.high:g}], not {value}")
        if self.decisions < 1:
            raise ValueError(f"decisions must be at least 1, not {self.decisions}")

    def population_key(self) -> tuple[object, ...]:
        """Instances with equal keys can be rows of one population."""
        return (
            self.resolution,
            self.backbone,
            self.backbone_options,
            self.loss,
            self.batch_size,
            self.updates_per_step,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return dataclasses.asdict(self) | {"backbone_options": dict(self.backbone_options)}


@dataclass(frozen=True)
class Suite:
    """A training distribution of instances and fixed, disjoint lists of held-out ones.

    Starting rates are log-uniform over ``start_range`` for each network by itself. A run that ends early (divergence,
    collapse) is graded ``worst_grade``; its proxy counts as ``worst_proxy``.
    """

    name: str
    description: str
    data: str
    resolution: int | None
    backbone: str
    backbone_options: Mapping[str, int]
    batch_size: int
    updates_per_step: int
    decisions: int
    metric: str
    """What grades a finished GAN; lower is better."""
    worst_grade: float
    worst_proxy: float
    proxy_samples: int
    grade_samples: int
    loss: str = "nonsaturating"
    start_range: tuple[float, float] = (1e-5, 10**-1.5)
    held_out: Mapping[str, int] = field(default_factory=lambda: {"validation": 32, "test": 64})

    def sample(self, rng: np.random.Generator, split: str = "train") -> GanInstance:
        """Draw an instance; seeds of different splits never coincide."""
        low, high = np.log10(self.start_range)
        lr_g, lr_d = 10 ** rng.uniform(low, high, size=2)
        seed = SPLITS.index(split) * _SEEDS_PER_SPLIT + int(rng.integers(_SEEDS_PER_SPLIT))
        return GanInstance(
            data=self.data,
            resolution=self.resolution,
            backbone=self.backbone,
            backbone_options=tuple(sorted(self.backbone_options.items())),
            loss=self.loss,
            batch_size=self.batch_size,
            updates_per_step=self.updates_per_step,
            decisions=self.decisions,
            lr_g=float(lr_g),
            lr_d=float(lr_d),
            seed=seed,
        )

    def instances(self, split: str) -> tuple[GanInstance, ...]:
        """The fixed list of ``"validation"`` or ``"test"`` instances."""
        if split not in self.held_out:
            raise ValueError(f"split must be one of {', '.join(self.held_out)}, not {split!r}")
        rng = np.random.default_rng([_LISTS, SPLITS.index(split), *self.name.encode()])
        return tuple(self.sample(rng, split) for _ in range(self.held_out[split]))


_SUITES: dict[str, Suite] = {}
SUITES: Mapping[str, Suite] = _SUITES


def register_suite(suite: Suite) -> None:
    """Add an entry to :data:`SUITES`; a name that is taken raises ``ValueError``."""
    if suite.name in _SUITES:
        raise ValueError(f"suite {suite.name!r} is registered already")
    _SUITES[suite.name] = suite


def get_suite(name: str) -> Suite:
    """The suite ``name``; ``ValueError`` names the known ones."""
    if name not in SUITES:
        raise ValueError(f"unknown suite {name!r}; known: {', '.join(SUITES)}")
    return SUITES[name]


register_suite(
    Suite(
        name="ring",
        description="8 Gaussians on a ring, small perceptrons; an episode takes seconds",
        data="ring",
        resolution=None,
        backbone="mlp",
        backbone_options={"latent_size": 8, "width": 64},
        batch_size=64,
        updates_per_step=20,
        decisions=25,
        metric="squared sliced W2, n=2048",
        worst_grade=10.0,
        worst_proxy=10.0,
        proxy_samples=512,
        grade_samples=2048,
    )
)
register_suite(
    Suite(
        name="faces",
        description="cartoon faces at 16 pixels, a small DCGAN",
        data="faces",
        resolution=16,
        backbone="dcgan",
        backbone_options={"latent_size": 32, "width": 8},
        batch_size=16,
        updates_per_step=10,
        decisions=30,
        metric="FD efficientnet-lite0@64/6, n=256",
        worst_grade=4000.0,
        worst_proxy=10.0,
        proxy_samples=128,
        grade_samples=256,
        held_out={"validation": 32, "test": 32},
    )
)
