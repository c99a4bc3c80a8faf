"""What the others are measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from agents.evaluation import EpisodeRecord, Evaluator, OnEnd, OnStep, finals, with_rates
from agents.methods.method import ROWS, Context, Method, Playing, Prepared
from agents.predictors import NoopPredictor, RandomPredictor
from gan_env import GanInstance
from gan_env.spaces import action_space

SETTINGS = 32
"""Static settings that the oracle chooses from."""


def static_settings(ranges: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """:data:`SETTINGS` pairs of rates, spread evenly over log-uniform ranges by a scrambled Sobol sequence."""
    points = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(SETTINGS).double().numpy()
    low, high = np.log10(ranges).T
    return [(float(lr_g), float(lr_d)) for lr_g, lr_d in 10 ** (low + (high - low) * points)]


def _noop(context: Context) -> Prepared:
    config = context.config()
    return Prepared(config, Playing(config, NoopPredictor(config.codec())))


def _random(context: Context) -> Prepared:
    config = context.config()
    return Prepared(config, Playing(config, RandomPredictor(action_space(config.codec()), context.seed)))


def _oracle(context: Context) -> Prepared:
    config = context.config()
    noop = NoopPredictor(config.codec())

    def play(instances: Sequence[GanInstance], on_step: OnStep, on_end: OnEnd) -> list[EpisodeRecord]:
        evaluator = Evaluator(config, min(ROWS, len(instances)))
        settings = static_settings(context.resolved_suite.tasks[0].start_ranges)
        try:
            grades = [finals(evaluator.evaluate(noop, with_rates(instances, *pair), on_step)) for pair in settings]
            best = np.argmin(grades, axis=0)
            chosen = [
                with_rates([instance], *settings[number])[0] for instance, number in zip(instances, best, strict=True)
            ]
            # Once more, for the pictures and the record.
            return evaluator.evaluate(noop, chosen, on_step, on_end=on_end)
        finally:
            evaluator.close()

    return Prepared(config, play)


REFERENCES = {
    "noop": Method("reference", "leaves the knobs where they start", _noop, seeded=False),
    "random": Method("reference", "draws every action uniformly", _random),
    "oracle": Method(
        "reference",
        f"the best of {SETTINGS} static settings of each test instance, chosen by looking at the grade: the 1 of the "
        "normalised score, not a rival",
        _oracle,
        seeded=False,
        plays=SETTINGS + 1,
    ),
}
"""Methods that are no rivals."""
