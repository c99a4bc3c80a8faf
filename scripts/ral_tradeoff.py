"""Fidelity against likelihood: what RAL makes of both at each weight of the likelihood, over the run folders of
train_ral.py.

Example: python scripts/ral_tradeoff.py runs/ral-* --json tradeoff.json --plot tradeoff.png
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from agents.cli import fail_in_one_line
from agents.run_folder import provenance
from gan_backbones.files import write_atomically


@dataclass(frozen=True)
class Options:
    """Options of ral_tradeoff.py."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Finished run folders; those of one weight are seeds of one setting."""
    json: Path | None = None
    """File for the record."""
    plot: Path | None = None
    """File for the curve."""


class Run(NamedTuple):
    """One run: RAL over the maximum likelihood that it began with, less 1."""

    weight: float
    seed: int
    distance: float
    """Relative change of the Frechet distance of samples."""
    bits: float
    """Relative change of the bits per code of held-out images."""
    room: float
    """The same change of distance, were samples as good as reconstructions of training images."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    runs = sorted(read(folder) for folder in options.runs)
    if not runs:
        raise ValueError("no run folder is named")
    repeated = [one for one, other in itertools.pairwise(runs) if one[:2] == other[:2]]
    if repeated:
        raise ValueError(f"two runs have likelihood weight {repeated[0].weight:g} and seed {repeated[0].seed}")
    by_weight = {
        weight: [run for run in runs if run.weight == weight] for weight in sorted({run.weight for run in runs})
    }
    Console().print(table(by_weight))
    if options.json is not None:
        record = {"runs": [run._asdict() for run in runs]} | provenance("cpu")
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        draw(by_weight).savefig(options.plot, dpi=90)


def read(folder: Path) -> Run:
    """What a run folder says. Raises ``ValueError`` where it is not one of a finished run with the stage ``ral``."""
    try:
        config, results = (json.loads((folder / name).read_text()) for name in ("config.json", "evaluation.json"))
        first, last = (results["models"][name] for name in ("ml", "ral"))
        distance = float(first["frechet_distance"])
        return Run(
            float(config["options"]["ral"]["likelihood_weight"]),
            int(config["options"]["seed"]),
            float(last["frechet_distance"]) / distance - 1,
            float(last["bits_per_code"]) / float(first["bits_per_code"]) - 1,
            float(results["autoencoder"]["frechet_distance"]) / distance - 1,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} is no run folder of a finished train_ral.py with stage ral: {error}") from error


def table(by_weight: Mapping[float, Sequence[Run]]) -> Table:
    """Means over seeds, with the lowest and the highest."""
    view = Table(title="RAL to maximum likelihood", caption="means over seeds (lowest to highest)")
    for column in ("likelihood weight", "seeds", "Frechet distance", "bits per code"):
        view.add_column(column, justify="right")
    for weight, runs in by_weight.items():
        columns = ([run.distance for run in runs], [run.bits for run in runs])
        cells = (f"{np.mean(one):+.1%} ({min(one):+.1%} to {max(one):+.1%})" for one in columns)
        view.add_row(f"{weight:g}", str(len(runs)), *cells)
    return view


def draw(by_weight: Mapping[float, Sequence[Run]]) -> Figure:
    """Distance against likelihood; a point for each run, a line through the means."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axis: Any = figure.subplots()
    means = np.array([np.mean([[run.bits, run.distance] for run in runs], 0) for runs in by_weight.values()])
    axis.plot(*(100 * means.T), color="0.6", zorder=1)
    for weight, runs in by_weight.items():
        points = 100 * np.array([[run.bits, run.distance] for run in runs])
        axis.scatter(*points.T, s=18, label=f"likelihood weight {weight:g}", zorder=2)
    room = 100 * np.mean([run.room for runs in by_weight.values() for run in runs])
    axis.axhline(room, color="0.4", linestyle=":", label="reconstructions of training images")
    axis.axhline(0, color="0.8", linewidth=0.8)
    axis.axvline(0, color="0.8", linewidth=0.8)
    axis.set_xlabel("bits per code of held-out images, % to maximum likelihood")
    axis.set_ylabel("Frechet distance, % to maximum likelihood")
    axis.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    fail_in_one_line(main)
