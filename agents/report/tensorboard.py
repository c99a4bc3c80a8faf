"""A comparison for TensorBoard: one run per cell, so that policies can be overlaid and filtered.

HPARAMS has a row per cell, with suite, table, method, kind and seed as hyperparameters. CUSTOM SCALARS draws the same
few charts for whichever runs are ticked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.tensorboard.writer import SummaryWriter

from agents.report.analysis import Analysis
from agents.report.cell import read_trajectory
from agents.report.folder import Run
from agents.statistics import interquartile_mean
from agents.statistics.crossed import WORST_TENTH

CURVE = "validation/grade"
LAYOUT = {
    "Comparison": {
        "Validation IQM against GAN updates": ["Multiline", [CURVE]],
        "Learning rates, log10, against decisions": ["Multiline", ["knobs/lr_g", "knobs/lr_d"]],
        "Other knobs, log10, against decisions": ["Multiline", ["knobs/(?!lr_).*"]],
    }
}


def write_tensorboard(analyses: Sequence[Analysis], folder: Path) -> int:
    """Event files below ``folder``, which must be new or empty; gives the number of runs.

    Raises ``ValueError`` where the folder holds something or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise ValueError(f"cannot write TensorBoard files to {folder}: {error.strerror}") from None
    if used:
        raise ValueError(f"{folder} is not empty: event files of two reports would mix; name another folder")
    with SummaryWriter(str(folder)) as writer:
        writer.add_custom_scalars(LAYOUT)
    written = 0
    for one in analyses:
        for method in one.table.methods.values():
            for run in method.runs:
                name = "/".join((one.table.suite.replace("/", "-"), one.table.name, method.name, str(run.seed)))
                with SummaryWriter(str(folder / name)) as writer:
                    _write(writer, one, method.name, run)
                written += 1
    return written


def _write(writer: SummaryWriter, analysis: Analysis, method: str, run: Run) -> None:
    """Curve and knobs of one cell, and its row under HPARAMS."""
    table = analysis.table
    for updates, grade in run.curve:
        writer.add_scalar(CURVE, grade, round(updates))
    path = read_trajectory(run, table.instances[0])
    if path is not None:
        for column, knob in enumerate(path.knobs):
            for decision, value in enumerate(path.log10[:, column].tolist()):
                if np.isfinite(value):
                    writer.add_scalar(f"knobs/{knob}", value, decision)
    final = np.array([run.final[instance] for instance in table.instances])
    metrics = {
        "test/median": float(np.median(final)),
        "test/worst_tenth": float(np.quantile(final, WORST_TENTH)),
        "test/failed": float(np.mean([run.failed[instance] for instance in table.instances])),
        "cost/gan_updates": run.updates,
        "cost/seconds": run.seconds,
    }
    if analysis.scale is not None:
        metrics["test/score"] = float(interquartile_mean(analysis.scale.score(final)))
    settings = {
        "suite": table.suite,
        "table": table.name,
        "method": method,
        "kind": table.methods[method].kind,
        "seed": run.seed,
    }
    writer.add_hparams(settings, metrics, run_name=".")
