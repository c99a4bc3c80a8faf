"""InceptionV3 as the Frechet Inception Distance means it: `pt_inception-2015-12-05`, from a file of the user's.

The weights are TensorFlow's of 2015 (Szegedy et al. 2016, arXiv 1512.00567), as Heusel et al. 2017 (arXiv 1706.08500)
used them, in the layout of pytorch-fid and torch-fidelity, whose published files are one and the same. The network
differs from torchvision's Inception in three ways that come from the original graph: average pools leave out the
padding, the last block pools by maximum, and images are resized as TensorFlow 1 did it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_backbones.metrics.extractors import check_images

PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of `pt_inception-2015-12-05-6726825d.pth` (pytorch-fid) and `weights-inception-2015-12-05-6726825d.pth`
(torch-fidelity), 95,628,359 bytes. Both names hold its first eight digits."""

WEIGHTS_VARIABLE = "GANBALANCE_INCEPTION_WEIGHTS"
"""Environment variable that names the file."""

FEATURES, RESOLUTION = 2048, 299
"""Width of the pooled features, and pixels at which the network looks."""

_CLASSES = 1008  # of the file's last layer, which features do not pass


class Unit(nn.Module):
    """Convolution without bias, batch norm with epsilon 0.001, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(maps)), inplace=True)


class Spec(NamedTuple):
    """A unit of a block: its name in the file, its input, and its shape. 'Same' padding unless it strides."""

    name: str
    source: str
    outputs: int
    size: int | tuple[int, int] = 1
    stride: int = 1


class Block(nn.Module):
    """Units that read the block's input ('in'), its pool ('pool') or one another; leaves are joined by channels.

    Args:
        inputs: channels of the input.
        specs: the units, each after its source.
        leaves: units, or 'pool', whose outputs are joined, in this order.
        pool: 'average', 'maximum' or, halving the resolution, 'shrink'; all of 3 x 3.
    """

    def __init__(self, inputs: int, specs: tuple[Spec, ...], leaves: tuple[str, ...], pool: str) -> None:
        super().__init__()
        channels = {"in": inputs, "pool": inputs}
        for spec in specs:
            size = (spec.size, spec.size) if isinstance(spec.size, int) else spec.size
            padding = (size[0] // 2, size[1] // 2) if spec.stride == 1 else (0, 0)
            self.add_module(spec.name, Unit(channels[spec.source], spec.outputs, size, spec.stride, padding))
            channels[spec.name] = spec.outputs
        self._specs, self._leaves, self._pool = specs, leaves, pool
        self.outputs = sum(channels[leaf] for leaf in leaves)

    def forward(self, maps: Tensor) -> Tensor:
        found = {"in": maps, "pool": self._pooled(maps)}
        for spec in self._specs:
            found[spec.name] = self.get_submodule(spec.name)(found[spec.source])
        return torch.cat([found[leaf] for leaf in self._leaves], 1)

    def _pooled(self, maps: Tensor) -> Tensor:
        if self._pool == "average":
            return functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
        if self._pool == "maximum":
            return functional.max_pool2d(maps, 3, stride=1, padding=1)
        return functional.max_pool2d(maps, 3, stride=2)


def _at_35(inputs: int, pooled: int) -> Block:
    return Block(
        inputs,
        (
            Spec("branch1x1", "in", 64),
            Spec("branch5x5_1", "in", 48),
            Spec("branch5x5_2", "branch5x5_1", 64, 5),
            Spec("branch3x3dbl_1", "in", 64),
            Spec("branch3x3dbl_2", "branch3x3dbl_1", 96, 3),
            Spec("branch3x3dbl_3", "branch3x3dbl_2", 96, 3),
            Spec("branch_pool", "pool", pooled),
        ),
        ("branch1x1", "branch5x5_2", "branch3x3dbl_3", "branch_pool"),
        "average",
    )


def _from_35_to_17(inputs: int) -> Block:
    return Block(
        inputs,
        (
            Spec("branch3x3", "in", 384, 3, 2),
            Spec("branch3x3dbl_1", "in", 64),
            Spec("branch3x3dbl_2", "branch3x3dbl_1", 96, 3),
            Spec("branch3x3dbl_3", "branch3x3dbl_2", 96, 3, 2),
        ),
        ("branch3x3", "branch3x3dbl_3", "pool"),
        "shrink",
    )


def _at_17(inputs: int, width: int) -> Block:
    row, column = (1, 7), (7, 1)
    return Block(
        inputs,
        (
            Spec("branch1x1", "in", 192),
            Spec("branch7x7_1", "in", width),
            Spec("branch7x7_2", "branch7x7_1", width, row),
            Spec("branch7x7_3", "branch7x7_2", 192, column),
            Spec("branch7x7dbl_1", "in", width),
            Spec("branch7x7dbl_2", "branch7x7dbl_1", width, column),
            Spec("branch7x7dbl_3", "branch7x7dbl_2", width, row),
            Spec("branch7x7dbl_4", "branch7x7dbl_3", width, column),
            Spec("branch7x7dbl_5", "branch7x7dbl_4", 192, row),
            Spec("branch_pool", "pool", 192),
        ),
        ("branch1x1", "branch7x7_3", "branch7x7dbl_5", "branch_pool"),
        "average",
    )


def _from_17_to_8(inputs: int) -> Block:
    return Block(
        inputs,
        (
            Spec("branch3x3_1", "in", 192),
            Spec("branch3x3_2", "branch3x3_1", 320, 3, 2),
            Spec("branch7x7x3_1", "in", 192),
            Spec("branch7x7x3_2", "branch7x7x3_1", 192, (1, 7)),
            Spec("branch7x7x3_3", "branch7x7x3_2", 192, (7, 1)),
            Spec("branch7x7x3_4", "branch7x7x3_3", 192, 3, 2),
        ),
        ("branch3x3_2", "branch7x7x3_4", "pool"),
        "shrink",
    )


def _at_8(inputs: int, pool: str) -> Block:
    row, column = (1, 3), (3, 1)
    return Block(
        inputs,
        (
            Spec("branch1x1", "in", 320),
            Spec("branch3x3_1", "in", 384),
            Spec("branch3x3_2a", "branch3x3_1", 384, row),
            Spec("branch3x3_2b", "branch3x3_1", 384, column),
            Spec("branch3x3dbl_1", "in", 448),
            Spec("branch3x3dbl_2", "branch3x3dbl_1", 384, 3),
            Spec("branch3x3dbl_3a", "branch3x3dbl_2", 384, row),
            Spec("branch3x3dbl_3b", "branch3x3dbl_2", 384, column),
            Spec("branch_pool", "pool", 192),
        ),
        ("branch1x1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool"),
        pool,
    )


class InceptionNetwork(nn.Module):
    """Pixels (m, 3, 299, 299) in [-1, 1] to pooled features (m, 2048); state names as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b = _at_35(192, 32)
        self.Mixed_5c = _at_35(256, 64)
        self.Mixed_5d = _at_35(288, 64)
        self.Mixed_6a = _from_35_to_17(288)
        self.Mixed_6b = _at_17(768, 128)
        self.Mixed_6c = _at_17(768, 160)
        self.Mixed_6d = _at_17(768, 160)
        self.Mixed_6e = _at_17(768, 192)
        self.Mixed_7a = _from_17_to_8(768)
        self.Mixed_7b = _at_8(1280, "average")
        self.Mixed_7c = _at_8(2048, "maximum")
        self.fc = nn.Linear(2048, _CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pixels)))
        maps = functional.max_pool2d(maps, 3, stride=2)
        maps = functional.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps)), 3, stride=2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                maps = block(maps)
        return maps.mean((2, 3))


