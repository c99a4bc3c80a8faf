"""The proxy extractor: its interface, its cost, and what a tiny distillation already learns."""

import pytest
import torch
from torch import Tensor, nn

from gan_backbones.metrics import DiagonalReference, ProxyExtractor, distil_proxy
from gan_backbones.metrics.damage import damaged, smooth_fields
from gan_backbones.metrics.proxy import DistillationBudget

TINY = DistillationBudget(teacher_images=320, gans=0, steps=150, batch_size=64)


def real_images(count: int, seed: int, channels: int = 3) -> Tensor:
    """Discs of random tint and place on a smooth ground; uint8 (count, channels, 16, 16)."""
    generator = torch.Generator().manual_seed(seed)
    ground = 0.4 * smooth_fields((count, channels, 16, 16), generator)
    centre = 6 + 4 * torch.rand(count, 2, 1, 1, generator=generator)
    rows, columns = torch.arange(16.0)[:, None], torch.arange(16.0)
    inside = ((rows - centre[:, :1]) ** 2 + (columns - centre[:, 1:]) ** 2) < 16
    tint = 2 * torch.rand(count, channels, 1, 1, generator=generator) - 1
    return ((torch.where(inside, tint, ground).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def as_float(samples: Tensor) -> Tensor:
    return samples.float() / 127.5 - 1


@pytest.fixture(scope="module")
def student() -> ProxyExtractor:
    return distil_proxy(real_images(256, seed=1), seed=0, progress=False, budget=TINY)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 16), (3, 32, 32), (1, 8, 8), (3, 40, 24)])
def test_any_image_gives_32_features(student: ProxyExtractor, shape: tuple[int, int, int]) -> None:
    images = 2 * torch.rand(5, *shape, generator=torch.Generator().manual_seed(2)) - 1
    features = student(images)
    assert features.shape == (5, 32) and features.dtype == torch.float32
    assert not features.requires_grad and not student.training
    torch.testing.assert_close(features[3:4], student(images[3:4]), rtol=1e-5, atol=1e-6)


def test_one_channel_is_three_equal_ones_and_large_images_are_averaged(student: ProxyExtractor) -> None:
    images = 2 * torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(3)) - 1
    grey = images[:, :1]
    torch.testing.assert_close(student(grey), student(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)
    large = images.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(student(large), student(images), rtol=1e-4, atol=1e-5)


def test_cost_is_what_the_docstring_says() -> None:
    extractor = ProxyExtractor()
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel()

    extractor.second.register_forward_hook(count)
    extractor.third.register_forward_hook(count)
    extractor.head.register_forward_hook(count)
    extractor(torch.zeros(1, 3, 16, 16))
    first = extractor.first.weight.numel() * 8 * 8  # applied as a function, one output for every second pixel
    assert first + total == 137_216


def test_same_seed_same_student_and_no_global_state(student: ProxyExtractor) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    again = distil_proxy(real_images(256, seed=1), seed=0, progress=False, budget=TINY)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    other = distil_proxy(real_images(256, seed=1), seed=1, progress=False, budget=TINY)
    assert not torch.equal(other.head.weight, again.head.weight)


def test_distances_order_damage_by_its_strength(student: ProxyExtractor) -> None:
    reference = DiagonalReference.fit(student(as_float(real_images(1024, seed=4))))
    fresh = as_float(real_images(256, seed=5))
    own = reference.distance(student(fresh))[0].item()
    for kind in ("noise", "blur", "colour", "mean_image", "constant"):
        distances = [own]
        for strength in (0.4, 0.7, 1.0):
            images = damaged(fresh, kind, strength, torch.Generator().manual_seed(6))
            distances.append(reference.distance(student(images))[0].item())
        assert distances == sorted(distances), (kind, distances)


def test_one_perfect_image_repeated_is_worse_than_a_blurry_crowd(student: ProxyExtractor) -> None:
    reference = DiagonalReference.fit(student(as_float(real_images(1024, seed=4))))
    fresh = as_float(real_images(256, seed=5))
    blurry, _ = reference.distance(student(damaged(fresh, "blur", 0.4, torch.Generator().manual_seed(7))))
    repeated, spread = reference.distance(student(fresh[:32])[:, None].expand(-1, 256, -1))  # (32,), one each
    assert repeated.median() > blurry and spread.max() < 1e-3


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="uint8"):
        distil_proxy(torch.zeros(4, 3, 16, 16), seed=0, progress=False)
    with pytest.raises(ValueError, match="M >= 2"):
        distil_proxy(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), seed=0, progress=False)
    with pytest.raises(ValueError, match="C 1 or 3"):
        ProxyExtractor()(torch.zeros(4, 2, 16, 16))
    with pytest.raises(ValueError, match="teacher_images"):
        DistillationBudget(teacher_images=10)
    with pytest.raises(ValueError, match="real_share"):
        DistillationBudget(real_share=1.0)
