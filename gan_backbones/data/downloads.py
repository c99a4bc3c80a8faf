"""CIFAR-10, MNIST and Fashion-MNIST in a folder that the user names: read if they are there, else downloaded.

Only the training sets are used, and only files without code in them: CIFAR-10's binary version, not its pickles.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from gan_backbones.data.dataset import DataError, DataSet

if TYPE_CHECKING:
    from torchvision.datasets import MNIST

RESOLUTIONS = (16, 32, 64, 128)
_DEFAULT_RESOLUTION = 32
_CHUNK = 4096  # images resized at a time, in floating point

# https://www.cs.toronto.edu/~kriz/cifar.html: the address, the checksum, the layout and the order of the classes.
_CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_CIFAR10_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_RECORD = 1 + 3 * 32 * 32  # bytes: the class, then red, green and blue, row by row


def load_cifar10(
    argument: str, resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """CIFAR-10's 50,000 training images under the folder ``argument``: uint8 (M, 3, R, R), attribute ``object``.

    ``resolution``: pixels (default 32, as they are). ``seed`` permutes their order; ``count`` keeps at most that many.

    Raises DataError when the files are damaged, or missing and not to be downloaded.
    """
    root = Path(argument).expanduser()
    files = [root / "cifar-10-batches-bin" / f"data_batch_{number}.bin" for number in range(1, 6)]
    _fetch("CIFAR-10", root, [_CIFAR10_URL], _CIFAR10_MD5, files)
    try:
        content = bytearray().join(file.read_bytes() for file in files)
        records = torch.frombuffer(content, dtype=torch.uint8).reshape(-1, _CIFAR10_RECORD)
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged("CIFAR-10", files[0].parent, error) from error
    pixels, labels = records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()
    return _labelled(f"cifar10:{argument}", pixels, "object", labels, _CIFAR10_OBJECTS, resolution, seed, count)


def load_mnist(
    argument: str, resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """MNIST's 60,000 training digits under the folder ``argument``: uint8 (M, 1, R, R), attribute ``digit``.

    Files, options and errors as of `load_cifar10`; the digits are 28 x 28, enlarged to 32 unless asked otherwise.
    """
    from torchvision.datasets import MNIST

    pixels, labels = _read_idx(MNIST, argument)
    digits = tuple(str(digit) for digit in range(10))
    return _labelled(f"mnist:{argument}", pixels, "digit", labels, digits, resolution, seed, count)


def load_fashion_mnist(
    argument: str, resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """Fashion-MNIST's 60,000 training images, like `load_mnist`; attribute ``article``."""
    from torchvision.datasets import FashionMNIST

    pixels, labels = _read_idx(FashionMNIST, argument)
    articles = tuple(FashionMNIST.classes)
    return _labelled(f"fashion-mnist:{argument}", pixels, "article", labels, articles, resolution, seed, count)


def _read_idx(kind: type[MNIST], argument: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The training images (M, 1, 28, 28) and labels (M,) of torchvision's MNIST or a subclass, where it keeps them.

    Not by its constructor, which prefers a file ``training.pt`` if there is one.
    """
    from torchvision.datasets import mnist

    root = Path(argument).expanduser() / kind.__name__ / "raw"
    archives = [(name, md5) for name, md5 in kind.resources if name.startswith("train")]
    files = [root / name.removesuffix(".gz") for name, _ in archives]
    for (name, md5), file in zip(archives, files, strict=True):
        _fetch(kind.__name__, root, [mirror + name for mirror in kind.mirrors], md5, [file])
    try:
        pixels, labels = mnist.read_image_file(str(files[0])), mnist.read_label_file(str(files[1]))
    except Exception as error:  # whatever a wrong byte leads to
        raise _damaged(kind.__name__, root, error) from error
    return pixels[:, None], labels


def _fetch(title: str, root: Path, urls: Sequence[str], md5: str, wanted: Sequence[Path]) -> None:
    """Download and unpack an archive into ``root`` unless all the ``wanted`` files are there.

    An archive that lies in ``root`` already and has this checksum is unpacked without a download.
    """
    reason: Exception | None = None
    for url in urls:
        try:
            if not all(file.is_file() for file in wanted):
                from torchvision.datasets.utils import download_and_extract_archive

                download_and_extract_archive(url, str(root), md5=md5)
            return
        except (RuntimeError, HTTPException, OSError, EOFError, tarfile.TarError, zlib.error) as error:
            reason = error
    archive = urls[0].rsplit("/", 1)[-1]
    raise DataError(
        f"cannot get {title} into folder {str(root)!r}: {_one_line(reason)}; put {archive} of {urls[0]} there"
    ) from reason


def _labelled(
    name: str,
    pixels: torch.Tensor,
    attribute: str,
    labels: torch.Tensor,
    values: tuple[str, ...],
    resolution: int | None,
    seed: int,
    count: int | None,
) -> DataSet:
    """The images in the order of ``seed``, the first ``count`` of them, resized."""
    if len(pixels) != len(labels) or len(pixels) == 0 or not 0 <= int(labels.min()) <= int(labels.max()) < len(values):
        raise DataError(f"the files of data set {name!r} are damaged: images and labels do not fit; delete them")
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))[:count]
    size = _DEFAULT_RESOLUTION if resolution is None else resolution
    return DataSet(
        name=name,
        samples=resize(pixels[order], size),
        attributes={attribute: labels[order]},
        attribute_values={attribute: values},
        mixture=None,
    )


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 (M, C, H, W) to (M, C, size, size), bilinear with antialiasing; as they are if they have that size."""
    if images.shape[2:] == (size, size):
        return images

    def scale(chunk: torch.Tensor) -> torch.Tensor:
        scaled = functional.interpolate(chunk.float(), size=(size, size), mode="bilinear", antialias=True)
        return scaled.round_().clamp_(0, 255).to(torch.uint8)

    return torch.cat([scale(chunk) for chunk in images.split(_CHUNK)])


def _damaged(title: str, folder: Path, error: Exception) -> DataError:
    return DataError(f"the files of {title} in folder {str(folder)!r} are damaged ({_one_line(error)}); delete them")


def _one_line(error: Exception | None) -> str:
    return " ".join(str(error).split()) or type(error).__name__
