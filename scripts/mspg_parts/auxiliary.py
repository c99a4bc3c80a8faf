"""The weight of the auxiliary discriminator: fidelity (precision, density) against diversity (recall, coverage)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib.figure import Figure

from mspg_parts.ablation import TERMS, show_scores, summarise
from mspg_parts.runs import Budget, Recipe, play, read_gan
from mspg_parts.study import Study, figure_path, positive


@dataclass(frozen=True)
class AuxiliaryOptions:
    """Fidelity against diversity over the weight of the auxiliary discriminator."""

    weights: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0)
    """Values of lambda_aux; 0, which leaves it out, is tried in any case."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of weights, latents and batches."""
    width: int = 8
    """Channels of the finest maps."""
    budget: Budget = field(default_factory=lambda: Budget("digits", 16, latent_size=32, updates=2000, looks=2))
    """Data and updates: enough of them on data simple enough that generated images lie among the real ones at all."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def run(options: AuxiliaryOptions) -> None:
    """Train, print, draw and record."""
    positive(options, "weights", "seeds", "width")
    sizes = {"latent_size": options.budget.latent_size, "lite": True, "width": options.width}
    others = {name: value for name, value in TERMS.items() if name != "aux_weight"}
    whole = Recipe(options=sizes, constants=others)
    table = {"0": whole}
    table |= {f"{weight:g}": replace(whole, constants=others | {"aux_weight": weight}) for weight in options.weights}
    arguments = options.budget.arguments()
    cells = [recipe.cell(name, seed, arguments) for name, recipe in table.items() for seed in options.seeds]
    rows = list(map(read_gan, cells, play(cells, options.study, "weights")))
    show_scores(rows, "lambda_aux, mean (smallest..largest) over seeds")
    summary = summarise(rows)
    options.study.record("auxiliary-sweep", options, rows, summary=summary)
    draw(rows, summary).savefig(figure_path(options.study, "mspg-auxiliary.png"), dpi=80)


def draw(rows: list[dict[str, Any]], summary: dict[str, Any]) -> Figure:
    """Both pairs of scores: a small dot for each seed, a large one for each weight's mean."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    pairs = (("recall", "precision"), ("coverage", "density"))
    for axis, (across, up) in zip(figure.subplots(1, 2), pairs, strict=True):
        for index, (name, told) in enumerate(summary.items()):
            if told["lost"] == told["n"]:
                continue
            seeds = [row["scores"] for row in rows if row["name"] == name and row["scores"]]
            colour = f"C{index}"
            axis.plot([one[across] for one in seeds], [one[up] for one in seeds], ".", color=colour, alpha=0.5)
            axis.plot(told[across]["mean"], told[up]["mean"], "o", color=colour, label=name)
        axis.set_xlabel(f"{across} (diversity)")
        axis.set_ylabel(f"{up} (fidelity)")
        axis.grid(alpha=0.3)
    figure.axes[0].legend(title="lambda_aux")
    return figure
