"""The cached proxy and reference statistics of a data set."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gan_backbones.data import DataError, DataSet
from gan_backbones.data.cache import save_entry
from gan_backbones.metrics import (
    EfficientNetLite0,
    GaussianReference,
    ProxyExtractor,
    load_proxy,
    load_real_features,
    load_reference,
    proxy,
    references,
)
from gan_backbones.metrics.extractors import judge


def data_set(count: int = 12, seed: int = 0, name: str = "tiny") -> DataSet:
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randint(256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    return DataSet(name, samples, {}, {}, None)


@pytest.fixture
def distillations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces the distillation by a random student; holds one number per call."""
    calls: list[int] = []

    def distil(samples: torch.Tensor, *, seed: int, progress: bool) -> ProxyExtractor:
        calls.append(len(samples))
        student = ProxyExtractor().requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        for parameter in student.parameters():
            parameter.normal_(generator=generator)
        return student.eval()

    monkeypatch.setattr(references, "distil_proxy", distil)
    return calls


def test_proxy_is_distilled_once(tmp_path: Path, distillations: list[int]) -> None:
    data = data_set()
    student, reference = load_proxy(data, cache_dir=tmp_path, progress=False)
    again, same = load_proxy(data_set(name="renamed"), cache_dir=tmp_path, progress=False)
    assert distillations == [12]
    images = data.batch(range(12))
    assert torch.equal(student(images), again(images))
    assert not again.training and not any(parameter.requires_grad for parameter in again.parameters())
    features = student(images)
    for found in (reference, same):
        torch.testing.assert_close(found.mean, features.double().mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.deviation, features.double().std(0), rtol=1e-5, atol=1e-6)


def test_other_samples_get_their_own_proxy(tmp_path: Path, distillations: list[int]) -> None:
    load_proxy(data_set(), cache_dir=tmp_path, progress=False)
    load_proxy(data_set(seed=1), cache_dir=tmp_path, progress=False)
    assert len(distillations) == 2


def test_another_recipe_gets_its_own_entry(
    tmp_path: Path, distillations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_proxy(data_set(), cache_dir=tmp_path, progress=False)
    monkeypatch.setattr(proxy, "RECIPE", proxy.RECIPE + 1)
    load_proxy(data_set(), cache_dir=tmp_path, progress=False)
    assert len(distillations) == 2 and len(list(tmp_path.rglob("proxy-*"))) == 2


@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_bad_entry_is_told_in_one_line_and_computed_again(
    tmp_path: Path, distillations: list[int], damage: str
) -> None:
    data = data_set()
    student, _ = load_proxy(data, cache_dir=tmp_path, progress=False)
    (entry,) = tmp_path.rglob("*.safetensors")
    if damage == "truncated":
        entry.write_bytes(entry.read_bytes()[:-100])
    else:
        save_entry(entry, {"mean": torch.zeros(2)}, {})
    with pytest.warns(UserWarning, match="computing it again") as caught:
        again, _ = load_proxy(data, cache_dir=tmp_path, progress=False)
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert len(distillations) == 2
    assert torch.equal(student.head.weight, again.head.weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_proxy(data, cache_dir=tmp_path, progress=False)  # whole again
    assert len(distillations) == 2


def test_reference_is_the_extractor_on_real_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_set()
    features = judge()(data.batch(range(12)))
    expected = GaussianReference.fit(features)
    first = load_reference(data, judge(), cache_dir=tmp_path, progress=False)
    monkeypatch.setattr(references, "extract", None)  # the second time there is nothing to extract
    second = load_reference(data, judge(), cache_dir=tmp_path, progress=False)
    for found in (first, second):
        torch.testing.assert_close(found.mean, expected.mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.covariance, expected.covariance, rtol=1e-3, atol=1e-5)


def test_features_are_kept_apart_by_data_extractor_and_count(tmp_path: Path) -> None:
    small, other = EfficientNetLite0(32, blocks=2), EfficientNetLite0(64, blocks=2)
    cases = [(data_set(), small, 12), (data_set(), small, 5), (data_set(), other, 12), (data_set(seed=1), small, 12)]
    found = [
        load_real_features(data, extractor, count=count, cache_dir=tmp_path, progress=False)
        for data, extractor, count in cases
    ]
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(cases)
    assert torch.equal(found[0][:5], found[1])
    assert not torch.equal(found[0], found[2]) and not torch.equal(found[0], found[3])
    more = load_real_features(data_set(), small, count=50, cache_dir=tmp_path, progress=False)
    assert torch.equal(more, found[0])  # the data set has no more, and the entry is the same


@pytest.mark.parametrize("position", [-1, 200])
def test_one_changed_byte_is_noticed(tmp_path: Path, position: int) -> None:
    data, extractor = data_set(), EfficientNetLite0(32, blocks=1)
    features = load_real_features(data, extractor, cache_dir=tmp_path, progress=False)
    (entry,) = tmp_path.rglob("*.safetensors")
    content = bytearray(entry.read_bytes())
    content[position] ^= 1
    entry.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged.*computing it again"):
        again = load_real_features(data, extractor, cache_dir=tmp_path, progress=False)
    assert torch.equal(again, features)


def test_a_count_of_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        load_real_features(data_set(), judge(), count=1, cache_dir=tmp_path, progress=False)


@pytest.mark.parametrize("load", [load_proxy, lambda data, **options: load_reference(data, judge(), **options)])
def test_points_are_refused(load: Callable[..., object], tmp_path: Path) -> None:
    points = DataSet("ring", torch.zeros(5, 2), {}, {}, None)
    with pytest.raises(DataError, match=r"'ring'.*squared_sliced_wasserstein"):
        load(points, cache_dir=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())
