"""Draws cartoon faces. Imports nothing of this project, so that worker processes can run it as a plain script:

python _render.py SEED START STOP STEP RESOLUTION     # raw uint8 (3, R, R) images on standard output
"""

from __future__ import annotations

import functools
import io
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

# Raise it when a change here alters a pixel or a label: cached faces of another version are not used.
VERSION = 1

# Left, top, width and height in units of the drawing: the head fills the square, hair and shoulders just fit.
_VIEW_BOX = "28 13 208 208"
# Smaller faces are drawn at this size and averaged down, which keeps thin lines clean.
_SMALLEST_DRAWING = 64


@dataclass(frozen=True)
class Attribute:
    """One independent choice: its values, and the probability of the first (None: all are equally likely)."""

    name: str
    values: tuple[str, ...]
    first_probability: float | None = None

    def probabilities(self) -> tuple[float, ...]:
        """The probability of each value, in the order of ``values``."""
        count = len(self.values)
        first = 1 / count if self.first_probability is None else self.first_probability
        return (first, *[(1 - first) / (count - 1)] * (count - 1))

    def pick(self, uniform: float) -> int:
        """The index of the value that ``uniform``, a number in [0, 1), chooses."""
        edges = np.cumsum(self.probabilities())[:-1]
        return int(np.searchsorted(edges, uniform, side="right"))


_BACKGROUND_COLOURS = {
    "white": "#FFFFFF",
    "grey": "#CBD2D6",
    "blue": "#B1E2FF",
    "green": "#B5F5C8",
    "lilac": "#D9C8FF",
    "yellow": "#FFF7B0",
}

# Names of python-avatars' parts in lower case. They are listed, not read from the package, so that parts which
# somebody installed into it change nothing. Left out: what hides another attribute (helmets, veils), ignores the
# hair colour, differs by a few pixels, or disgusts. A hat takes the colour of the clothes.
_HAIR = """none big_hair bob bun caesar caesar_side_part cornrows curly curvy fro frizzle long_not_too_long mia_wallace
    mohawk mowgli pixie pompadour quiff shaggy short_curly short_dreads_1 short_dreads_2 short_flat straight_1
    straight_strand wild turban winter_hat_3"""
_HATS = ("turban", "winter_hat_3")

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("hair", tuple(_HAIR.split())),
    Attribute("hair_colour", ("black", "brown", "auburn", "red", "blonde_golden", "platinum", "pastel_pink")),
    Attribute("skin_colour", ("pale", "light", "tanned", "yellow", "brown", "dark_brown", "black")),
    Attribute("accessory", ("none", "prescription_1", "prescription_2", "round", "wayfarers", "kurt"), 0.5),
    Attribute("facial_hair", ("none", "beard_light", "beard_medium", "beard_magestic", "moustache_magnum"), 0.6),
    Attribute("eyes", ("default", "closed", "eye_roll", "happy", "side", "squint", "surprised", "wink")),
    Attribute("eyebrows", ("default_natural", "angry_natural", "flat_natural", "raised_excited", "sad_concerned")),
    Attribute("mouth", ("smile", "big_smile", "concerned", "grimace", "sad", "scream_open", "serious", "twinkle")),
    Attribute("clothing", ("shirt_crew_neck", "shirt_v_neck", "collar_sweater", "hoodie", "blazer_shirt", "overall")),
    Attribute("clothing_colour", ("black", "white", "blue_02", "blue_03", "gray_02", "pastel_green", "pink", "red")),
    Attribute("background", tuple(_BACKGROUND_COLOURS)),
)


def sample_attributes(seed: int, index: int) -> tuple[int, ...]:
    """The value indices of face ``index``, in the order of `ATTRIBUTES`: a function of (seed, index) alone."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
    uniforms = generator.random(len(ATTRIBUTES))
    return tuple(attribute.pick(float(uniform)) for attribute, uniform in zip(ATTRIBUTES, uniforms, strict=True))


def draw_face(choices: Sequence[int]) -> str:
    """The face with these value indices as square SVG text without a background."""
    avatars = _avatars()
    value = {attribute.name: attribute.values[choice] for attribute, choice in zip(ATTRIBUTES, choices, strict=True)}
    tops = avatars.HatType if value["hair"] in _HATS else avatars.HairType
    clothing_colour = _part(avatars.ClothingColor, value["clothing_colour"])
    hair_colour = _part(avatars.HairColor, value["hair_colour"])
    # Every part is given: an omitted one may be drawn from the global random state.
    avatar = avatars.Avatar(
        style=avatars.AvatarStyle.TRANSPARENT,
        top=_part(tops, value["hair"]),
        hat_color=clothing_colour,
        eyebrows=_part(avatars.EyebrowType, value["eyebrows"]),
        eyes=_part(avatars.EyeType, value["eyes"]),
        nose=avatars.NoseType.DEFAULT,
        mouth=_part(avatars.MouthType, value["mouth"]),
        facial_hair=_part(avatars.FacialHairType, value["facial_hair"]),
        skin_color=_part(avatars.SkinColor, value["skin_colour"]),
        hair_color=hair_colour,
        facial_hair_color=hair_colour,
        accessory=_part(avatars.AccessoryType, value["accessory"]),
        clothing=_part(avatars.ClothingType, value["clothing"]),
        clothing_color=clothing_colour,
        shirt_graphic=avatars.ClothingGraphic.NONE,
        shirt_text="",
    )
    square = r'width="\d+px" height="\d+px" viewBox="[^"]*"'
    svg, replaced = re.subn(square, f'viewBox="{_VIEW_BOX}"', avatar.render(), count=1)
    if not replaced:
        raise RuntimeError("python-avatars draws in an unknown format; install a version from 1.4 up to, not with, 2")
    return svg


def render_face(choices: Sequence[int], resolution: int) -> NDArray[np.uint8]:
    """The face with these value indices over its background: uint8 (3, resolution, resolution).

    ``resolution`` is a power of two.
    """
    import resvg_py
    from PIL import Image

    size = max(resolution, _SMALLEST_DRAWING)
    background = ATTRIBUTES[-1].values[choices[-1]]
    png = resvg_py.svg_to_bytes(
        svg_string=draw_face(choices),
        background=_BACKGROUND_COLOURS[background],
        width=size,
        height=size,
        skip_system_fonts=True,
    )
    with Image.open(io.BytesIO(bytes(png))) as image:
        pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    if size == resolution:
        return np.ascontiguousarray(pixels)
    factor = size // resolution
    blocks = pixels.reshape(3, resolution, factor, resolution, factor)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float64)).astype(np.uint8)


@functools.cache
def _avatars() -> ModuleType:
    """python-avatars, imported without a trace: its import draws a default from the global random state."""
    state = random.getstate()
    import python_avatars

    random.setstate(state)
    return python_avatars


def _part(kind: type, name: str) -> object:
    """A member of one of python-avatars' enumerations by its name in lower case."""
    return getattr(kind, name.upper())


def _main() -> None:
    seed, start, stop, step, resolution = (int(argument) for argument in sys.argv[1:])
    for index in range(start, stop, step):
        sys.stdout.buffer.write(render_face(sample_attributes(seed, index), resolution).tobytes())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
