import os

import numpy as np
import pytest
import torch
from PIL import Image

from gan_backbones.data import DataError, load_data
from gan_backbones.data.folder import read_image


def paint(path, colour, size=(20, 20), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def load(path, **options):
    return load_data(f"folder:{path}", resolution=16, progress=False, **options)


def colour_of(path):
    image = read_image(path, 16)
    assert image.shape == (3, 16, 16) and image.dtype == np.uint8
    assert (image == image[:, :1, :1]).all()
    return tuple(image[:, 0, 0].tolist())


def test_images_are_found_below_and_sorted_by_path(tmp_path):
    paint(tmp_path / "b.png", (3, 0, 0))
    paint(tmp_path / "a" / "z.BMP", (1, 0, 0))
    paint(tmp_path / "a" / "deep" / "x.gif", (2, 0, 0))
    paint(tmp_path / ".hidden.png", (9, 0, 0))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    data = load(tmp_path)
    assert data.samples.shape == (3, 3, 16, 16)
    assert data.samples[:, 0, 0, 0].tolist() == [2, 1, 3]  # a/deep/x.gif, a/z.BMP, b.png
    assert (data.name, data.skipped, dict(data.attributes), data.mixture) == (f"folder:{tmp_path}", 0, {}, None)


def test_a_path_may_hold_a_colon(tmp_path):
    paint(tmp_path / "a:b" / "x.png", "red")
    assert len(load(tmp_path / "a:b")) == 1


def test_modes_become_rgb(tmp_path):
    assert colour_of(paint(tmp_path / "grey.png", 77, mode="L")) == (77, 77, 77)
    assert colour_of(paint(tmp_path / "bits.png", 1, mode="1")) == (255, 255, 255)
    assert colour_of(paint(tmp_path / "cmyk.jpg", (0, 255, 255, 0), mode="CMYK")) == pytest.approx((255, 0, 0), abs=3)
    assert colour_of(paint(tmp_path / "red.webp", (255, 0, 0), lossless=True)) == (255, 0, 0)
    assert colour_of(paint(tmp_path / "clear.png", (0, 0, 0, 0), mode="RGBA")) == (255, 255, 255)
    assert colour_of(paint(tmp_path / "half.png", (0, 0, 0, 51), mode="RGBA")) == (204, 204, 204)
    assert colour_of(paint(tmp_path / "grey_alpha.png", (0, 0), mode="LA")) == (255, 255, 255)


def test_sixteen_bits_are_scaled(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((20, 20), 257 * 200, dtype=np.uint16)).save(path)
    assert colour_of(path) == (200, 200, 200)


def test_a_palette_is_looked_up(tmp_path):
    picture = Image.new("P", (20, 20), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.save(tmp_path / "palette.png")
    picture.save(tmp_path / "clear.png", transparency=1)
    assert colour_of(tmp_path / "palette.png") == (10, 20, 30)
    assert colour_of(tmp_path / "clear.png") == (255, 255, 255)


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert colour_of(tmp_path / "film.gif") == (255, 0, 0)


def test_the_centre_square_is_kept_without_its_surroundings(tmp_path):
    wide = Image.new("RGB", (96, 32), "red")
    wide.paste("lime", (32, 0, 64, 32))
    wide.save(tmp_path / "wide.png")
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "tall.png")
    assert colour_of(tmp_path / "wide.png") == colour_of(tmp_path / "tall.png") == (0, 255, 0)


def test_shrinking_averages(tmp_path):
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    assert np.abs(read_image(tmp_path / "stripes.png", 16).astype(int) - 127).max() <= 12


def test_a_rotated_photograph_is_set_upright(tmp_path):
    picture = Image.new("RGB", (32, 32), "white")
    picture.paste("black", (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 3  # orientation: turned by 180 degrees
    picture.save(tmp_path / "turned.jpg", exif=exif)
    image = read_image(tmp_path / "turned.jpg", 16)
    assert image[:, 2].min() > 240 and image[:, -3].max() < 15


def break_image(path, kind):
    if kind == "text":
        path.write_text("this is not a picture")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("kind", ["text", "empty", "truncated"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".gif"])
def test_a_broken_image_is_named_and_counted(tmp_path, kind, suffix):
    paint(tmp_path / "good.png", "red")
    break_image(tmp_path / f"bad{suffix}", kind)
    with pytest.warns(UserWarning, match="skipped broken image") as caught:
        data = load(tmp_path)
    assert (len(data), data.skipped, len(caught)) == (1, 1, 1)
    assert f"bad{suffix}" in str(caught[0].message) and "\n" not in str(caught[0].message)


def test_many_broken_images_end_in_a_summary(tmp_path):
    paint(tmp_path / "good.png", "red")
    for number in range(7):
        break_image(tmp_path / f"bad{number}.png", "text")
    with pytest.warns(UserWarning) as caught:
        data = load(tmp_path)
    assert data.skipped == 7 and len(caught) == 6
    assert "skipped 7 broken images" in str(caught[-1].message)


def test_a_decompression_bomb_counts_as_broken(tmp_path, monkeypatch):
    paint(tmp_path / "good.png", "red")
    paint(tmp_path / "huge.png", "red", size=(30, 30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.warns(UserWarning, match="huge.png.*decompression bomb"):
        assert load(tmp_path).skipped == 1


def test_count_keeps_a_seeded_choice_in_the_order_of_paths(tmp_path):
    for number in range(10):
        paint(tmp_path / f"{number}.png", (number, 0, 0))

    def chosen(**options):
        return load(tmp_path, **options).samples[:, 0, 0, 0].tolist()

    assert chosen() == chosen(count=50, seed=4) == list(range(10))
    some = chosen(count=4)
    assert some == chosen(count=4) == sorted(some) and len(set(some)) == 4
    assert len({tuple(chosen(count=4, seed=seed)) for seed in range(5)}) > 1


def test_count_is_met_in_spite_of_broken_images(tmp_path):
    for number in range(4):
        paint(tmp_path / f"{number}.png", "red")
        break_image(tmp_path / f"bad{number}.png", "text")
    with pytest.warns(UserWarning):
        assert len(load(tmp_path, count=4)) == 4


def refused(path):
    with pytest.raises(DataError) as caught:
        load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_folder_without_images_is_a_clear_mistake(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "does not exist" in refused(tmp_path / "missing")
    assert "no image" in refused(tmp_path / "empty")
    assert "is not a directory" in refused(paint(tmp_path / "picture.png", "red"))
    assert "cannot read" in refused(tmp_path / ("x" * 5000))


@pytest.mark.filterwarnings("ignore:skipped broken image")
def test_a_folder_of_broken_images_is_a_clear_mistake(tmp_path):
    break_image(tmp_path / "bad.png", "text")
    assert "no usable image" in refused(tmp_path)


def test_unreadable_folders(tmp_path, monkeypatch):
    paint(tmp_path / "good.png", "red")
    locked = tmp_path / "locked"
    locked.mkdir()
    scan = os.scandir

    def guard(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", guard)
    assert "Permission denied" in refused(locked)
    with pytest.warns(UserWarning, match="locked: Permission denied; left out"):
        assert len(load(tmp_path)) == 1


def test_the_home_directory_is_understood(tmp_path, monkeypatch):
    paint(tmp_path / "pictures" / "x.png", "red")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert torch.equal(load("~/pictures").samples, load(tmp_path / "pictures").samples)