class InceptionV3(nn.Module):
    """The network of FID as an extractor, with weights from a file.

    Args:
        weights: path of the file; None for the one that `$GANBALANCE_INCEPTION_WEIGHTS` names. It is read without
            running anything in it.
        batch_size: images processed at once.

    `confirmed` tells whether the file is the published one, by its checksum. Another file of the same layout works,
    but its numbers are not FID, and its name carries the start of its own checksum.

    Raises:
        ValueError: where no file is named, it cannot be read, or it is another network's.
    """

    def __init__(self, weights: Path | None = None, *, batch_size: int = 32) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        path = weights or Path(os.environ.get(WEIGHTS_VARIABLE) or "")
        if not path.is_file():
            where = f"{str(path)!r} is not a file" if path != Path("") else "no file is named"
            raise ValueError(
                f"Inception weights: {where}; download pt_inception-2015-12-05-6726825d.pth (pytorch-fid, release "
                f"fid_weights) and give it by --inception-weights or ${WEIGHTS_VARIABLE}"
            )
        with torch.device("meta"):  # no weights to initialise, so nothing is drawn from the global random state
            self.network = InceptionNetwork()
        self.network.load_state_dict(_read_weights(path, self.network), assign=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.confirmed = digest == PUBLISHED_SHA256
        self._label = "inception" if self.confirmed else f"inception-{digest[:8]}"
        self.width, self.resolution, self.batch_size = FEATURES, RESOLUTION, batch_size
        self.requires_grad_(False)
        self.eval()

    @property
    def name(self) -> str:
        """`inception@299` for the published weights; for others `inception-` and the start of their checksum."""
        return f"{self._label}@{self.resolution}"

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Pooled features (m, 2048) float32 of images (m, C, H, W) floating point in [-1, 1], C in {1, 3}."""
        check_images(images)
        features = [self._features(chunk) for chunk in images.split(self.batch_size)]
        return torch.cat(features) if features else torch.empty(0, self.width, device=images.device)

    def _features(self, images: Tensor) -> Tensor:
        pixels = images.expand(-1, 3, -1, -1).float() * 127.5 + 127.5
        return self.network.eval()((resize_like_tensorflow(pixels, RESOLUTION) - 128) / 128)


def resize_like_tensorflow(images: Tensor, side: int) -> Tensor:
    """(m, C, H, W) to (m, C, side, side) as `tf.image.resize_bilinear` of TensorFlow 1, align_corners false.

    Output pixel i looks at input position i H / side, without the half-pixel shift of later versions and without
    antialiasing: the original computation, which a comparable FID has to repeat.
    """
    for axis in (-2, -1):
        size = images.shape[axis]
        position = torch.arange(side, device=images.device, dtype=torch.float32) * torch.tensor(size / side)
        below = position.long().clamp_max(size - 1)
        above = (below + 1).clamp_max(size - 1)
        share = (position - below).to(images).unsqueeze(-1) if axis == -2 else (position - below).to(images)
        lower = images.index_select(axis, below)
        images = lower + (images.index_select(axis, above) - lower) * share
    return images


def _read_weights(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """The file's tensors, if they are exactly those of the network."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"cannot read Inception weights {str(path)!r}: {reason[0]}") from error
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: getattr(value, "shape", None) for name, value in state.items()} if isinstance(state, dict) else {}
    if found == expected:
        return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    odd = sorted(map(str, expected.keys() ^ found.keys())) or [
        name for name in expected if expected[name] != found[name]
    ]
    raise ValueError(
        f"{str(path)!r} does not hold the Inception network of FID (pt_inception-2015-12-05): {odd[0]!r} does not fit"
    )
