"""The options of an environment."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from gan_backbones import LOSSES
from gan_backbones.population import OPTIONAL_KNOBS, STRATEGIES
from gan_backbones.precision import check_precision
from gan_env.instances import Suite, Task, get_suite
from gan_env.knobs import DEFAULT_KNOBS, DEFAULT_MOVES, KNOBS, RATE_KNOBS, ActionCodec, parse_knobs
from gan_env.observation import Observer, parse_groups
from gan_env.reward import TERMS, parse_reward

_Options = TypeVar("_Options")
_LARGEST = 10**9
"""Of sizes: what is beyond is a slip, and would overflow."""


class UnknownOptionError(ValueError, TypeError):
    """A keyword that no environment takes.

    A ``ValueError`` as every mistake in an option is, and a ``TypeError`` in Python's own words as well: libraries
    that offer an optional keyword (TorchRL's ``frameskip``) take it back when they see that.
    """


def make_options(cls: type[_Options], options: Mapping[str, Any]) -> _Options:
    """A dataclass of options from keyword arguments.

    Raises ``UnknownOptionError``, with the known names, for one that it lacks.
    """
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]  # any dataclass
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UnknownOptionError(f"got an unexpected keyword argument {unknown[0]!r}; known: {', '.join(known)}")
    return cls(**options)


@dataclass(frozen=True)
class EnvConfig:
    """Everything that ``gym.make("gan_env:GanBalanceEnv-v0", ...)`` accepts, validated.

    A wrong value raises ``ValueError`` with one line that names the allowed ones; whether data, networks and the
    suite's resolution fit each other shows when an environment is made.
    """

    suite: str = "faces"
    """Distribution of GAN training problems."""
    data: str | None = None
    """Another data set than the suite's, e.g. ``digits``, ``folder:PATH`` or ``faces+photos``."""
    resolution: int | None = None
    """Other pixels than the suite's."""
    backbone: str | None = None
    """Another generator/discriminator pair than the suite's."""
    backbone_options: tuple[tuple[str, int], ...] | None = None
    """Other options of the backbone than the suite's, as ``(("width", 16), ...)``."""
    loss: str | None = None
    """Another adversarial loss than the suite's."""
    batch_size: int | None = None
    """Another batch size than the suite's."""
    betas: tuple[float, float] | None = None
    """Other betas of Adam than the suite's, for both networks."""
    updates_per_step: int | None = None
    """Another number of GAN updates per decision than the suite's."""
    decisions: int | None = None
    """Another number of decisions per episode than the suite's."""
    start_ranges: tuple[tuple[float, float], tuple[float, float]] | None = None
    """Other ranges of starting rates than the suite's, the generator's and the discriminator's, held-out lists
    included, as ``((1e-4, 1e-3), (1e-4, 1e-3))``."""
    action_type: str = "discrete"
    """``discrete``, ``multidiscrete``, ``continuous``, ``target`` or ``absolute``."""
    knobs: tuple[str, ...] = DEFAULT_KNOBS
    """What the agent may turn."""
    constants: tuple[tuple[str, float], ...] = ()
    """Knobs that stay at a value and are not shown to the agent, as ``(("r1_weight", 0.1), ...)``."""
    moves: tuple[float, float] = DEFAULT_MOVES
    """Factors of a small and a large move."""
    observation: str = "default"
    """Feature groups: ``default``, ``absolute``, ``quality`` and those of registered features, joined by ``+``."""
    history: int = 3
    """Decisions that the observation looks back."""
    reward: str = "default"
    """Reward preset, or terms with weights, as ``quality=1,stability=0.02``."""
    measure_quality: bool = True
    """False skips the proxy: ``fid_proxy`` is NaN, collapse is not noticed, and the reward must not need it."""
    device: str = "cpu"
    """Where the GANs train."""
    workers: int | None = None
    """Processes that a vector environment is shared out to on a CPU, at least 8 GANs each; by default one per core, or
    one per kind of GAN where a suite trains more kinds. On a cluster, populations, several to a worker where there are
    fewer workers. Without processes, threads."""
    strategy: str = "auto"
    """How a population computes: ``auto``, ``stacked`` or ``looped``."""
    precision: str = "float32"
    """Of products in training: ``float32``, ``bfloat16`` or, on a GPU, ``tf32``."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    progress: bool = False
    """Show progress while data are prepared for the first time."""

    def __post_init__(self) -> None:
        require_texts(self, "suite", "action_type", "observation", "device", "strategy", "precision")
        require_texts(self, "data", "backbone", "loss", optional=True)
        require_folder(self)
        object.__setattr__(self, "knobs", parse_knobs(self.knobs))
        if self.backbone_options is not None:
            pairs = _parse_pairs("backbone_options", self.backbone_options)
            object.__setattr__(self, "backbone_options", pairs)
        object.__setattr__(self, "constants", _parse_pairs("constants", self.constants))
        for name, value in self.constants:
            if name not in OPTIONAL_KNOBS or name in self.knobs:
                allowed = [knob for knob in OPTIONAL_KNOBS if knob not in self.knobs]
                raise ValueError(f"unknown constant {name!r}; known, beside the knobs: {', '.join(allowed)}")
            low, high = KNOBS[name].low, KNOBS[name].high
            if not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"constant {name} must lie in [{low:g}, {high:g}], not {value!r}")
        if self.loss is not None and self.loss not in LOSSES:
            raise ValueError(f"unknown loss {self.loss!r}; known: {', '.join(LOSSES)}")
        if self.betas is not None:
            object.__setattr__(self, "betas", _parse_betas(self.betas))
        get_suite(self.suite)
        self.codec()
        object.__setattr__(self, "moves", tuple(self.moves))
        groups = parse_groups(self.observation)
        weights = parse_reward(self.reward)
        for name in ("resolution", "batch_size", "updates_per_step", "decisions", "history", "workers"):
            value = getattr(self, name)
            if value is None and name != "history":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
            if value > _LARGEST:
                raise ValueError(f"{name} must be {_LARGEST:,} at most, not {value!r}")
        if self.start_ranges is not None:
            object.__setattr__(self, "start_ranges", _parse_ranges(self.start_ranges))
        for name in ("measure_quality", "progress"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if self.strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {self.strategy!r}; known: {', '.join(STRATEGIES)}")
        if not self.measure_quality:
            if "quality" in groups:
                raise ValueError("observation 'quality' needs measure_quality=True")
            if any(TERMS[term].needs_quality for term in weights):
                raise ValueError(f"reward {self.reward!r} needs measure_quality=True; 'stability' does not")
        check_precision(self.precision, check_device(self.device), torch.float32)

    @property
    def groups(self) -> tuple[str, ...]:
        return parse_groups(self.observation)

    def codec(self) -> ActionCodec:
        """What reads the actions."""
        return ActionCodec(self.action_type, self.knobs, self.moves)

    def observer(self, size: int = 1, device: torch.device | str = "cpu") -> Observer:
        """A fresh observer of ``size`` GANs on ``device``."""
        return Observer(self.knobs, self.groups, self.history, size, device)

    def resolved_suite(self) -> Suite:
        """The suite with this configuration's overrides, which go for each of its tasks."""
        suite = get_suite(self.suite)
        tasks, test_tasks = (
            tuple(dict.fromkeys(map(self._overridden, some))) for some in (suite.tasks, suite.test_tasks)
        )
        return dataclasses.replace(suite, tasks=tasks, test_tasks=test_tasks)

    def _overridden(self, task: Task) -> Task:
        names = ("data", "resolution", "backbone", "loss", "batch_size", "updates_per_step", "decisions")
        given = {name: getattr(self, name) for name in (*names, "betas", "start_ranges")}
        changes = {name: value for name, value in given.items() if value is not None}
        if self.backbone_options is not None:
            changes["backbone_options"] = self.backbone_options
        elif self.backbone is not None and self.backbone != task.backbone:
            changes["backbone_options"] = ()
        return dataclasses.replace(task, **changes)


def _parse_pairs(field: str, options: Any) -> tuple[tuple[str, Any], ...]:
    """Pairs of a name and a value, in the order of the names."""
    try:
        pairs = tuple(sorted(dict(options).items()))
        hash(pairs)
        return pairs
    except (TypeError, ValueError):
        raise ValueError(f"{field} must be pairs of a name and a value, not {options!r}") from None


def _parse_betas(betas: Any) -> tuple[float, float]:
    """Two numbers in [0, 1)."""
    try:
        first, second = (float(beta) for beta in betas)
    except (TypeError, ValueError):
        first = second = math.nan
    if not (0 <= first < 1 and 0 <= second < 1):  # false for NaN, too
        raise ValueError(f"betas must be two numbers in [0, 1), not {betas!r}")
    return first, second


def _parse_ranges(ranges: Any) -> tuple[tuple[float, float], ...]:
    """A range within the bounds of each rate."""
    try:
        pairs = tuple((float(low), float(high)) for low, high in ranges)
    except (TypeError, ValueError):
        pairs = ()
    bounds = [(KNOBS[name].low, KNOBS[name].high) for name in RATE_KNOBS]
    if len(pairs) != len(bounds) or not all(
        least <= low <= high <= most for (low, high), (least, most) in zip(pairs, bounds, strict=True)
    ):
        limits = " and ".join(f"[{low:g}, {high:g}]" for low, high in bounds)
        raise ValueError(f"start_ranges must be a range of each rate within {limits}, not {ranges!r}")
    return pairs


def require_texts(config: object, *names: str, optional: bool = False) -> None:
    """Raise ``ValueError`` unless the fields are strings; ``None`` will do where they are optional."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, str) and not (optional and value is None):
            raise ValueError(f"{name} must be a string, not {value!r}")


def require_folder(config: Any) -> None:
    """Raise ``ValueError`` unless the field ``cache_dir`` is a path or ``None``."""
    if not isinstance(config.cache_dir, str | Path | None):
        raise ValueError(f"cache_dir must be a path, not {config.cache_dir!r}")


def check_device(name: str) -> torch.device:
    """The torch device ``name``; ``ValueError`` in one line when there is none."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}; use 'cpu', 'cuda' or 'cuda:INDEX'") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but torch finds no CUDA device; use 'cpu'")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported; use 'cpu', 'cuda' or 'cuda:INDEX'")
    return device
