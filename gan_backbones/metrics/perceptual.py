"""How different images look: distances of activations, and their mean over pairs of generated images.

    d(x, y) = sum over layers l of the mean over positions of |w_l * (f_l(x) - f_l(y))|^2

with every position's activations f_l scaled to unit length (Zhang et al. 2018, arXiv 1801.03924, eq. 1). With their
AlexNet and calibrated weights w this is LPIPS; without weights and on EfficientNet-lite0 it is the same protocol on
another network, and goes by another name. A generator whose pairs differ less than those of the data has lost variety
(the use of LPIPS in StarGAN v2, arXiv 1912.01865, appendix C).
"""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from gan_backbones.backbone import global_seed
from gan_backbones.metrics.extractors import EfficientNetLite0, resize_square

_BLOCKS = (1, 3, 5, 11, 16)
"""Ends of EfficientNet-lite0's stages: maps of a half, a quarter, ... of the side."""

_SIDE = 64
_ALEXNET, _ALEXNET_SHA256 = "alexnet-owt-7be5be79.pth", "7be5be79"  # torchvision's file, named by its checksum
_BATCH = 64


class PerceptualDistance(Protocol):
    """A distance between images."""

    name: str
    """Network and resolution, without which the numbers mean nothing."""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """(m, C, H, W) twice, floating point in [-1, 1], to (m,) float32, not negative."""
        ...


class EfficientNetDistance:
    """The protocol on EfficientNet-lite0, every layer with weight 1; images are resized to `resolution`."""

    def __init__(self, resolution: int = _SIDE) -> None:
        self._network = EfficientNetLite0(resolution)
        self.name = f"perceptual distance {self._network.name}"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        left, right = (self._network.activations(images, _BLOCKS) for images in (a, b))
        layers = [
            (_unit(one) - _unit(other)).square().sum(1).mean((1, 2)) for one, other in zip(left, right, strict=True)
        ]
        return torch.stack(layers).sum(0)


class Lpips:
    """LPIPS 0.1 with AlexNet, by the `lpips` package; images are resized to 64 pixels.

    Args:
        backbone: torchvision's AlexNet weights, read without running anything in the file.

    Raises:
        ValueError: where the file is not torchvision's.
    """

    name = f"LPIPS alex@{_SIDE}"

    def __init__(self, backbone: Path) -> None:
        import lpips

        if not hashlib.sha256(backbone.read_bytes()).hexdigest().startswith(_ALEXNET_SHA256):
            raise ValueError(f"{str(backbone)!r} is not torchvision's {_ALEXNET}: its checksum differs")
        with warnings.catch_warnings(), global_seed(0):
            warnings.simplefilter("ignore")  # torchvision's, on how the package calls it
            self._network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        features = torch.load(backbone, map_location="cpu", weights_only=True)
        trunk = self._network.net.state_dict()  # slice1.0.weight is features.0.weight
        self._network.net.load_state_dict({name: features["features." + name.split(".", 1)[1]] for name in trunk})
        self._network.requires_grad_(False)

    @torch.no_grad()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        left, right = (resize_square(images.float(), _SIDE).expand(-1, 3, -1, -1) for images in (a, b))
        return self._network(left, right).flatten()


def perceptual_distance() -> PerceptualDistance:
    """LPIPS where the package and torchvision's AlexNet weights are present, else the one on EfficientNet-lite0.

    Nothing is downloaded. A file of weights with another checksum is left alone, with a warning.
    """
    backbone = Path(torch.hub.get_dir()) / "checkpoints" / _ALEXNET
    if importlib.util.find_spec("lpips") is not None and backbone.is_file():
        try:
            return Lpips(backbone)
        except ValueError as error:
            warnings.warn(f"{error}; measuring with EfficientNet-lite0 instead", stacklevel=2)
    return EfficientNetDistance()


class Variety(NamedTuple):
    """Mean distance of pairs, and its standard error."""

    mean: float
    error: float


def pairwise_variety(images: Tensor, distance: PerceptualDistance, *, seed: int) -> Variety:
    """Mean distance over n // 2 random pairs without a common image, which are therefore independent.

    Args:
        images: (n, C, H, W), n >= 4, floating point in [-1, 1] or uint8.
        distance: what to average.
        seed: of the pairs.

    Raises:
        ValueError: on fewer than four images.
    """
    if len(images) < 4:
        raise ValueError(f"pairs need at least 4 images, got {len(images)}")
    order = torch.randperm(len(images), generator=Generator().manual_seed(seed))
    pairs = order[: len(order) // 2 * 2].reshape(2, -1)
    values = torch.cat(
        [distance(_to_float(images[chunk[0]]), _to_float(images[chunk[1]])) for chunk in pairs.split(_BATCH, dim=1)]
    ).double()
    return Variety(float(values.mean()), float(values.std() / len(values) ** 0.5))


def _to_float(images: Tensor) -> Tensor:
    return images / 127.5 - 1 if images.dtype == torch.uint8 else images


def _unit(maps: Tensor) -> Tensor:
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + 1e-10)  # the constant of the reference implementation
