"""The data sets that live in a folder of the user's, on tiny copies of their files."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CelebA

from gan_backbones.data import PATH_SETS, DataError, celeba, downloads, load_data

LABELLED = {"cifar10": "object", "mnist": "digit", "fashion-mnist": "article"}


def load(name, root, **options):
    return load_data(f"{name}:{root}", progress=False, **options)


def refused(name, root, **options):
    with pytest.raises(DataError) as caught:
        load(name, root, **options)
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, None])
@pytest.mark.parametrize("name", PATH_SETS)
def test_every_one_loads_at_every_resolution_and_repeats(name, resolution, make_files, tmp_path):
    root = make_files(name)
    options = {"resolution": resolution, "cache_dir": tmp_path / "cache"}
    data = load(name, root, **options)
    size = resolution or (64 if name == "celeba" else 32)
    assert data.samples.shape == (40, 1 if name in ("mnist", "fashion-mnist") else 3, size, size)
    assert data.name == f"{name}:{root}" and data.skipped == 0
    assert load(name, root, **options).fingerprint == data.fingerprint
    assert resolution is None or resolution in PATH_SETS[name].resolutions


@pytest.mark.parametrize("name", PATH_SETS)
def test_count_takes_some_and_never_more_than_there_are(name, make_files, tmp_path):
    root = make_files(name)
    assert len(load(name, root, count=7, cache_dir=tmp_path / "cache")) == 7
    assert len(load(name, root, count=700, cache_dir=tmp_path / "cache")) == 40


@pytest.mark.parametrize("name", LABELLED)
def test_labels_stay_with_their_images_in_the_order_of_the_seed(name, make_files):
    root = make_files(name)
    orders = []
    for seed in (0, 1):
        data = load(name, root, seed=seed)
        number = data.samples[:, 0, 0, 0].long()
        assert sorted(number.tolist()) == list(range(40))
        assert torch.equal(data.attributes[LABELLED[name]], number % 10)
        assert torch.equal(load(name, root, seed=seed, count=9).samples, data.samples[:9])
        orders.append(number.tolist())
    assert orders[0] != orders[1]


def test_cifar10_has_its_colours_in_order_and_its_bytes_untouched(make_files):
    root = make_files("cifar10")
    data = load("cifar10", root)
    assert torch.equal(data.samples[:, 1, 0, 0], 2 * data.samples[:, 0, 0, 0])
    record = np.frombuffer((root / "cifar-10-batches-bin" / "data_batch_3.bin").read_bytes(), np.uint8)[:3073]
    (row,) = (data.samples[:, 0, 0, 0] == int(record[1])).nonzero().flatten().tolist()
    assert np.array_equal(data.samples[row].numpy().ravel(), record[1:])
    assert data.attribute_values["object"][3] == "cat"


def test_the_names_of_classes(make_files):
    assert load("mnist", make_files("mnist")).attribute_values["digit"] == tuple("0123456789")
    articles = load("fashion-mnist", make_files("fashion-mnist")).attribute_values["article"]
    assert articles[0] == "T-shirt/top" and articles[9] == "Ankle boot"


def test_resizing_averages_and_keeps_the_brightness():
    stripes = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 255
    assert (downloads.resize(stripes, 16).int() - 127).abs().max() <= 40
    constant = torch.full((2, 3, 28, 28), 9, dtype=torch.uint8)
    assert (downloads.resize(constant, 128) == 9).all() and downloads.resize(stripes, 32) is stripes


def test_an_archive_in_the_folder_is_unpacked_without_a_download(cifar10_archive):
    assert len(load("cifar10", cifar10_archive)) == 40


def test_pickles_are_not_opened(make_files, monkeypatch):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    root = make_files("mnist")
    (root / "MNIST" / "processed").mkdir()
    for file in ("training.pt", "test.pt"):
        (root / "MNIST" / "processed" / file).write_bytes(pickle.dumps(Bomb()))
    monkeypatch.setattr(torch, "load", pytest.fail)
    assert len(load("mnist", root)) == 40


@pytest.mark.parametrize("name", [name for name in PATH_SETS if name != "folder"])
def test_a_download_that_fails_is_one_line(name, make_files, tmp_path):
    make_files(name)  # elsewhere
    message = refused(name, tmp_path / "nothing")
    assert all(part in message for part in ("cannot get", "no network here", "put "))


def test_a_folder_that_cannot_be_made_is_one_line(make_files, tmp_path):
    make_files("cifar10")
    (tmp_path / "file").write_text("in the way")
    assert "cannot get CIFAR-10" in refused("cifar10", tmp_path / "file")


@pytest.mark.parametrize("damage", ["short", "empty", "label"])
def test_a_damaged_cifar10_is_one_line(damage, make_files):
    root = make_files("cifar10")
    file = root / "cifar-10-batches-bin" / "data_batch_2.bin"
    content = file.read_bytes()
    if damage == "empty":
        for each in file.parent.iterdir():
            each.write_bytes(b"")
    else:
        file.write_bytes(content[:-1] if damage == "short" else b"\x0a" + content[1:])
    assert "damaged" in refused("cifar10", root)


@pytest.mark.parametrize("damage", ["short", "empty", "magic", "labels"])
def test_a_damaged_mnist_is_one_line(damage, make_files):
    root = make_files("mnist")
    images, labels = sorted((root / "MNIST" / "raw").iterdir())
    content = images.read_bytes()
    if damage == "labels":  # one label fewer, in a sound file
        labels.write_bytes(labels.read_bytes()[:7] + b"\x27" + labels.read_bytes()[8:-1])
    else:
        images.write_bytes({"short": content[:-1], "empty": b"", "magic": b"\x01" + content[1:]}[damage])
    assert "damaged" in refused("mnist", root)


def test_celeba_has_its_training_faces_and_attributes(make_files, tmp_path):
    data = load("celeba", make_files("celeba"), resolution=16, cache_dir=tmp_path / "cache")
    number = (data.samples.float().mean((1, 2, 3)) / 2).round().long()
    assert sorted(number.tolist()) == list(range(40)) and number.tolist() != list(range(40))
    assert torch.equal(data.attributes["Bald"], number % 2) and (data.attributes["Young"] == 1).all()
    assert dict(data.attribute_values) == {"Bald": ("no", "yes"), "Young": ("no", "yes")}


def test_celeba_is_decoded_once(make_files, tmp_path, monkeypatch):
    root = make_files("celeba")
    options = {"resolution": 16, "cache_dir": tmp_path / "cache", "count": 5}
    fresh = load("celeba", root, **options)
    with monkeypatch.context() as patch:
        patch.setattr(celeba, "read_images", None)
        assert load("celeba", root, **options).fingerprint == fresh.fingerprint
    Image.new("RGB", (178, 218), "red").save(root / "celeba" / "img_align_celeba" / "new.jpg")
    monkeypatch.setattr(celeba, "read_images", None)
    with pytest.raises(TypeError):  # the folder has changed, so it is read again
        load("celeba", root, **options)


def test_a_broken_face_is_counted_cache_or_not(make_files, tmp_path):
    root = make_files("celeba")
    (root / "celeba" / "img_align_celeba" / "000003.jpg").write_bytes(b"broken")
    with pytest.warns(UserWarning, match="000003.jpg"):
        data = load("celeba", root, resolution=16, cache_dir=tmp_path / "cache")
    again = load("celeba", root, resolution=16, cache_dir=tmp_path / "cache")
    assert (len(data), data.skipped, again.skipped) == (39, 1, 1) and again.fingerprint == data.fingerprint


def test_lists_of_celeba_that_are_not_the_official_ones_are_refused(make_files, monkeypatch, tmp_path):
    root = make_files("celeba")
    (root / "celeba" / "list_attr_celeba.txt").write_text("46\nBald Young\n000000.jpg yes no\n")
    assert "damaged list" in refused("celeba", root, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(CelebA, "file_list", [(number, "0" * 32, name) for number, _, name in CelebA.file_list])
    assert "cannot get CelebA" in refused("celeba", root, cache_dir=tmp_path / "cache")
