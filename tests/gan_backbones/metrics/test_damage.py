"""Every kind of damage: shape, range, no effect on its input, reproducible, and worse with its strength."""

import pytest
import torch
from torch import Tensor

from gan_backbones.metrics.damage import DAMAGES, damaged, gaussian_blur


def images(channels: int = 3, height: int = 16, width: int = 16) -> Tensor:
    rows, columns = torch.linspace(-0.8, 0.8, height)[:, None], torch.linspace(-0.5, 0.9, width)
    tints = torch.rand(12, channels, 1, 1, generator=torch.Generator().manual_seed(1)) - 0.5
    return (rows * columns + tints).clamp(-1, 1)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 16), (3, 18, 25)])
@pytest.mark.parametrize("kind", DAMAGES)
def test_contract(kind: str, shape: tuple[int, int, int]) -> None:
    clean = images(*shape)
    before = clean.clone()
    state = torch.get_rng_state()
    strengths = torch.linspace(0, 1, len(clean))
    result = damaged(clean, kind, strengths, torch.Generator().manual_seed(2))
    assert result.shape == clean.shape and result.isfinite().all() and result.abs().max() <= 1
    assert torch.equal(clean, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(result, damaged(clean, kind, strengths, torch.Generator().manual_seed(2)))


@pytest.mark.parametrize("kind", DAMAGES)
def test_stronger_is_further_from_the_original(kind: str) -> None:
    clean = images()
    weak, strong = (
        (damaged(clean, kind, strength, torch.Generator().manual_seed(3)) - clean).square().mean()
        for strength in (0.1, 0.9)
    )
    assert strong > 0.001
    assert kind in {"pure_noise", "random_generator"} or weak < strong / 2  # those two never show the original


def test_blur_keeps_a_constant_and_the_mean_of_a_dot() -> None:
    constant = torch.full((2, 3, 16, 16), 0.3)
    torch.testing.assert_close(gaussian_blur(constant, 2.0), constant)
    dot = torch.zeros(1, 1, 33, 33)
    dot[..., 16, 16] = 1
    blurred = gaussian_blur(dot, 2.0)
    assert blurred.sum().item() == pytest.approx(1, rel=1e-5)
    offsets = torch.arange(33) - 16.0
    assert (blurred.sum((0, 1, 2)) * offsets**2).sum().item() == pytest.approx(4, rel=0.1)  # sigma^2, cut at 2.5 sigma


def test_block_swap_moves_blocks_whole() -> None:
    clean = torch.arange(16.0).reshape(4, 4).repeat_interleave(4, 0).repeat_interleave(4, 1)[None, None] / 16
    mixed = damaged(clean, "block_swap", 1.0, torch.Generator().manual_seed(4))
    blocks = mixed.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)
    assert torch.equal(blocks.amin(-1), blocks.amax(-1))
    assert set(mixed.unique().tolist()) <= set(clean.unique().tolist())


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'scratch'; choose from noise"):
        damaged(images(), "scratch", 0.5, torch.Generator())
