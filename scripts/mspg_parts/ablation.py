"""What each part of MSPG-SEN is worth, and whether anybody at its knobs does better than nobody.

The lite form with all four terms of its loss is trained as it is, without one of its parts, and with its rates turned
by a schedule and by APFL. The same number of updates for all; their cost is the part ``cost``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mspg_parts.runs import Budget, Recipe, play, read_gan
from mspg_parts.study import Study, positive, show, spread

SCORES = ("FD", "precision", "recall", "density", "coverage")
TERMS = {"fm_weight": 0.1, "contrastive_weight": 0.1, "aux_weight": 0.1}
"""Weights of the terms beside the adversarial one: the defaults of the knobs."""
SWITCHES = ("dema", "local_flow", "global_flow", "auxiliary", "progression")


@dataclass(frozen=True)
class AblationOptions:
    """What each part of the networks and of the loss is worth, and a controller at the knobs."""

    variants: tuple[str, ...] = ()
    """What to compare, by the names in the record; by default everything."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of weights, latents and batches."""
    width: int = 8
    """Channels of the finest maps."""
    budget: Budget = field(default_factory=lambda: Budget(updates=600, looks=3))
    """Data and updates."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def recipes(width: int, latent_size: int) -> dict[str, Recipe]:
    """What is compared, by name; the first is the whole."""
    sizes = {"latent_size": latent_size, "lite": True, "width": width}
    whole = Recipe(options=sizes, constants=TERMS)
    found = {"all parts": whole}
    for switch in SWITCHES:
        terms = {name: value for name, value in TERMS.items() if switch != "auxiliary" or name != "aux_weight"}
        found[f"without {switch}"] = replace(whole, options=sizes | {switch: False}, constants=terms)
    found["adversarial term alone"] = replace(whole, constants={})
    found["growing over half of it"] = replace(whole, grow=0.5)
    return found | {f"rates by {rule}": replace(whole, controller=rule) for rule in ("cosine", "apfl")}


def run(options: AblationOptions) -> None:
    """Train, print and record."""
    positive(options, "seeds", "width")
    table = recipes(options.width, options.budget.latent_size)
    unknown = [name for name in options.variants if name not in table]
    if unknown:
        raise ValueError(f"unknown variant {unknown[0]!r}; known: {', '.join(table)}")
    arguments = options.budget.arguments()
    chosen = {name: table[name] for name in options.variants or table}
    cells = [recipe.cell(name, seed, arguments) for name, recipe in chosen.items() for seed in options.seeds]
    rows = list(map(read_gan, cells, play(cells, options.study, "ablation")))
    show_scores(rows, "mspg lite, mean (smallest..largest) over seeds")
    options.study.record("ablation", options, rows, summary=summarise(rows))


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By name: how many seeds, how many of them were lost, and the mean, smallest and largest of each score."""
    summary: dict[str, Any] = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        kept: list[Mapping[str, float]] = [row["scores"] for row in own if row["scores"]]
        summary[name] = {"n": len(own), "lost": len(own) - len(kept)}
        for score in SCORES if kept else ():
            values = [scores[score] for scores in kept]
            summary[name][score] = {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
    return summary


def show_scores(rows: list[dict[str, Any]], title: str) -> None:
    """Print the scores by name."""
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        kept = [row["scores"] for row in own if row["scores"]]
        cells = [spread((scores[score] for scores in kept), 0 if score == "FD" else 2) for score in SCORES if kept]
        lines.append((name, f"{len(kept)}/{len(own)}", *cells))
    show(title, ("", "kept", *SCORES), lines)
