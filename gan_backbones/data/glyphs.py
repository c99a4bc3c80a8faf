"""Coloured letters, drawn on the spot in the text fonts that come with matplotlib (see THIRD_PARTY.md).

A letter has a font, a colour on a background of enough contrast, and a size, a place and a slight turn of its own.
"""

from __future__ import annotations

import colorsys
import functools
import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps, features
from tqdm import tqdm

from gan_backbones.data import cache
from gan_backbones.data.dataset import DataSet

RESOLUTIONS = (16, 32, 64, 128)
_DEFAULT_RESOLUTION = 32
_DEFAULT_COUNT = 4096
_FEWEST_FOR_BAR = 1024
# Raise it when a change here alters a pixel or a label: cached letters of another version are not used.
_VERSION = 1

# The capitals, and the small letters that are no small capitals, as in EMNIST Balanced (Cohen et al. 2017,
# arXiv:1702.05373, section II).
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
# Text fonts of which the licence is in matplotlib's package.
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
)
Range = tuple[float, float]
# Ranges of hue (in turns), saturation and value. Gaps between the hues keep the names apart.
COLOURS: dict[str, tuple[Range, Range, Range]] = {
    "black": ((0, 1), (0, 0.2), (0, 0.15)),
    "grey": ((0, 1), (0, 0.1), (0.35, 0.7)),
    "white": ((0, 1), (0, 0.08), (0.93, 1)),
    "red": ((-0.02, 0.02), (0.75, 1), (0.6, 0.95)),
    "orange": ((0.06, 0.1), (0.75, 1), (0.85, 1)),
    "yellow": ((0.14, 0.17), (0.6, 1), (0.85, 1)),
    "green": ((0.28, 0.4), (0.6, 1), (0.4, 0.85)),
    "cyan": ((0.48, 0.52), (0.5, 1), (0.7, 1)),
    "blue": ((0.58, 0.66), (0.65, 1), (0.5, 1)),
    "purple": ((0.72, 0.79), (0.5, 1), (0.45, 0.85)),
    "pink": ((0.87, 0.93), (0.3, 0.7), (0.85, 1)),
}
_LEAST_CONTRAST = 3.0  # what WCAG 2.2 (success criterion 1.4.3) asks of large text
_ATTRIBUTES = {"letter": LETTERS, "font": FONTS, "colour": tuple(COLOURS), "background": tuple(COLOURS)}

_EXTENT = (0.5, 0.8)  # the longer side of the upright letter, as a share of the picture
_LARGEST_TURN = 15.0  # degrees, either way
_SMALLEST_DRAWING = 128  # pixels; drawn at twice the resolution at least, then averaged down
_MARGIN = 2  # pixels of paper round a drawn letter, between which and the ink the turned edge is interpolated


@dataclass(frozen=True)
class Glyph:
    """One picture: value indices in the order of the attributes, colours as RGB in 0..255, and the layout.

    ``extent``: the longer side as a share of the picture; ``turn``: degrees against the clock; ``place``: in [0, 1)
    on both axes, from one edge of the picture to the other.
    """

    labels: tuple[int, int, int, int]
    ink: tuple[int, ...]
    paper: tuple[int, ...]
    extent: float
    turn: float
    place: tuple[float, float]


def load_glyphs(
    resolution: int | None, seed: int, count: int | None, cache_dir: Path | None, progress: bool
) -> DataSet:
    """``count`` letters (default 4096) of ``resolution`` pixels (default 32): uint8 (M, 3, R, R).

    Attributes: ``letter``, ``font``, ``colour`` and ``background``. Letter i depends on ``seed`` and i alone: a
    smaller ``count`` gives the first letters of a larger one. The first call fills the cache; later ones read it.
    """
    size = _DEFAULT_RESOLUTION if resolution is None else resolution
    number = _DEFAULT_COUNT if count is None else count
    # All that a pixel depends on. Another release of a library may draw differently.
    recipe = {
        "name": "glyphs",
        "version": _VERSION,
        "resolution": size,
        "seed": seed,
        "count": number,
        "matplotlib": version("matplotlib"),
        "pillow": version("pillow"),
        "freetype": features.version("freetype2"),
    }
    libraries = f"matplotlib{recipe['matplotlib']}-pillow{recipe['pillow']}"
    file = f"glyphs-v{_VERSION}-{size}px-seed{seed}-{number}-{libraries}.safetensors"

    def draw() -> dict[str, torch.Tensor]:
        images = np.empty((number, 3, size, size), dtype=np.uint8)
        labels = np.empty((number, len(_ATTRIBUTES)), dtype=np.int64)
        hidden = True if not progress or number < _FEWEST_FOR_BAR else None  # None: on a terminal, not in a log file
        bar = tqdm(range(number), desc=f"drawing glyphs at {size} px", unit="glyph", leave=False, disable=hidden)
        for index in bar:
            glyph = sample_glyph(seed, index)
            labels[index], images[index] = glyph.labels, render_glyph(glyph, size)
        columns = {name: torch.from_numpy(labels[:, column].copy()) for column, name in enumerate(_ATTRIBUTES)}
        return columns | {"samples": torch.from_numpy(images)}

    def use(tensors: dict[str, torch.Tensor]) -> DataSet:
        return DataSet(
            name="glyphs",
            samples=tensors["samples"],
            attributes={name: tensors[name] for name in _ATTRIBUTES},
            attribute_values=_ATTRIBUTES,
            mixture=None,
        )

    return cache.load_or_compute(cache.cache_folder(cache_dir) / "data" / file, recipe, draw, use)


