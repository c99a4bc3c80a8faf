"""The observation: one table of named features gives both the space's bounds and the vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones import TrainStats
from gan_env.knobs import KNOBS


@dataclass(frozen=True)
class Measurement:
    """What is known of N GANs at a decision, each ``(N,)`` unless said otherwise."""

    stats: TrainStats
    log_knobs: Tensor
    """log10 of each knob, ``(N, K)``."""
    start_log_knobs: Tensor
    """The same at the beginning of the episode, ``(N, K)``."""
    budget_left: Tensor
    """Share of the episode's updates not yet made, in [0, 1]."""
    distance: Tensor
    """Quality proxy, positive, lower is better; the suite's worst value after divergence, NaN where not measured."""
    start_distance: Tensor
    """The proxy of the untrained generator."""
    diversity: Tensor
    """Spread of the samples as a share of the data's; NaN where not measured."""
    failed: Tensor
    """Boolean: the GAN diverged or collapsed."""


@dataclass(frozen=True)
class Feature:
    """An entry of the table: ``compute`` gives ``(N,)``, which is clipped to ``[low, high]``.

    Features with ``history`` appear once for each of the last decisions; ``neutral`` stands where there is nothing
    to see, before the first update and for whatever is not finite after divergence.
    """

    name: str
    group: str
    low: float
    high: float
    history: bool
    description: str
    compute: Callable[[Measurement], Tensor]
    neutral: float = 0.0
    measured: bool = True
    """Whether it comes from the GAN, not from whoever trains it."""

    def width(self, history: int) -> int:
        """Entries of an observation that looks back ``history`` decisions."""
        return history if self.history else 1


def _log10(value: Tensor, floor: float) -> Tensor:
    return value.clamp(min=floor).log10()


_STATISTICS = (
    Feature(
        "real_accuracy",
        "default",
        -1,
        1,
        True,
        "share of real samples called real, scaled to [-1, 1]",
        lambda m: 2 * m.stats.real_accuracy - 1,
    ),
    Feature(
        "fake_accuracy",
        "default",
        -1,
        1,
        True,
        "share of generated samples called fake, scaled to [-1, 1]",
        lambda m: 2 * m.stats.fake_accuracy - 1,
    ),
    Feature("real_logit", "default", -2, 2, True, "mean logit of real samples / 5", lambda m: m.stats.real_logit / 5),
    Feature(
        "fake_logit", "default", -2, 2, True, "mean logit of generated samples / 5", lambda m: m.stats.fake_logit / 5
    ),
    Feature(
        "margin",
        "default",
        -2,
        2,
        True,
        "asinh of the difference of the mean logits / 2; resolves small margins",
        lambda m: torch.asinh(4 * (m.stats.real_logit - m.stats.fake_logit)) / 2,
    ),
    Feature(
        "loss_g",
        "default",
        -3,
        3,
        True,
        "log10 of the canonical generator loss, relative to ln 2",
        lambda m: _log10(m.stats.loss_g / math.log(2), 1e-6),
    ),
    Feature(
        "loss_d",
        "default",
        -3,
        3,
        True,
        "log10 of the canonical discriminator loss, relative to 2 ln 2",
        lambda m: _log10(m.stats.loss_d / math.log(4), 1e-6),
    ),
    Feature(
        "update_ratio_g",
        "default",
        -2,
        2,
        True,
        "(log10 of the generator's update norm / weight norm + 2.5) / 1.5",
        lambda m: (_log10(m.stats.update_ratio_g, 1e-8) + 2.5) / 1.5,
    ),
    Feature(
        "update_ratio_d",
        "default",
        -2,
        2,
        True,
        "(log10 of the discriminator's update norm / weight norm + 2.5) / 1.5",
        lambda m: (_log10(m.stats.update_ratio_d, 1e-8) + 2.5) / 1.5,
    ),
)

_TASK = (
    Feature(
        "budget_left", "default", 0, 1, False, "share of the training budget left", lambda m: m.budget_left, 1.0, False
    ),
    Feature("diverged", "default", 0, 1, False, "1 after divergence or collapse", lambda m: m.failed.to(m.budget_left)),
)

_QUALITY = (
    Feature(
        "quality",
        "quality",
        -3,
        3,
        True,
        "log10 of the proxy distance relative to the untrained generator's",
        lambda m: _log10(m.distance / m.start_distance, 1e-6),
    ),
    Feature(
        "diversity", "quality", 0, 2, True, "spread of the samples as a share of the data's", lambda m: m.diversity
    ),
)


