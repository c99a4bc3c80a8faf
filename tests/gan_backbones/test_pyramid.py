"""Scales of an image and the fade between them."""

import pytest
import torch

from gan_backbones.layers import average_pool, fade_in, flatten_pixels, per_image, per_row, pyramid, upsample
from tests.gan_backbones.layer_tools import close, normal


def test_enlarging_by_hand():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert upsample(image).tolist() == [[expected]]
    assert average_pool(torch.arange(16.0).reshape(1, 1, 4, 4)).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


@pytest.mark.parametrize("shape", [(5, 3, 2, 4), (2, 5, 3, 2, 4)], ids=str)
@pytest.mark.parametrize("channels_last", [True, False])
def test_pooling_undoes_enlarging_whatever_the_memory_order(shape, channels_last):
    x = normal(*shape)
    if channels_last:
        x = x.movedim(-3, -1).contiguous().movedim(-1, -3)
    close(upsample(x), x.repeat_interleave(2, -1).repeat_interleave(2, -2))
    close(average_pool(upsample(x)), x, 0)
    close(flatten_pixels(x), x.flatten(-2).mT)


def test_both_differentiate_twice():
    x = normal(1, 1, 1, 2, 2).requires_grad_()
    for resize in (upsample, average_pool):
        assert torch.autograd.gradcheck(resize, x)
        assert torch.autograd.gradgradcheck(lambda value, resize=resize: resize(value).square(), x)


def test_a_pyramid_runs_from_coarse_to_fine():
    x = normal(2, 3, 8, 8)
    coarse, middle, fine = pyramid(x, 3)
    assert fine is x and middle.shape == (2, 3, 4, 4)
    close(coarse, x.unflatten(-1, (2, 4)).unflatten(-3, (2, 4)).mean((-3, -1)))


# Three scales: the share of the resolution, and the weights of the coarsest, the middle and the finest.
HATS = {
    0.0: (1, 0, 0),
    0.01: (1, 0, 0),
    0.25: (1, 0, 0),
    2**-1.75: (0.75, 0.25, 0),
    2**-1.5: (0.5, 0.5, 0),
    0.5: (0, 1, 0),
    2**-0.5: (0, 0.5, 0.5),
    2**-0.1: (0, 0.1, 0.9),
    1.0: (0, 0, 1),
}


@pytest.mark.parametrize("stage", HATS)
def test_fade_in_known_answers(stage):
    fades = torch.stack(fade_in(torch.tensor(stage, dtype=torch.float64), 3))
    assert fades.shape == (2,)
    hats = -torch.diff(torch.cat([torch.ones(1), fades, torch.zeros(1)]))
    close(hats, torch.tensor(HATS[stage], dtype=torch.float64), 1e-12)
    rows = fade_in(torch.tensor([1.0, stage, 0.25], dtype=torch.float64), 3)
    close(torch.stack(rows)[:, 1], fades, 0)


def test_one_scale_has_nothing_to_fade():
    assert fade_in(torch.ones(()), 1) == []


def test_shapes_of_factors():
    assert per_row(torch.ones(())).shape == (1, 1, 1, 1) and per_row(torch.ones(7)).shape == (7, 1, 1, 1, 1)
    assert per_image(torch.ones(7, 5)).shape == (7, 5, 1, 1, 1)
