"""What numbers and extractors are called, so that no two different numbers share a name."""

from __future__ import annotations

import re
from pathlib import Path

from gan_backbones.metrics.extractors import EfficientNetLite0, Extractor
from gan_backbones.metrics.inception import InceptionV3

EXTRACTOR_NAMES = ("efficientnet-lite0@PIXELS", "efficientnet-lite0@PIXELS/BLOCKS", "inception")
"""What `make_extractor` takes: PIXELS a multiple of 32, BLOCKS of 16."""

_FID_NAMES = {"FD": "FID", "FD-infinity": "FID-infinity", "KD": "KID"}


def name_number(measure: str, extractor: Extractor, count: int) -> str:
    """The name of a measure on an extractor's features of ``count`` generated images.

    "FD efficientnet-lite0@224, n=5000". The Frechet and kernel distances ("FD", "FD-infinity", "KD") are called FID
    and KID on the published Inception network alone: "FID, n=50000".
    """
    if isinstance(extractor, InceptionV3) and extractor.confirmed and measure in _FID_NAMES:
        return f"{_FID_NAMES[measure]}, n={count}"
    return f"{measure} {extractor.name}, n={count}"


def make_extractor(name: str, *, inception_weights: Path | None = None) -> EfficientNetLite0 | InceptionV3:
    """The extractor by one of :data:`EXTRACTOR_NAMES`, such as ``efficientnet-lite0@64/6``.

    ``inception_weights``: see `InceptionV3`; goes with ``inception`` alone.

    Raises:
        ValueError: on another name, an impossible resolution, or weights that are missing or misplaced.
    """
    if name == "inception":
        return InceptionV3(inception_weights)
    if inception_weights is not None:
        raise ValueError(f"Inception weights go with extractor 'inception', not {name!r}")
    match = re.fullmatch(r"efficientnet-lite0@(\d+)(?:/(\d+))?", name)
    if match is None:
        raise ValueError(f"unknown extractor {name!r}; known: {', '.join(EXTRACTOR_NAMES)}")
    resolution, blocks = match.groups()
    return EfficientNetLite0(int(resolution), blocks=None if blocks is None else int(blocks))
