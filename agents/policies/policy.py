"""A deployable policy: what it sees, what it turns, its network; and its file, safetensors with JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.policies.network import Layer, LstmState, PolicyNetwork
from gan_backbones.tensor_file import digest_tensors, read_tensors, write_tensors
from gan_env.knobs import KNOBS, ActionCodec, parse_knobs
from gan_env.observation import Observer, feature_table, parse_groups

SHIPPED = Path(__file__).parent
"""Folder of the policies that come with the package."""
RECOMMENDED = "recommended"
"""Name of the shipped policy to take where nothing speaks for another one."""
_SUFFIX = ".safetensors"
_FORMAT, _VERSION = "gan-balance policy", 1


@dataclass(frozen=True)
class PolicySpec:
    """All of a policy but its weights. A part that makes no sense raises ``ValueError``."""

    knobs: tuple[str, ...]
    """What it turns, in this order."""
    groups: tuple[str, ...]
    """Groups of features that it sees."""
    history: int
    """Decisions that it looks back."""
    action_type: str
    moves: tuple[float, float]
    decisions: int
    """How many a balancer makes, where nothing else is asked for and there are as many updates."""
    layers: tuple[Layer, ...]
    seen: Mapping[str, tuple[float, float]]
    """Range of each feature in training; outside it, a balancer holds its knobs."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Record of its training, fit for JSON."""

    def __post_init__(self) -> None:
        parse_knobs(self.knobs)
        parse_groups(self.groups)
        if "quality" in self.groups:
            raise ValueError("it sees the quality proxy, which a training loop elsewhere does not have")
        for name in ("history", "decisions"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
        names = [feature.name for feature in feature_table(self.knobs, self.groups)]
        if list(self.seen) != names:
            raise ValueError(f"it records other features than it sees: {', '.join(self.seen)}")
        if not all(low <= high for low, high in self.seen.values()):  # false for NaN, too
            raise ValueError("a feature's lowest value lies above its highest")
        self.codec()

    @property
    def inputs(self) -> int:
        """Numbers in an observation."""
        return sum(feature.width(self.history) for feature in feature_table(self.knobs, self.groups))

    def observer(self) -> Observer:
        """A fresh observer of one GAN."""
        return Observer(self.knobs, self.groups, self.history, 1)

    def codec(self) -> ActionCodec:
        return ActionCodec(self.action_type, self.knobs, self.moves)

    def strange(self, values: Sequence[float]) -> dict[str, str]:
        """Features whose ``values``, before clipping, lie outside the range of training, and that in words.

        Beyond its bounds a feature looks to the policy as at them, and counts as if it were there. What does not come
        from the GAN counts nowhere: a knob that is held where it is strange would never come back.
        """
        found = {}
        for feature, value in zip(feature_table(self.knobs, self.groups), values, strict=True):
            low, high = self.seen[feature.name]
            seen = low - 1e-6 <= min(max(value, feature.low), feature.high) <= high + 1e-6  # false for NaN, too
            if feature.measured and not seen:
                found[feature.name] = f"{feature.name} is {value:.3g} (in training {low:.3g} to {high:.3g})"
        return found

    def tables(self) -> dict[str, Any]:
        """This program's features and bounds, plain: a file carries them, and is read where they are the same."""
        features = [
            [feature.name, feature.low, feature.neutral, feature.high, feature.history]
            for feature in feature_table(self.knobs, self.groups)
        ]
        return {"features": features, "bounds": {name: [KNOBS[name].low, KNOBS[name].high] for name in self.knobs}}


class Policy:
    """Observations to greedy actions."""

    def __init__(self, spec: PolicySpec, weights: Mapping[str, torch.Tensor], name: str = "unnamed") -> None:
        """Raises ``ValueError`` where the weights do not fit the layers, or these the observations and actions."""
        self.spec = spec
        self.name = name
        self.network = PolicyNetwork(spec.layers, weights)
        self._choices = spec.codec().choices
        inputs, outputs = spec.inputs, sum(self._choices) or len(spec.knobs)
        held = sum(tensor.numel() for tensor in weights.values())
        if inputs > held:
            raise ValueError(f"its network does not take {inputs} numbers: it has {held} weights")
        try:
            found = tuple(self.network(torch.zeros(1, inputs))[0].shape)
        except RuntimeError as error:
            raise ValueError(f"its network does not take {inputs} numbers: {' '.join(str(error).split())}") from error
        if found != (1, outputs):
            raise ValueError(f"its network gives {found[-1]} numbers, not {outputs}")

    def act(self, observations: NDArray[np.float32], state: LstmState | None = None) -> tuple[NDArray[Any], Any]:
        """Greedy actions for ``observations`` ``(n, d)``, as the codec reads them, and the recurrent state."""
        values, state = self.network(torch.from_numpy(observations), state)
        if not self._choices:
            return values.clamp(-1, 1).numpy(), state
        choices = np.stack([part.argmax(1).numpy() for part in values.split(self._choices, dim=1)], axis=1)
        return choices if self.spec.action_type == "multidiscrete" else choices[:, 0], state

    @property
    def digest(self) -> str:
        """Of what the policy decides by; the record of its training may change."""
        return digest_tensors(self.network.state_dict(), repr(dataclasses.replace(self.spec, training={})))

    def save(self, path: Path) -> None:
        """Write the policy, atomically. Raises ``OSError`` when that fails."""
        write_tensors(path, self.network.state_dict(), self._metadata())

    def _metadata(self) -> dict[str, Any]:
        seen = [[name, *limits] for name, limits in self.spec.seen.items()]  # an object would be sorted
        described = dataclasses.asdict(self.spec) | self.spec.tables() | {"seen": seen}
        return described | {"format": _FORMAT, "version": _VERSION}


def available() -> tuple[str, ...]:
    """Names of the shipped policies."""
    return tuple(sorted(path.stem for path in SHIPPED.glob(f"*{_SUFFIX}")))


def load_policy(name_or_path: str | Path | None = None) -> Policy:
    """A policy by its name or its file; the recommended one by default.

    Raises ``ValueError``, in one line, for a file that is missing, damaged, changed, not a policy's, of another
    version, or made for other features or bounds than this program's.
    """
    name = RECOMMENDED if name_or_path is None else name_or_path
    if str(name) in available():
        path = SHIPPED / f"{name}{_SUFFIX}"
    elif isinstance(name, Path) or name.endswith(_SUFFIX):
        path = Path(name)
    else:
        known = ", ".join(available()) or "none yet"
        raise ValueError(f"unknown policy {name!r}; shipped: {known}; or name a file *{_SUFFIX}")
    try:
        tensors, metadata = read_tensors(path)
        return _parse(tensors, metadata, path.stem)
    except ValueError as error:
        raise ValueError(f"cannot load policy {str(path)!r}: {error}") from error


def _parse(tensors: Mapping[str, torch.Tensor], metadata: dict[str, Any], name: str) -> Policy:
    if metadata.pop("format", None) != _FORMAT:
        raise ValueError("it is not a policy")
    if (version := metadata.pop("version", None)) != _VERSION:
        raise ValueError(f"it has version {version!r} of the format; this program reads version {_VERSION}")
    tables = {table: metadata.pop(table, None) for table in ("features", "bounds")}
    try:
        metadata["layers"] = tuple(Layer(one["kind"], tuple(one["sizes"])) for one in metadata["layers"])
        metadata |= {part: tuple(metadata[part]) for part in ("knobs", "groups", "moves")}
        seen = {feature: (float(low), float(high)) for feature, low, high in metadata["seen"]}
        spec = PolicySpec(**metadata | {"seen": seen})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"its description is not complete: {error!r}") from error
    for table, expected in spec.tables().items():
        if tables[table] != expected:
            raise ValueError(f"its {table} are not those of this program")
    return Policy(spec, tensors, name)
