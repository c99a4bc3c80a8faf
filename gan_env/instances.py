"""Problem instances and suites: what is trained, from which start, and which of them are held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gan_backbones.optim import ADAM_BETAS
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
    betas: tuple[float, float] = ADAM_BETAS
    """Of Adam, for both networks."""
    constants: tuple[tuple[str, float], ...] = ()
    """Knobs that stay at a value, unless the agent has them."""

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
            self.betas,
            self.constants,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        pairs = {"backbone_options": dict(self.backbone_options), "constants": dict(self.constants)}
        return dataclasses.asdict(self) | pairs


@dataclass(frozen=True)
class Task:
    """A kind of training problem: everything of an instance but its start and its seed, and how it is measured.

    Starting rates are log-uniform over ``start_ranges``, the generator's and the discriminator's, each by itself. A run
    that ends early (divergence, collapse) is graded ``worst_grade``; its proxy counts as ``worst_proxy``.
    """

    data: str
    resolution: int | None
    backbone: str
    backbone_options: tuple[tuple[str, int], ...]
    batch_size: int
    updates_per_step: int
    decisions: int
    metric: str
    """What grades a finished GAN; lower is better."""
    worst_grade: float
    worst_proxy: float
    proxy_samples: int
    grade_samples: int
    noop_grade: float = 1.0
    """Median grade of GANs left alone; suites of several tasks count in units of it."""
    noop_tenth: float = 0.5
    """Lowest tenth of these grades, over their median: how far good rates reach. Where settings or policies are chosen
    on several tasks, logarithms of grades count in units of its logarithm."""
    loss: str = "nonsaturating"
    start_ranges: tuple[tuple[float, float], tuple[float, float]] = ((1e-5, 10**-1.5),) * 2
    betas: tuple[float, float] = ADAM_BETAS
    """Of Adam, for both networks."""
    constants: tuple[tuple[str, float], ...] = ()
    """Knobs that stay at a value, as the weight of a penalty that belongs to the loss, unless the agent has them."""

    def instance(self, lr_g: float, lr_d: float, seed: int) -> GanInstance:
        """The instance of this task that starts so."""
        return GanInstance(
            data=self.data,
            resolution=self.resolution,
            backbone=self.backbone,
            backbone_options=tuple(sorted(self.backbone_options)),
            loss=self.loss,
            batch_size=self.batch_size,
            updates_per_step=self.updates_per_step,
            decisions=self.decisions,
            lr_g=lr_g,
            lr_d=lr_d,
            seed=seed,
            betas=self.betas,
            constants=self.constants,
        )

    @property
    def title(self) -> str:
        """What tells the tasks of all suites apart, in words: data, loss, length of the training."""
        plain = "" if dict(self.backbone_options).get("spectral_norm", True) else ", no spectral norm"
        return f"{self.data}, {self.loss}, {self.decisions * self.updates_per_step} updates{plain}"

    def population_key(self) -> tuple[object, ...]:
        """That of its instances."""
        (lr_g, _), (lr_d, _) = self.start_ranges
        return self.instance(lr_g, lr_d, 0).population_key()


@dataclass(frozen=True)
class Suite:
    """A training distribution of instances and fixed, disjoint lists of held-out ones.

    An instance's task is drawn uniformly from ``tasks``; test instances come from ``test_tasks`` where there are any.
    """

    name: str
    description: str
    tasks: tuple[Task, ...]
    test_tasks: tuple[Task, ...] = ()
    held_out: Mapping[str, int] = field(default_factory=lambda: {"validation": 32, "test": 64})

    def tasks_of(self, split: str) -> tuple[Task, ...]:
        """Those that the instances of a split come from."""
        return self.test_tasks or self.tasks if split == "test" else self.tasks

    def kinds(self, split: str | None = None) -> tuple[Task, ...]:
        """One task for each population that a split needs, or all splits together."""
        tasks = self.all_tasks() if split is None else self.tasks_of(split)
        first = {task.population_key(): task for task in reversed(tasks)}
        return tuple(reversed(first.values()))

    def all_tasks(self) -> tuple[Task, ...]:
        """Every task of every split, once."""
        return tuple(dict.fromkeys((*self.tasks, *self.test_tasks)))

    def sample(
        self, rng: np.random.Generator, split: str = "train", accept: Callable[[Task], bool] | None = None
    ) -> GanInstance:
        """Draw an instance, of a task that ``accept`` likes; seeds of different splits never coincide."""
        exponents = rng.uniform(size=2)
        seed = SPLITS.index(split) * _SEEDS_PER_SPLIT + int(rng.integers(_SEEDS_PER_SPLIT))
        tasks = [task for task in self.tasks_of(split) if accept is None or accept(task)]
        task = tasks[int(rng.integers(len(tasks)))]
        low, high = np.log10(task.start_ranges).T
        lr_g, lr_d = 10 ** (low + (high - low) * exponents)
        return task.instance(float(lr_g), float(lr_d), seed)

    def instances(self, split: str) -> tuple[GanInstance, ...]:
        """The fixed list of ``"validation"`` or ``"test"`` instances."""
        if split not in self.held_out:
            raise ValueError(f"split must be one of {', '.join(self.held_out)}, not {split!r}")
        rng = np.random.default_rng([_LISTS, SPLITS.index(split), *self.name.encode()])
        return tuple(self.sample(rng, split) for _ in range(self.held_out[split]))


_SUITES: dict[str, Suite] = {}
SUITES: Mapping[str, Suite] = _SUITES


def register_suite(suite: Suite) -> None:
    """Add an entry to :data:`SUITES`; a name that is taken, or a suite without tasks, raises ``ValueError``."""
    if not suite.tasks:
        raise ValueError(f"suite {suite.name!r} has no tasks")
    if suite.name in _SUITES:
        raise ValueError(f"suite {suite.name!r} is registered already")
    _SUITES[suite.name] = suite


def get_suite(name: str) -> Suite:
    """The suite ``name``; ``ValueError`` names the known ones."""
    if name not in SUITES:
        raise ValueError(f"unknown suite {name!r}; known: {', '.join(SUITES)}")
    return SUITES[name]
