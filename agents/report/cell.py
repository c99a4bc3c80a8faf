"""What a cell holds beside its grades: the path of the knobs on one instance, and a picture of samples."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.report.folder import RECORDS, SAMPLES, Run
from gan_backbones.files import read_file, read_json

_PNG = b"\x89PNG\r\n\x1a\n"
_STARTING_RATES = ("lr_g", "lr_d")


@dataclass(frozen=True)
class Trajectory:
    """The knobs of one GAN over its episode."""

    knobs: tuple[str, ...]
    log10: NDArray[np.float64]
    """``(1 + decisions, knobs)``; the first row is the start, NaN for a knob whose start is not recorded."""
    failed: bool


@dataclass(frozen=True)
class Picture:
    """A PNG."""

    content: bytes
    width: int
    height: int


def read_trajectory(run: Run, instance: int) -> Trajectory | None:
    """None where the cell has no records of this instance. Raises ``ValueError`` for a file that is no such record."""
    path = run.folder / RECORDS
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        knobs = tuple(map(str, content["knobs"]))
        for record in content["records"]:
            if record["instance"] == instance:
                rates = dict(zip(_STARTING_RATES, map(float, record["start"]), strict=True))
                start = [math.log10(rates[knob]) if knob in rates else math.nan for knob in knobs]
                path_of_knobs = np.array([start, *record["log10_knobs"]], dtype=float)
                return Trajectory(knobs, path_of_knobs.reshape(-1, len(knobs)), bool(record["failed"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a record of knobs: {error!r}") from None
    return None


def read_picture(run: Run) -> Picture | None:
    """None where the cell has no picture. Raises ``ValueError`` for a file that is no PNG."""
    path = run.folder / SAMPLES
    if not path.is_file():
        return None
    try:
        content = read_file(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if not content.startswith(_PNG) or len(content) < 24:
        raise ValueError(f"{path} is not a PNG")
    width, height = struct.unpack(">II", content[16:24])
    return Picture(content, width, height)
