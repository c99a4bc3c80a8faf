"""Pictures of samples, pixel by pixel."""

import numpy as np
import torch

from gan_backbones.data import load_data
from gan_env.render import draw_samples, image_grid, scatter


def test_a_grid_puts_images_side_by_side():
    images = torch.stack([torch.full((1, 2, 2), value) for value in (-1.0, 0.0, 1.0)])
    picture = image_grid(images, columns=2)
    assert picture.dtype == np.uint8 and picture.shape == (256, 256, 3)
    assert (picture[:128, :128] == 0).all() and (picture[:128, 128:] == 128).all()
    assert (picture[128:, :128] == 255).all() and (picture[128:, 128:] == 0).all(), "the gap is black"


def test_a_grid_keeps_colours_and_orientation():
    image = torch.full((3, 2, 2), -1.0)
    image[0, 0, 0] = 1.0  # red, top left
    image[2, 1, 0] = 1.0  # blue, bottom left
    picture = image_grid(image[None])
    assert picture[0, 0].tolist() == [255, 0, 0] and picture[-1, 0].tolist() == [0, 0, 255]
    assert not picture[:, -1].any()


def test_a_grid_is_about_square():
    assert image_grid(torch.zeros(10, 1, 64, 64)).shape == (3 * 64, 4 * 64, 3)
    assert image_grid(torch.zeros(64, 3, 16, 16)).shape == (256, 256, 3)


def test_images_that_are_not_finite_or_out_of_range_are_drawn():
    images = torch.tensor([float("nan"), float("inf"), -7.0, 7.0]).view(4, 1, 1, 1)
    assert [int(image_grid(images, columns=4)[0, 64 * i, 0]) for i in range(4)] == [0, 0, 0, 255]


def marks(points, background=None):
    """Rows and columns of coloured pixels."""
    background = torch.empty(0, 2) if background is None else background
    picture = scatter(points, background)
    return np.argwhere((picture != 255).any(2)), picture


def test_points_land_where_they_belong():
    for point, corner in (
        ((0.0, 0.0), (127, 128)),
        ((2.4, 0.0), (127, 250)),
        ((0.0, 2.4), (5, 128)),  # the second axis points upwards
        ((-2.4, -2.4), (250, 5)),
    ):
        found, picture = marks(torch.tensor([point]))
        assert len(found) == 4 and np.abs(found - corner).max() <= 2
        assert {tuple(picture[row, col]) for row, col in found} == {(200, 40, 40)}


def test_samples_lie_over_the_data():
    point = torch.tensor([[0.5, 0.5]])
    found, picture = marks(point, point)
    assert {tuple(picture[row, col]) for row, col in found} == {(200, 40, 40)}
    found, picture = marks(torch.empty(0, 2), point)
    assert {tuple(picture[row, col]) for row, col in found} == {(190, 190, 190)}


def test_points_beyond_the_edge_or_not_finite_are_left_out():
    wild = torch.tensor([[9.0, 0.0], [0.0, -9.0], [float("nan"), 0.0], [0.0, float("inf")], [1e30, 1e30], [-1e30, 0.0]])
    found, _ = marks(wild)
    assert len(found) == 0


def test_the_kind_of_data_decides():
    ring = load_data("ring", count=100)
    assert draw_samples(torch.zeros(5, 2), ring).shape == (256, 256, 3)
    digits = load_data("digits", resolution=16, count=10)
    assert draw_samples(torch.zeros(4, 1, 16, 16), digits).shape == (256, 256, 3)
    assert not draw_samples(torch.full((4, 1, 16, 16), -1.0), digits).any()
