"""Tiny copies of the data sets that live in a folder of the user's, and no network."""

import io
import struct
import tarfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision
from PIL import Image
from torchvision.datasets import CelebA, utils

from gan_backbones.data import downloads

COUNT = 40


def random_bytes(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def make_folder(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(random_bytes(COUNT, 20, 20, 3)):
        Image.fromarray(pixels).save(root / f"{number:02}.png")


def make_cifar10(root: Path) -> None:
    """Five files; record i is of class i % 10, with i in the first red, 2 i in the first green pixel."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    records = random_bytes(COUNT, 3073)
    records[:, 0] = np.arange(COUNT) % 10
    records[:, 1], records[:, 1 + 1024] = np.arange(COUNT), 2 * np.arange(COUNT)
    for number, part in enumerate(np.split(records, 5), start=1):
        (folder / f"data_batch_{number}.bin").write_bytes(part.tobytes())


def make_idx(root: Path) -> None:
    """Image i shows class i % 10 and is grey i all over."""
    root.mkdir(parents=True, exist_ok=True)
    images = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None], (COUNT, 28, 28))
    header = struct.pack(">IIII", 0x803, COUNT, 28, 28)
    (root / "train-images-idx3-ubyte").write_bytes(header + images.tobytes())
    labels = (np.arange(COUNT) % 10).astype(np.uint8).tobytes()
    (root / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, COUNT) + labels)


def make_celeba(root: Path) -> None:
    """Image i is grey 2 i, `Bald` if i is odd, `Young` always; six more images belong to the test split."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    names = [f"{number:06}.jpg" for number in range(COUNT + 6)]
    for number, name in enumerate(names):
        Image.new("RGB", (178, 218), (2 * number,) * 3).save(folder / "img_align_celeba" / name, quality=95)
    split = [f"{name} {0 if number < COUNT else 2}\n" for number, name in enumerate(names)]
    bald = [f"{name} {1 if number % 2 else -1}  1\n" for number, name in enumerate(names)]
    (folder / "list_eval_partition.txt").write_text("".join(split))
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} 1\n" for name in names))
    (folder / "list_attr_celeba.txt").write_text(f"{len(names)}\nBald Young \n" + "".join(bald))
    for file in ("list_bbox_celeba.txt", "list_landmarks_align_celeba.txt"):
        (folder / file).write_text(f"{len(names)}\nx y\n" + "".join(f"{name} 1 2\n" for name in names))


MAKERS = {
    "folder": make_folder,
    "cifar10": make_cifar10,
    "mnist": lambda root: make_idx(root / "MNIST" / "raw"),
    "fashion-mnist": lambda root: make_idx(root / "FashionMNIST" / "raw"),
    "celeba": make_celeba,
}
"""Name of a source -> a function that writes a tiny copy into a folder. One row for each of `PATH_SETS`."""


@pytest.fixture
def make_files(monkeypatch, tmp_path):
    """``make_files(name)``: the folder of a tiny copy; nothing comes from the network, no list has a checksum."""

    def refuse(*arguments, **options):
        raise URLError("no network here")

    monkeypatch.setattr(utils, "_get_redirect_url", refuse)
    monkeypatch.setattr(utils, "_urlretrieve", refuse)
    monkeypatch.setattr(torchvision.datasets.celeba, "download_file_from_google_drive", refuse)
    monkeypatch.setattr(CelebA, "file_list", [(number, None, name) for number, _, name in CelebA.file_list])

    def make(name: str, folder: str | None = None) -> Path:
        root = tmp_path / (folder or f"of-{name}")
        MAKERS[name](root)
        return root

    return make


@pytest.fixture
def cifar10_archive(monkeypatch, make_files, tmp_path):
    """A folder that holds the tiny CIFAR-10 as an archive with the right checksum and nothing else."""
    source, folder = make_files("cifar10", "source"), tmp_path / "packed"
    folder.mkdir()
    archive = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source / "cifar-10-batches-bin", "cifar-10-batches-bin")
        note = tarfile.TarInfo("cifar-10-batches-bin/readme.html")
        tar.addfile(note, io.BytesIO())
    monkeypatch.setattr(downloads, "_CIFAR10_MD5", utils.calculate_md5(archive))
    return folder
