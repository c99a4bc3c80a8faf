"""The FID network against torch-fidelity's on the same random weights, and which files it takes."""

import hashlib

import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from gan_backbones.metrics import InceptionV3, inception, name_number
from gan_backbones.metrics.inception import InceptionNetwork, resize_like_tensorflow


def random_weights(seed=0):
    """Every tensor of the layout, scaled so that the signal neither dies nor explodes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        layout = InceptionNetwork().state_dict()
    state = {}
    for name, tensor in layout.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
        elif name.endswith(("running_var", "bn.weight")):
            state[name] = torch.rand(tensor.shape, generator=generator) + 0.5
        else:
            scale = (2 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.1
            state[name] = scale * torch.randn(tensor.shape, generator=generator)
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(random_weights(), path)
    return path


@pytest.fixture(scope="module")
def extractor(weights):
    return InceptionV3(weights)


def test_layout_is_that_of_the_published_file():
    with torch.device("meta"):
        state = InceptionNetwork().state_dict()
    assert len(state) == 566  # tensors of pt_inception-2015-12-05-6726825d.pth, which has 95,628,359 bytes
    assert 0 < 95_628_359 - sum(tensor.numel() * tensor.element_size() for tensor in state.values()) < 200_000


def test_features_equal_torch_fidelity(weights, extractor):
    theirs = FeatureExtractorInceptionV3("test", ["2048"], feature_extractor_weights_path=str(weights))
    images = torch.randint(256, (2, 3, 40, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    (expected,) = theirs(images)
    features = extractor(images / 127.5 - 1)
    assert features.shape == (2, 2048) and expected.std() > 0.1
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("size", [(32, 32), (299, 299), (17, 400)])
def test_resize_equals_torch_fidelity(size):
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2)) * 255
    expected = interpolate_bilinear_2d_like_tensorflow1x(images, (299, 299), align_corners=False)
    torch.testing.assert_close(resize_like_tensorflow(images, 299), expected, rtol=0, atol=1e-3)


def test_resize_by_hand():
    """TensorFlow 1 without align_corners: output i looks at i / 2, so the last one repeats the edge."""
    found = resize_like_tensorflow(torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]]), 4)
    assert found[0, 0].tolist() == [[0, 2, 4, 4], [4, 6, 8, 8], [8, 10, 12, 12], [8, 10, 12, 12]]


def test_grey_batches_and_training_mode(extractor):
    grey = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    features = extractor(grey)
    extractor.batch_size = 1
    torch.testing.assert_close(extractor.train()(grey.expand(-1, 3, -1, -1)), features, rtol=1e-4, atol=1e-4)
    extractor.batch_size = 32
    assert extractor.eval()(grey[:0]).shape == (0, 2048)


def test_only_the_published_file_gives_fid(weights, extractor, monkeypatch):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not extractor.confirmed
    assert extractor.name == f"inception-{digest[:8]}@299"
    assert name_number("FD", extractor, 50) == f"FD inception-{digest[:8]}@299, n=50"
    monkeypatch.setattr(inception, "PUBLISHED_SHA256", digest)
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(weights))
    confirmed = InceptionV3()
    assert confirmed.confirmed and confirmed.name == "inception@299"
    assert name_number("FD", confirmed, 50) == "FID, n=50"
    assert name_number("KD", confirmed, 50) == "KID, n=50"
    assert name_number("precision", confirmed, 50) == "precision inception@299, n=50"


class Unpicklable:
    """Would run code if a file were unpickled."""

    def __reduce__(self):
        return (print, ("this file ran code",))


def without_one(path):
    state = random_weights()
    del state["fc.bias"]
    torch.save(state, path)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.write_bytes(b"not weights"), "cannot read"),
        (lambda path: path.write_bytes(b""), "cannot read"),
        (lambda path: torch.save({"weights": Unpicklable()}, path), "cannot read"),
        (lambda path: torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3)}, path), "does not fit"),
        (lambda path: torch.save({"state": {"epoch": 3}}, path), "does not fit"),
        (lambda path: torch.save([1, 2], path), "does not fit"),
        (without_one, "'fc.bias' does not fit"),
        (lambda path: None, "is not a file.*pytorch-fid.*--inception-weights"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, capsys, write, reason):
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(ValueError, match=reason) as caught:
        InceptionV3(path)
    assert "\n" not in str(caught.value)
    assert "ran code" not in capsys.readouterr().out


def test_no_file_is_named(monkeypatch):
    monkeypatch.delenv(inception.WEIGHTS_VARIABLE, raising=False)
    with pytest.raises(ValueError, match="no file is named"):
        InceptionV3()