_BUILT_IN_GROUPS = ("default", "absolute", "quality")
_CUSTOM: list[Feature] = []


def groups() -> tuple[str, ...]:
    """Names that ``observation`` may join by ``+``: the built-in groups, then those of registered features."""
    return tuple(dict.fromkeys((*_BUILT_IN_GROUPS, *(feature.group for feature in _CUSTOM))))


def register_feature(feature: Feature) -> None:
    """Add a feature of one's own; ``observation="default+GROUP"`` then shows it.

    Its group must not be a built-in one, whose layout trained policies rely on. Raises ``ValueError`` for that, for a
    name that is taken, and for a function that does not give one number per row.
    """
    names = [one.name for one in (*_STATISTICS, *_TASK, *_knob_features(tuple(KNOBS)), *_QUALITY, *_CUSTOM)]
    if feature.name in names:
        raise ValueError(f"feature {feature.name!r} is registered already")
    if feature.group in _BUILT_IN_GROUPS or "+" in feature.group or not feature.group:
        raise ValueError(f"feature {feature.name!r} needs a group of its own, not {feature.group!r}")
    if not -math.inf < feature.low <= feature.neutral <= feature.high < math.inf:
        raise ValueError(f"feature {feature.name!r} needs finite bounds around its neutral value")
    for measurement in example_measurements():
        value = feature.compute(measurement)
        if not isinstance(value, Tensor) or value.shape != measurement.failed.shape:
            raise ValueError(f"feature {feature.name!r} must give one number per row")
    _CUSTOM.append(feature)


def example_measurements() -> tuple[Measurement, Measurement, Measurement]:
    """Three decisions of three rows, the last row of which diverges: what registered functions are tried on."""
    knobs = torch.full((3, len(KNOBS)), -3.0, dtype=torch.float64)
    measurements = []
    for step, value in enumerate((0.0, 0.7, torch.nan)):
        rows = torch.tensor([0.5, 0.7, value])
        failed = torch.tensor([False, False, step == 2])
        share = torch.full((3,), 1 - step / 2, dtype=torch.float64)
        distance = torch.tensor([2.0, 1.0, 10.0], dtype=torch.float64)
        stats = TrainStats(rows, rows, rows, rows, rows, rows, rows, rows, failed)
        measurements.append(Measurement(stats, knobs, knobs, share, distance, 2 * distance, rows.double(), failed))
    return measurements[0], measurements[1], measurements[2]


def before_training(log_knobs: Tensor, budget_left: Tensor) -> Measurement:
    """What is known before the first update: a discriminator that cannot tell, nothing moving, no quality.

    ``log_knobs`` is ``(N, K)``, ``budget_left`` is ``(N,)``.
    """
    zero = torch.zeros(len(log_knobs), device=log_knobs.device)
    half, off, unknown = zero + 0.5, zero.bool(), torch.full_like(budget_left, torch.nan)
    stats = TrainStats(half, half, zero, zero, zero, zero, zero, zero, off)
    return Measurement(stats, log_knobs, log_knobs, budget_left, unknown, unknown, unknown, off)


def _knob_features(knobs: Sequence[str]) -> list[Feature]:
    def relative(index: int) -> Callable[[Measurement], Tensor]:
        return lambda m: (m.log_knobs[:, index] - m.start_log_knobs[:, index]) / 2

    def absolute(index: int, name: str) -> Callable[[Measurement], Tensor]:
        low, high = KNOBS[name].log_low, KNOBS[name].log_high
        return lambda m: 2 * (m.log_knobs[:, index] - low) / (high - low) - 1

    features = []
    for index, name in enumerate(knobs):
        features.append(
            Feature(
                f"{name}_relative", "default", -2.5, 2.5, False, f"log10 of {name} / its start, / 2", relative(index)
            )
        )
        features.append(
            Feature(
                f"{name}_absolute",
                "absolute",
                -1,
                1,
                False,
                f"position of {name} between its bounds",
                absolute(index, name),
            )
        )
    return [replace(feature, measured=False) for feature in features]


