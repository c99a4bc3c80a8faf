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


def _without(switch: str) -> Recipe:
    terms = {name: weight for name, weight in TERMS.items() if switch != "auxiliary" or name != "aux_weight"}
    return replace(_FOUR, options={**LITE.options, switch: False}, constants=terms)


RIVALS: Mapping[str, Recipe] = {
    "dcgan": DCGAN,
    "dcgan, feature terms": replace(DCGAN, constants=_FEATURE_TERMS),
    "mspg lite": LITE,
    "mspg lite, growing over half": replace(LITE, grow=0.5),
    "mspg lite, all four terms": _FOUR,
    "mspg lite, all four terms, growing over half": replace(_FOUR, grow=0.5),
    **{f"mspg lite, all four terms, without {name}": _without(name) for name in SWITCHES},
}
"""What can be compared at equal time; the first sets the time."""

PARTS: Mapping[str, Recipe] = {"mspg": DENSE}
"""Whose cost is measured beside that of the rivals."""
