"""What a backbone is: a generator, a discriminator, and the table that names them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Discriminator(Protocol):
    """A discriminator splits into features and a head, so that feature matching costs no second pass."""

    def features(self, samples: Tensor) -> Tensor:
        """``(..., batch, *sample_shape) -> (..., batch, *feature_shape)``."""
        ...

    def classify(self, features: Tensor) -> Tensor:
        """``(..., batch, *feature_shape) -> (..., batch)`` logits, positive for real."""
        ...


PAIR_KNOBS = ("aux_weight", "stage")
"""Knobs that need networks made for them.

``aux_weight``: the discriminator has a method ``auxiliary(features)``, which judges ``(..., batch, *feature_shape)`` of
one batch, all real or all generated, by logits ``(..., batch)``.

``stage``: both networks have a buffer ``stage``, a number in [0, 1] of each replica: the share of the finest resolution
that is shown and seen.
"""


@dataclass(frozen=True)
class GanPair:
    """One generator and one discriminator, freshly built and not yet initialised.

    ``generator`` maps latents ``(batch, latent_size)`` to samples ``(batch, *sample_shape)`` in [-1, 1] for images;
    ``discriminator`` answers :class:`Discriminator`. ``stackable`` says that every layer accepts a leading replica
    axis (:mod:`gan_backbones.layers`). ``rebuild`` makes both networks with fresh weights, drawn from torch's global
    generator; it is for networks whose layers do not draw from a generator that is passed in. ``knobs`` names those in
    :data:`PAIR_KNOBS` that the pair takes.
    """

    generator: nn.Module
    discriminator: nn.Module
    latent_size: int
    stackable: bool
    rebuild: Callable[[], tuple[nn.Module, nn.Module]] | None = None
    knobs: tuple[str, ...] = ()

    def drawn(self, generator: torch.Generator) -> tuple[nn.Module, nn.Module]:
        """Both networks with weights drawn from ``generator``; the same modules again at the next call, maybe."""
        if self.rebuild is not None:
            with global_seed(draw_seed(generator)):
                return self.rebuild()
        initialise(self.generator, generator)
        initialise(self.discriminator, generator)
        return self.generator, self.discriminator


@dataclass(frozen=True)
class Backbone:
    """An entry of :data:`BACKBONES`: how to build a pair for a sample shape.

    ``build(sample_shape, options)`` raises ``ValueError`` with one clear line for a shape that it cannot make.
    """

    name: str
    options: type
    build: Callable[[tuple[int, ...], Any], GanPair]


_BACKBONES: dict[str, Backbone] = {}
BACKBONES: Mapping[str, Backbone] = _BACKBONES


def register_backbone(backbone: Backbone) -> None:
    """Add an entry to :data:`BACKBONES`; a name that is taken raises ``ValueError``."""
    if backbone.name in _BACKBONES:
        raise ValueError(f"backbone {backbone.name!r} is registered already")
    _BACKBONES[backbone.name] = backbone


def build(name: str, sample_shape: tuple[int, ...], **options: Any) -> GanPair:
    """Build the pair ``name`` for samples of ``sample_shape``: ``(C, H, W)`` for images, ``(2,)`` for points.

    Raises ``ValueError`` for an unknown name, an unknown option, a bad option value or an impossible shape.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}")
    backbone = BACKBONES[name]
    known = [field.name for field in dataclasses.fields(backbone.options)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r} of backbone {name!r}; known: {', '.join(known)}")
    return backbone.build(tuple(sample_shape), backbone.options(**options))


def require_sizes(name: str, options: Any) -> None:
    """Raise ``ValueError`` in one line unless every field of the options is a whole number from 1 up, or a switch."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(field.default, bool):
            if not isinstance(value, bool):
                raise ValueError(f"{name}: {field.name} must be true or false, not {value!r}")
        elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: {field.name} must be a whole number of at least 1, not {value!r}")


@contextmanager
def global_seed(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Torch's global generators of the CPU and of ``device`` begin at ``seed`` inside the block.

    Afterwards they are as before.
    """
    place = torch.device(device)
    generators = [torch.default_generator]
    if place.type == "cuda":
        generators.append(torch.cuda.default_generators[place.index or 0])
    states = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(seed)
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def draw_seed(generator: torch.Generator) -> int:
    """A seed for :func:`global_seed`, drawn from ``generator``."""
    return int(torch.randint(2**62, (), generator=generator))


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all parameters of a plain ``module`` from ``generator``, layer by layer in registration order."""
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if reset is not None:
            reset(generator)
