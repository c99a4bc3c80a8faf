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
_FOUR = replace(LITE, constants=TERMS)
_FEATURE_TERMS = {name: weight for name, weight in TERMS.items() if name != "aux_weight"}
"""Those that any pair can train; the auxiliary one needs a head of its own."""
_NARROW = replace(LITE, options={**LITE.options, "global_flow": False})

RIVALS: Mapping[str, Recipe] = {
    "dcgan": DCGAN,
    "dcgan, feature terms": replace(DCGAN, constants=_FEATURE_TERMS),
    "mspg lite": LITE,
    "mspg lite, all four terms": _FOUR,
    "mspg lite, all four terms, growing over half": replace(_FOUR, grow=0.5),
    "mspg lite, growing over half": replace(LITE, grow=0.5),
    "mspg lite, growing over 80 %": replace(LITE, grow=0.8),
    "mspg lite without global_flow": _NARROW,
    "mspg lite without global_flow, growing over half": replace(_NARROW, grow=0.5),
}
"""What can be compared at equal time; the first sets the time."""

PARTS: Mapping[str, Recipe] = {
    "mspg": DENSE,
    **{f"mspg lite without {name}": replace(LITE, options={**LITE.options, name: False}) for name in SWITCHES},
}
"""Whose cost is measured beside that of the rivals."""