def sample_glyph(seed: int, index: int) -> Glyph:
    """Glyph ``index`` of ``seed``. Letter, font and colour are uniform and independent.

    The background is uniform over the colours too, drawn again until the contrast suffices.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
    letter, font, colour, background = (int(generator.integers(len(values))) for values in _ATTRIBUTES.values())
    extent, turn, *place = generator.random(4).tolist()
    ink, paper = _pick_colour(colour, generator), _pick_colour(background, generator)
    while contrast(ink, paper) < _LEAST_CONTRAST:  # ends: any colour has 3 to black or to white
        background = int(generator.integers(len(COLOURS)))
        paper = _pick_colour(background, generator)
    return Glyph(
        labels=(letter, font, colour, background),
        ink=ink,
        paper=paper,
        extent=_EXTENT[0] + extent * (_EXTENT[1] - _EXTENT[0]),
        turn=_LARGEST_TURN * (2 * turn - 1),
        place=(place[0], place[1]),
    )


def render_glyph(glyph: Glyph, resolution: int) -> NDArray[np.uint8]:
    """The picture: uint8 (3, resolution, resolution). ``resolution`` is a power of two."""
    size = max(2 * resolution, _SMALLEST_DRAWING)
    letter, font_name = LETTERS[glyph.labels[0]], FONTS[glyph.labels[1]]
    font = _font(font_name, 100.0 * glyph.extent * size / _longest_at_100(font_name, letter))
    mask = _draw_ink(font, letter)
    width, height = mask.size
    mask = ImageOps.expand(mask, _MARGIN)

    # Turned about its centre, which then moves to a place where all of the letter is within the picture.
    cosine, sine = math.cos(math.radians(glyph.turn)), math.sin(math.radians(glyph.turn))
    x = size / 2 + (glyph.place[0] - 0.5) * max(0.0, size - width * cosine - height * abs(sine))
    y = size / 2 + (glyph.place[1] - 0.5) * max(0.0, size - width * abs(sine) - height * cosine)
    middle_x, middle_y = mask.width / 2, mask.height / 2
    # Where in the mask a point of the picture comes from.
    matrix = (cosine, -sine, middle_x - cosine * x + sine * y, sine, cosine, middle_y - sine * x - cosine * y)
    turned = mask.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)

    share_of_ink = np.asarray(turned.reduce(size // resolution), dtype=np.int64)[None]
    ink, paper = (np.array(colour)[:, None, None] for colour in (glyph.ink, glyph.paper))
    return ((share_of_ink * ink + (255 - share_of_ink) * paper + 127) // 255).astype(np.uint8)


def contrast(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    """The contrast ratio of two sRGB colours (0..255), from 1 to 21, as WCAG 2.2 defines it."""
    lower, higher = sorted((_luminance(first), _luminance(second)))
    return (higher + 0.05) / (lower + 0.05)


def _luminance(colour: tuple[int, ...]) -> float:
    """Relative luminance of an sRGB colour as WCAG 2.2 defines it."""
    shares = [value / 255 for value in colour]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _pick_colour(index: int, generator: np.random.Generator) -> tuple[int, ...]:
    """A random RGB colour (0..255) that bears the name with this index."""
    ranges = tuple(COLOURS.values())[index]
    hue, saturation, value = (
        low + (high - low) * uniform for (low, high), uniform in zip(ranges, generator.random(3).tolist(), strict=True)
    )
    return tuple(round(255 * share) for share in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _draw_ink(font: ImageFont.FreeTypeFont, letter: str) -> Image.Image:
    """The letter in white on black, cut to its ink."""
    left, top, right, bottom = font.getbbox(letter)  # from the origin to the advance, which is wider than the ink
    mask = Image.new("L", (math.ceil(right - left), math.ceil(bottom - top)))
    ImageDraw.Draw(mask).text((-left, -top), letter, font=font, fill=255)
    return mask.crop(mask.getbbox())


@functools.cache
def _longest_at_100(font_name: str, letter: str) -> int:
    """Height or width of the letter's ink, whichever is more, in pixels at font size 100."""
    return max(_draw_ink(_font(font_name, 100.0), letter).size)


def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    """One of matplotlib's fonts; the basic layout, because the other one depends on what is installed."""
    import matplotlib

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
