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
_LONGEST_REASON = 500  # characters: it may quote the file


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
        sizes = (*self.sample_shape, self.latent_size)
        whole = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
        if not whole or min(sizes) < 1 or len(self.sample_shape) not in (1, 3):
            raise ValueError(f"sample_shape and latent_size make no sense: {self.sample_shape} and {self.latent_size}")
        for name in ("options", "notes"):
            if not isinstance(value := getattr(self, name), Mapping):
                raise ValueError(f"{name} must be names and values, not {value!r}")

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
    write_tensors(
        path, _state(generator, discriminator), {"format": _FORMAT, "version": _VERSION, **dataclasses.asdict(meta)}
    )


def load_gan(path: Path) -> tuple[nn.Module, nn.Module, GanMeta]:
    """The generator and the discriminator of a checkpoint, on the CPU and in evaluation mode, and its description.

    Raises ``ValueError``, in one line, for a file that is missing, damaged, changed, not a GAN's, of another version,
    of a backbone that is not registered here, or whose weights are not finite or do not fit the backbone that it names.
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
        with torch.device("meta"):  # a description that lies about its sizes allocates nothing
            pair = build(meta.backbone, meta.sample_shape, **meta.options)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise _refusal(path, str(error)) from error
    described = _state(pair.generator, pair.discriminator)
    misfits = sorted(described.keys() ^ tensors.keys()) or [
        name for name, tensor in described.items() if (tensor.shape, tensor.dtype) != _kind(tensors[name])
    ]
    if misfits:
        raise _refusal(path, f"tensor {misfits[0]!r} does not fit the backbone")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise _refusal(path, "its weights are not all finite; the GAN has diverged")
    pair = build(meta.backbone, meta.sample_shape, **meta.options)
    if pair.latent_size != meta.latent_size:
        raise _refusal(path, f"it says latent_size {meta.latent_size}, its backbone has {pair.latent_size}")
    with torch.no_grad():
        for name, tensor in _state(pair.generator, pair.discriminator).items():
            tensor.copy_(tensors[name])
    return pair.generator.eval(), pair.discriminator.eval(), meta


def _state(generator: nn.Module, discriminator: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of both networks, themselves and no copies."""
    networks = ((_GENERATOR, generator), (_DISCRIMINATOR, discriminator))
    return {prefix + name: tensor for prefix, network in networks for name, tensor in network.state_dict().items()}


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(f"cannot load GAN {str(path)!r}: {reason[:_LONGEST_REASON]}")
