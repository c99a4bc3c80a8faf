"""Draw what a trained policy does: samples of GANs from bad starts, left alone and steered, side by side.

Example: python scripts/compare_pictures.py runs/faces-dqn-0-... --output docs/images/demo.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure

from agents.cli import fail_in_one_line
from agents.evaluation import Evaluator
from agents.predictors import NoopPredictor, Predictor
from agents.trained import load_run
from gan_env import ActionCodec
from gan_env.render import draw_samples

ROWS = 4


@dataclass(frozen=True)
class Options:
    """Options of compare_pictures.py."""

    run_dir: tyro.conf.Positional[Path]
    """Run folder that train_agent.py wrote."""
    output: Path = Path("comparison.png")
    """Picture to write."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    policy, config, settings = load_run(options.run_dir)
    evaluator = Evaluator(config, ROWS)
    # The first held-out starts, chosen before anything was seen of them.
    instances = evaluator.suite.instances("test")[:ROWS]
    turns = ActionCodec("discrete", config.knobs, config.moves)  # its no-op, whatever the policy's action type
    methods: dict[str, tuple[Predictor, ActionCodec]] = {
        "left alone": (NoopPredictor(turns), turns),
        settings["options"]["algo"]: (policy, evaluator.codec),
    }
    pictures = {}
    for name, (predictor, codec) in methods.items():
        records = evaluator.evaluate(predictor, instances, codec=codec)
        core, data = evaluator.core(instances[0]), evaluator.core(instances[0]).data_of(0)
        count = 16 if data.is_image else 512
        pictures[name] = [
            (draw_samples(core.samples(row, count), data), record.final) for row, record in enumerate(records)
        ]
    figure = Figure(figsize=(2.2 * ROWS, 2.2 * len(methods) + 0.6), layout="constrained")
    axes = np.atleast_2d(figure.subplots(len(methods), ROWS))
    for row, (name, drawn) in enumerate(pictures.items()):
        for column, (picture, grade) in enumerate(drawn):
            axis = axes[row, column]
            axis.imshow(picture, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_xlabel(f"{grade:.3g}" if grade < 100 else f"{grade:.0f}")
            if row == 0:
                start = instances[column]
                axis.set_title(f"start G {start.lr_g:.0e}, D {start.lr_d:.0e}", fontsize=9)
        axes[row, 0].set_ylabel(name)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=110)
    print(f"wrote {options.output} ({evaluator.metric} below each picture; lower is better)")


if __name__ == "__main__":
    torch.set_num_threads(1)
    fail_in_one_line(main)
