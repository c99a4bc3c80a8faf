"""Fidelity against likelihood: what RAL makes of both at each weight of the likelihood, and what mere temperature does,
over the run folders of train_ral.py.

Example: python scripts/ral_tradeoff.py runs/ral-* --json tradeoff.json --plot tradeoff.png
"""

from __future__ import annotations

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
from gan_backbones.files import read_json, write_atomically


@dataclass(frozen=True)
class Options:
    """Options of ral_tradeoff.py."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Finished run folders; those of one weight are seeds of one setting."""
    json: Path | None = None
    """File for the record."""
    plot: Path | None = None
    """File for the curve."""


Settings = Mapping[float | None, Mapping[float, Sequence["Point"]]]
"""Points of all seeds, by weight and temperature."""


class Point(NamedTuple):
    """One model of one seed at one temperature, over maximum likelihood at temperature 1, less 1."""

    weight: float | None
    """RAL's weight of the likelihood; none for maximum likelihood."""
    temperature: float
    seed: int
    distance: float
    """Relative change of the Frechet distance of samples."""
    bits: float
    """Relative change of the bits per code of held-out images."""
    room: float
    """The same change of distance, were samples as good as reconstructions of training images."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    if not options.runs:
        raise ValueError("no run folder is named")
    points: dict[tuple[float | None, float, int], Point] = {}
    for folder in options.runs:
        for point in read(folder):
            known = points.setdefault(point[:3], point)
            if known is not point and (point.weight is not None or point != known):
                raise ValueError(f"{folder}: another run has {label(point.weight)} with seed {point.seed}, too")
    settings: dict[float | None, dict[float, list[Point]]] = {}
    for point in sorted(points.values(), key=lambda one: (one.weight is not None, one.weight or 0.0, *one[1:])):
        settings.setdefault(point.weight, {}).setdefault(point.temperature, []).append(point)
    Console().print(table(settings))
    if options.json is not None:
        record = {"runs": [point._asdict() for point in points.values()]} | provenance("cpu")
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        draw(settings).savefig(options.plot, dpi=90)


def read(folder: Path) -> list[Point]:
    """What a run folder says. Raises ``ValueError`` where it is not one of a finished run with the stage ``ral``."""
    try:
        config, results = (read_json(folder / name) for name in ("config.json", "evaluation.json"))
        first = results["models"]["ml"]
        room = float(results["autoencoder"]["frechet_distance"]) / float(first["frechet_distance"]) - 1
        weights = {"ml": None, "ral": float(config["options"]["ral"]["likelihood_weight"])}
        return [
            Point(
                weights[key],
                float(temperature),
                int(config["options"]["seed"]),
                float(row["frechet_distance"]) / float(first["frechet_distance"]) - 1,
                float(row["bits_per_code"]) / float(first["bits_per_code"]) - 1,
                room,
            )
            for key in weights
            for temperature, row in ({"1": results["models"][key]} | results["models"][key]["tempered"]).items()
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} is no run folder of a finished train_ral.py with stage ral: {error}") from error


def label(weight: float | None) -> str:
    """Who stands behind a :attr:`Point.weight`, for people."""
    return "ML" if weight is None else f"RAL, weight {weight:g}"


def table(settings: Settings) -> Table:
    """Means over seeds, with the lowest and the highest."""
    view = Table(
        title="to maximum likelihood (ML)",
        caption="RAL by its likelihood weight; T: temperature; means over seeds (lowest, highest)",
    )
    for column in ("model", "T", "seeds", "Frechet distance", "bits per code"):
        view.add_column(column, justify="left" if column == "model" else "right")
    for weight, by_temperature in settings.items():
        for temperature, points in by_temperature.items():
            columns = ([point.distance for point in points], [point.bits for point in points])
            cells = (f"{np.mean(one):+.1%} ({100 * min(one):+.1f}, {100 * max(one):+.1f})" for one in columns)
            view.add_row(label(weight), f"{temperature:g}", str(len(points)), *cells)
    return view


def draw(settings: Settings) -> Figure:
    """Distance against likelihood: a line through the means at each temperature, a dot for each seed at 1."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axis: Any = figure.subplots()
    for weight, by_temperature in settings.items():
        means = [np.mean([[point.bits, point.distance] for point in points], 0) for points in by_temperature.values()]
        (line,) = axis.plot(*(100 * np.array(means).T), marker="o", markersize=4, label=label(weight))
        at_one = 100 * np.array([[point.bits, point.distance] for point in by_temperature.get(1.0, [])]).reshape(-1, 2)
        axis.scatter(*at_one.T, s=24, facecolors="none", edgecolors=line.get_color())
    room = 100 * np.mean([point.room for point in settings[None][1.0]])
    axis.axhline(room, color="0.4", linestyle=":", label="reconstructions of training images")
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xlabel("bits per code of held-out images, % to maximum likelihood")
    axis.set_ylabel("Frechet distance, % to maximum likelihood")
    axis.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    fail_in_one_line(main)
