"""Images of a generator, as bytes."""

import pytest
import torch
from torch import nn

from gan_backbones.metrics.generated import draw_images


class Constant(nn.Module):
    """Images whose value is a latent's first number."""

    def forward(self, latents):
        return latents[:, :1, None, None].expand(-1, 1, 2, 2)


def test_images_are_those_of_seeded_latents_rounded_and_clamped():
    found = draw_images(Constant(), 3, 250, seed=5, progress=False)
    latents = torch.randn(250, 3, generator=torch.Generator().manual_seed(5))
    expected = ((latents[:, 0].clamp(-1, 1) + 1) * 127.5).round()
    assert found.shape == (250, 1, 2, 2) and found.dtype == torch.uint8
    assert torch.equal(found[:, 0, 1, 1].float(), expected)
    assert found.min() == 0 and found.max() == 255
    assert torch.equal(draw_images(Constant(), 3, 250, seed=5, progress=False), found)


def test_bytes_go_round():
    values = torch.arange(256) / 127.5 - 1
    network = nn.Sequential(nn.Flatten())
    network.forward = lambda latents: values.reshape(1, 1, 16, 16).expand(len(latents), -1, -1, -1)
    assert torch.equal(draw_images(network, 1, 1, seed=0, progress=False).flatten(), torch.arange(256).byte())


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        draw_images(Constant(), 3, 0, seed=0, progress=False)
    with pytest.raises(ValueError, match="not images"):
        draw_images(nn.Identity(), 3, 5, seed=0, progress=False)
    with pytest.raises(ValueError, match="diverged"):
        draw_images(nn.Sequential(Constant(), nn.Threshold(10, torch.nan)), 3, 5, seed=0, progress=False)
