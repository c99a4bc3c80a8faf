"""The GANs that are compared at equal time, and those whose cost tells where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mspg_parts.ablation import SWITCHES, TERMS
from mspg_parts.runs import Recipe

_SIZES = {"latent_size": 64, "width": 16}
DCGAN = Recipe(backbone="dcgan", options=_SIZES)
DENSE = Recipe(options=_SIZES)
LITE = Recipe(options=_SIZES | {"lite": True})
_NARROW = replace(LITE, options={**LITE.options, "global_flow": False})

RIVALS: Mapping[str, Recipe] = {
    "dcgan": DCGAN,
    "mspg lite": LITE,
    "mspg lite, growing over half": replace(LITE, grow=0.5),
    "mspg lite, growing over 80 %": replace(LITE, grow=0.8),
    "mspg lite without global_flow": _NARROW,
    "mspg lite without global_flow, growing over half": replace(_NARROW, grow=0.5),
}
"""What can be compared at equal time; the first sets the time."""

PARTS: Mapping[str, Recipe] = {
    "mspg": DENSE,
    "mspg lite, all four terms": replace(LITE, constants=TERMS),
    **{f"mspg lite without {name}": replace(LITE, options={**LITE.options, name: False}) for name in SWITCHES},
}
"""Whose cost is measured beside that of the rivals."""
