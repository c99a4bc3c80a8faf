"""What every data source returns: samples in memory, their attributes and, for points, the exact law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from gan_backbones.tensor_file import digest_tensors


class DataError(ValueError):
    """A user's mistake about data, told in one line: what is wrong, what is allowed, what to do."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of equally likely, isotropic 2-D Gaussians.

    ``centres`` is float32 of shape (K, 2); ``sigma`` is the standard deviation of each coordinate.
    """

    centres: torch.Tensor
    sigma: float

    def __post_init__(self) -> None:
        if self.centres.dtype != torch.float32 or self.centres.ndim != 2 or self.centres.shape[1] != 2:
            shape = tuple(self.centres.shape)
            raise DataError(f"mixture centres must be float32 of shape (K, 2), got {self.centres.dtype} {shape}")
        if len(self.centres) == 0 or not self.sigma > 0:
            raise DataError(f"a mixture needs a centre and a positive sigma, got {len(self.centres)} and {self.sigma}")


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set held in memory on the CPU.

    ``samples``: images as uint8 (M, C, H, W), or points as float32 (M, 2).
    ``attributes``: int64 (M,) per attribute, an index into ``attribute_values`` of the same name.
    ``mixture``: the exact distribution of the points where it is known.
    ``skipped``: files that were broken and left out.

    Raises DataError when the parts do not fit together.
    """

    name: str
    samples: torch.Tensor
    attributes: Mapping[str, torch.Tensor]
    attribute_values: Mapping[str, tuple[str, ...]]
    mixture: Mixture | None
    skipped: int = 0

    def __post_init__(self) -> None:
        shape = tuple(self.samples.shape)
        images = self.samples.dtype == torch.uint8 and len(shape) == 4
        points = self.samples.dtype == torch.float32 and len(shape) == 2 and shape[1] == 2
        if not (images or points) or 0 in shape:
            raise DataError(
                f"samples of data set {self.name!r} must be uint8 (M, C, H, W) or float32 (M, 2), not empty; "
                f"got {self.samples.dtype} {shape}"
            )
        if set(self.attributes) != set(self.attribute_values):
            raise DataError(f"data set {self.name!r}: attributes and attribute_values must have the same names")
        for attribute, labels in self.attributes.items():
            if labels.dtype != torch.int64 or labels.shape != shape[:1]:
                raise DataError(
                    f"attribute {attribute!r} of data set {self.name!r} must be int64 of shape ({shape[0]},)"
                )
            values = len(self.attribute_values[attribute])
            if int(labels.min()) < 0 or int(labels.max()) >= values:
                raise DataError(f"attribute {attribute!r} of data set {self.name!r} must lie in 0..{values - 1}")

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) for images, (2,) for points."""
        return tuple(self.samples.shape[1:])

    @property
    def is_image(self) -> bool:
        """True for images, False for points."""
        return self.samples.ndim == 4

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the samples and attributes, whatever the data set is called; computed once."""
        tensors = {f"attribute {name}": labels for name, labels in self.attributes.items()}
        values = sorted((name, tuple(values)) for name, values in self.attribute_values.items())
        return digest_tensors({"samples": self.samples, **tensors}, repr(values))

    def batch(self, indices: torch.Tensor | Sequence[int], device: torch.device | str | None = None) -> torch.Tensor:
        """The samples at ``indices`` as float32 on ``device`` (default: where the samples are).

        Images are scaled from 0..255 to [-1, 1]; points come as they are. Shape: (len(indices), *sample_shape).
        """
        rows = torch.as_tensor(indices, dtype=torch.int64, device=self.samples.device)
        # Bytes travel to the device, floats are made there: a quarter of the traffic.
        chosen = self.samples[rows].to(device=device)
        return chosen.to(torch.float32).div_(127.5).sub_(1.0) if self.is_image else chosen
