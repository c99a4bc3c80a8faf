"""Make one self-contained page of a comparison: statistics, verdicts, figures, costs.

Several run folders go on one page: those of one suite are put together, others follow each other.

Example: python scripts/report.py runs/comparison
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from agents.cli import fail_in_one_line


@dataclass(frozen=True)
class Options:
    """Options of report.py."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of compare.py."""
    output: Path | None = None
    """Page to write; by default report.html in the first run folder."""
    tensorboard: Path | None = None
    """New or empty folder for TensorBoard event files of the same runs."""


def main() -> None:
    report(tyro.cli(Options, description=__doc__))


def report(options: Options) -> None:
    """Read, compute, write."""
    if not options.runs:
        raise ValueError("name at least one run folder of compare.py")
    if importlib.util.find_spec("rliable") is None:
        raise ValueError("the statistics need rliable: pip install 'gan-balance[report]'")
    # Only now: these modules import rliable.
    from agents.report.analysis import across, analyse
    from agents.report.folder import read_comparison
    from agents.report.page import render_page
    from agents.report.tensorboard import write_tensorboard
    from gan_backbones.files import write_atomically

    console, started = Console(highlight=False, markup=False), time.monotonic()
    comparison = read_comparison(options.runs)
    analyses = [analyse(table) for table in comparison.tables]
    if options.tensorboard is not None:
        count = write_tensorboard(analyses, options.tensorboard)
        console.print(f"{count} runs for TensorBoard: tensorboard --logdir {options.tensorboard}")
    output = options.output or options.runs[0] / "report.html"
    page = render_page(comparison, analyses).encode()
    try:
        write_atomically(output, page)
    except OSError as error:
        raise ValueError(f"cannot write {output}: {error.strerror}") from None
    for one in analyses:
        for verdict in one.verdicts:
            console.print(f"{one.table.suite}, {one.table.name}: {verdict.claim}: {verdict.outcome}. {verdict.finding}")
    overall = across(analyses)
    if overall is not None:
        console.print(f"{overall.claim}: {overall.outcome}. {overall.finding}")
    if comparison.notices:
        console.print(f"{len(comparison.notices)} things are missing; the page lists them", style="yellow")
    console.print(f"wrote {output} ({len(page) / 1e6:.1f} MB) in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    fail_in_one_line(main)
