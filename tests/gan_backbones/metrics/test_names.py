"""Extractors by name, any module as an extractor, and the names of numbers."""

import pytest
import torch
from torch import nn

from gan_backbones.metrics import EfficientNetLite0, ModuleExtractor, extract, make_extractor, name_number


def small_network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Conv2d(3, 5, 8, stride=8)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=generator)
    return nn.Sequential(layer, nn.Dropout(), nn.Flatten())


@pytest.mark.parametrize("name", ["efficientnet-lite0@64", "efficientnet-lite0@128", "efficientnet-lite0@32/6"])
def test_a_name_makes_what_bears_it(name):
    assert make_extractor(name).name == name


def test_a_number_carries_extractor_resolution_and_n():
    assert name_number("FD", EfficientNetLite0(224), 5000) == "FD efficientnet-lite0@224, n=5000"


@pytest.mark.parametrize("name", ["vgg", "efficientnet-lite0", "efficientnet-lite0@50", "efficientnet-lite0@64/17"])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(ValueError, match=r"known: .*inception|multiple of 32|blocks"):
        make_extractor(name)


def test_weights_go_with_inception_alone(tmp_path):
    with pytest.raises(ValueError, match="go with extractor 'inception'"):
        make_extractor("efficientnet-lite0@64", inception_weights=tmp_path)


def test_any_module_is_an_extractor():
    module = small_network()
    extractor = ModuleExtractor(module, "mine", 16, batch_size=3)
    assert extractor.width == 20 and extractor.name.startswith("mine-") and extractor.name.endswith("@16")
    images = torch.randint(256, (7, 1, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    features = extract(extractor, images, progress=False, label="test")
    expected = module.eval()((images / 127.5 - 1).expand(-1, 3, -1, -1))
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
    assert not features.requires_grad
    same, other = (ModuleExtractor(small_network(seed), "mine", 16) for seed in (0, 1))
    assert same.name == extractor.name != other.name  # the name tells the weights


def test_what_is_no_extractor_is_refused():
    with pytest.raises(ValueError, match="label"):
        ModuleExtractor(small_network(), "a/b", 16)
    with pytest.raises(ValueError, match="at least 1"):
        ModuleExtractor(small_network(), "mine", 0)
    with pytest.raises(ValueError, match=r"not \(2, width\)"):
        ModuleExtractor(nn.Identity(), "mine", 16)