def parse_groups(observation: str | Sequence[str]) -> tuple[str, ...]:
    """Feature groups from ``"default"``, ``"absolute"``, ``"quality"`` joined by ``+``; default is always there.

    Raises ``ValueError`` for an unknown group.
    """
    names = observation.split("+") if isinstance(observation, str) else list(observation)
    unknown = [name for name in names if name not in groups()]
    if unknown:
        raise ValueError(f"unknown observation group {unknown[0]!r}; known: {', '.join(groups())}, joined by '+'")
    return tuple(group for group in groups() if group == "default" or group in names)


def feature_table(knobs: Sequence[str], shown: Sequence[str]) -> tuple[Feature, ...]:
    """The features of an observation in order; it depends on the knobs and the groups ``shown`` alone."""
    return tuple(
        feature
        for feature in (*_STATISTICS, *_TASK, *_knob_features(knobs), *_QUALITY, *_CUSTOM)
        if feature.group in shown
    )


def columns_of(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Places of entries in an observation whose entries are named ``names``.

    Raises ``ValueError`` for one that is not there.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"the observation does not show {missing[0]!r}; it shows {', '.join(names)}")
    return [names.index(name) for name in wanted]


class Observer:
    """Turns measurements into observation vectors and keeps the history of each row.

    The vector holds, for every feature in the order of the table, its value; a feature with history holds its last
    ``history`` values, the newest first. Every entry is finite and within :attr:`bounds`. Everything
    stays on ``device``, where the measurements are.
    """

    def __init__(
        self,
        knobs: Sequence[str],
        shown: Sequence[str],
        history: int,
        count: int,
        device: torch.device | str = "cpu",
    ) -> None:
        if history < 1:
            raise ValueError(f"history must be at least 1, not {history}")
        self.features = feature_table(knobs, shown)
        self.history = history
        self._widths = [feature.width(history) for feature in self.features]
        lags = [lag for width in self._widths for lag in range(width)]
        self._newest = torch.tensor([column for column, lag in enumerate(lags) if lag == 0], device=device)
        self._earlier = torch.tensor([column - (lag > 0) for column, lag in enumerate(lags)], device=device)
        bounds = [(feature.low, feature.neutral, feature.high) for feature in self.features]
        self._low, self._rest, self._high = torch.tensor(bounds, dtype=torch.float32, device=device).T
        lasting = [feature.history for feature in self.features]
        widths = torch.tensor(self._widths, device=device)
        self._neutral = self._rest.repeat_interleave(widths)
        self._lasting = torch.tensor(lasting, device=device).repeat_interleave(widths)
        self.vector = self._neutral.repeat(count, 1)
        """The present observations, ``(N, sum of widths)`` float32."""

    @property
    def names(self) -> tuple[str, ...]:
        """One name per entry of the vector; ``[1]`` is the decision before, and so on."""
        return tuple(
            feature.name if lag == 0 else f"{feature.name}[{lag}]"
            for feature, width in zip(self.features, self._widths, strict=True)
            for lag in range(width)
        )

    @property
    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest value of each entry of the vector."""
        pairs = [(f.low, f.high) for f, width in zip(self.features, self._widths, strict=True) for _ in range(width)]
        low, high = np.array(pairs, dtype=np.float32).T
        return low, high

    def reset(self, rows: Sequence[int], measurement: Measurement) -> None:
        """Forget the history of ``rows``; only what is known without training shows."""
        vector = self._pushed(measurement)
        self._put(rows, torch.where(self._lasting, self._neutral, vector))

    def push(self, rows: Sequence[int], measurement: Measurement) -> None:
        """Append a decision's measurement of all N GANs to the history of ``rows``."""
        self._put(rows, self._pushed(measurement))

    def raw(self, measurement: Measurement) -> Tensor:
        """The features ``(N, F)`` before they are clipped; not always finite."""
        return torch.stack([feature.compute(measurement).float() for feature in self.features], dim=1)

    def _pushed(self, measurement: Measurement) -> Tensor:
        """All vectors with the measurement as their newest decision."""
        values = self.raw(measurement)
        values = torch.where(values.isfinite(), values, self._rest).clamp(self._low, self._high)
        vector = self.vector[:, self._earlier]
        vector[:, self._newest] = values
        return vector

    def _put(self, rows: Sequence[int], vector: Tensor) -> None:
        chosen = list(rows)
        if len(chosen) == len(vector):
            self.vector = vector
        else:
            self.vector[chosen] = vector[chosen]
