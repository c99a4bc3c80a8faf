"""A GAN in one file: safetensors with JSON, checked when it is read; nothing in it is ever executed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_backbones.backbone import build
from gan_backbones.tensor_file import read_tensors, write_tensors

_FORMAT, _VERSION = "gan-balance GAN", 1
_GENERATOR, _DISCRIMINATOR = "generator.", "discriminator."


@dataclass(frozen=True)
class GanMeta:
    """All that is needed to build a pair again, and what its maker wanted to keep.

    Raises ``ValueError`` where a number makes no sense.
    """

    backbone: str
    """A name in ``BACKBONES``."""
    options: Mapping[str, Any]
    """The backbone's options."""
    sample_shape: tuple[int, ...]
    """``(C, H, W)`` of images, ``(2,)`` of points."""
    latent_size: int
    """Numbers per latent; latents are standard normal."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Anything JSON-able: data set, updates, grades."""

    def __post_init__(self) -> None:
        if min(*self.sample_shape, self.latent_size, 1) < 1 or len(self.sample_shape) not in (1, 3):
            raise ValueError(f"sample_shape and latent_size make no sense: {self.sample_shape} and {self.latent_size}")

    @property
    def is_image(self) -> bool:
        """True for images, False for points."""
        return len(self.sample_shape) == 3


def save_gan(path: Path, generator: nn.Module, discriminator: nn.Module, meta: GanMeta) -> None:
    """Write both networks' parameters and buffers, and ``meta``, to ``path``, atomically.

    The networks are plain modules; a row of a population gives them by
    :meth:`~gan_backbones.GanPopulation.networks`. Raises ``OSError`` when the file cannot be written and
    ``TypeError`` when the options or notes are not JSON-able.
    """
    tensors = {
        prefix + name: tensor
        for prefix, network in ((_GENERATOR, generator), (_DISCRIMINATOR, discriminator))
        for name, tensor in network.state_dict().items()
    }
    write_tensors(path, tensors, {"format": _FORMAT, "version": _VERSION, **dataclasses.asdict(meta)})


def load_gan(path: Path) -> tuple[nn.Module, nn.Module, GanMeta]:
    """The generator and the discriminator of a checkpoint, on the CPU and in evaluation mode, and its description.

    Raises ``ValueError``, in one line, for a file that is missing, damaged, changed, not a GAN's, of another version,
    of a backbone that is not registered here, or whose weights do not fit the backbone that it names.
    """
    try:
        tensors, metadata = read_tensors(path)
    except ValueError as error:
        raise _refusal(path, str(error)) from error
    if metadata.pop("format", None) != _FORMAT:
        raise _refusal(path, "it is not the checkpoint of a GAN")
    if (version := metadata.pop("version", None)) != _VERSION:
        raise _refusal(path, f"it has version {version!r} of the format; this program reads version {_VERSION}")
    try:
        meta = GanMeta(**metadata | {"sample_shape": tuple(metadata["sample_shape"])})
        pair = build(meta.backbone, meta.sample_shape, **meta.options)
    except (KeyError, TypeError, ValueError) as error:
        raise _refusal(path, str(error)) from error
    if pair.latent_size != meta.latent_size:
        raise _refusal(path, f"it says latent_size {meta.latent_size}, its backbone has {pair.latent_size}")
    for prefix, network in ((_GENERATOR, pair.generator), (_DISCRIMINATOR, pair.discriminator)):
        _load(network, {name[len(prefix) :]: tensors[name] for name in tensors if name.startswith(prefix)}, path)
    return pair.generator.eval(), pair.discriminator.eval(), meta


def _load(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = network.state_dict()
    misfits = sorted(expected.keys() ^ state.keys()) or [
        name for name, tensor in expected.items() if tensor.shape != state[name].shape
    ]
    if misfits:
        raise _refusal(path, f"tensor {misfits[0]!r} does not fit the backbone")
    with torch.no_grad():
        network.load_state_dict(state)


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(f"cannot load GAN {str(path)!r}: {reason}")
