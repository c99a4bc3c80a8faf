"""Image data for the stages, their weights on disk, and the grade of decoded samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.ral.exposure import sample_many
from gan_backbones.data import DataSet
from gan_backbones.metrics import EfficientNetLite0, GaussianReference, judge, load_reference
from gan_backbones.prior import CodePrior
from gan_backbones.tensor_file import read_tensors, write_tensors
from gan_backbones.vqvae import VqVae

_HELD_OUT_SHARE = 0.2  # half of it to stop by, half to report
_DECODED_AT_ONCE = 256


@dataclass(frozen=True)
class Split:
    """Images ``(M, C, R, R)`` uint8 of three disjoint parts of a data set."""

    training: Tensor
    validation: Tensor
    test: Tensor


def split_images(data: DataSet) -> Split:
    """The last tenth for the report, the tenth before it for stopping, the rest for training.

    Raises ``ValueError`` for points, for images that are not square and for fewer than 20.
    """
    if not data.is_image or data.sample_shape[1] != data.sample_shape[2] or len(data) < 20:
        raise ValueError(f"data set {data.name!r} must hold at least 20 square images")
    count = round(len(data) * _HELD_OUT_SHARE / 2)
    end = len(data) - 2 * count
    return Split(data.samples[:end], data.samples[end : end + count], data.samples[end + count :])


def to_pixels(images: Tensor) -> Tensor:
    """uint8 to float in [-1, 1]."""
    return images.float() / 127.5 - 1


def encode_all(vqvae: VqVae, images: Tensor) -> Tensor:
    """Codes ``(M, length)`` of uint8 images, on the autoencoder's device."""
    device = next(vqvae.parameters()).device
    return torch.cat([vqvae.encode(to_pixels(chunk.to(device))) for chunk in images.split(_DECODED_AT_ONCE)])


@torch.no_grad()
def decode_all(vqvae: VqVae, codes: Tensor) -> Tensor:
    """Images ``(M, C, R, R)`` in [-1, 1]."""
    return torch.cat([vqvae.decode(chunk) for chunk in codes.split(_DECODED_AT_ONCE)])


class Grader:
    """The Frechet distance of images to all of a data set's, on the judge's features; see ``metrics.extractors``."""

    def __init__(self, data: DataSet, cache_dir: Path | None, *, progress: bool) -> None:
        self.judge: EfficientNetLite0 = judge()
        self.reference: GaussianReference = load_reference(data, self.judge, cache_dir=cache_dir, progress=progress)
        self.name = f"FD {self.judge.name}"

    def distance(self, images: Tensor) -> float:
        """Of images ``(n, C, R, R)`` in [-1, 1]; compare only values of equal n."""
        return float(self.reference.distance(self.judge(images.cpu())))

    def of_prior(self, prior: CodePrior, vqvae: VqVae, count: int, seed: int, temperature: float = 1.0) -> float:
        """Of ``count`` decoded samples; the same seed gives every prior the same random numbers."""
        draws = torch.Generator().manual_seed(seed)
        return self.distance(decode_all(vqvae, sample_many(prior, count, draws, temperature=temperature)))


def save_weights(path: Path, module: nn.Module) -> None:
    """Parameters and buffers, atomically."""
    write_tensors(path, module.state_dict(), {})


def load_weights(path: Path, module: nn.Module) -> None:
    """What :func:`save_weights` wrote. Raises ``ValueError`` for a missing or damaged file, or one of other sizes."""
    if not path.is_file():
        raise ValueError(f"cannot read {path}: there is no such file; train that stage first")
    try:
        tensors, _ = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); train that stage again") from None
    expected = {name: (value.shape, value.dtype) for name, value in module.state_dict().items()}
    if expected != {name: (value.shape, value.dtype) for name, value in tensors.items()}:
        raise ValueError(f"{path} was trained with other options; train that stage again")
    if not all(value.isfinite().all() for value in tensors.values()):
        raise ValueError(f"{path} holds weights that are not finite; train that stage again")
    module.load_state_dict(tensors)
