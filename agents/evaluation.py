"""Any predictor x instances -> records. The only evaluator there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.predictors import Predictor
from gan_env import EnvConfig, GanInstance
from gan_env.core import BalanceCore


@dataclass(frozen=True)
class EpisodeRecord:
    """How one episode ended."""

    instance: GanInstance
    final: float
    """The grader's verdict; the suite's worst value where the run failed. Lower is better."""
    failed: bool
    """Diverged or collapsed."""
    decisions: int
    episode_return: float
    final_proxy: float
    actions: tuple[float | tuple[float, ...], ...]
    """What was decided, in order."""
    log10_knobs: tuple[tuple[float, ...], ...]
    """log10 of each knob after each decision."""


class Evaluator:
    """Plays whole episodes with given predictors on given instances and grades them.

    One population of ``num_envs`` rows serves all calls; results do not depend on the order of the calls.
    """

    def __init__(self, config: EnvConfig, num_envs: int) -> None:
        self.core = BalanceCore(config, num_envs)

    def evaluate(
        self,
        predictor: Predictor,
        instances: Sequence[GanInstance],
        on_step: Callable[[int], None] | None = None,
    ) -> list[EpisodeRecord]:
        """One record per instance, in order. ``on_step`` is told the GAN updates of each step."""
        records: list[EpisodeRecord] = []
        for start in range(0, len(instances), self.core.size):
            records += self._batch(predictor, instances[start : start + self.core.size], on_step)
        return records

    def _batch(
        self, predictor: Predictor, instances: Sequence[GanInstance], on_step: Callable[[int], None] | None
    ) -> list[EpisodeRecord]:
        core, count = self.core, len(instances)
        # A batch that is not full repeats its last instance, which costs nothing once it is left alone.
        padding = [instances[-1]] * (core.size - count)
        core.reset(range(core.size), [*instances, *padding])
        alive = np.arange(core.size) < count
        returns = np.zeros(core.size)
        actions: list[list[float | tuple[float, ...]]] = [[] for _ in range(core.size)]
        knobs: list[list[tuple[float, ...]]] = [[] for _ in range(core.size)]
        state, first = None, np.ones(core.size, dtype=bool)
        while alive.any():
            # Recurrent predictors keep a state per row, so all rows are shown and only those alive are acted on.
            chosen, state = predictor.predict(
                core.observations(range(core.size)), state=state, episode_start=first, deterministic=True
            )
            first = np.zeros(core.size, dtype=bool)
            rows = np.flatnonzero(alive).tolist()
            result = core.step(rows, chosen[rows])
            returns[rows] += result.rewards
            for place, row in enumerate(rows):
                actions[row].append(_plain(chosen[row]))
                knobs[row].append(tuple(float(np.log10(v[place])) for v in result.infos["knobs"].values()))
            alive[rows] &= ~result.terminated
            if on_step is not None:
                on_step(len(rows) * core.suite.updates_per_step)
        rows = list(range(count))
        grades = core.grade(rows)
        measured = core.measurement()
        return [
            EpisodeRecord(
                instance=instance,
                final=float(grades[row]),
                failed=bool(measured.failed[row]),
                decisions=int(core.decisions[row]),
                episode_return=float(returns[row]),
                final_proxy=float(measured.distance[row]),
                actions=tuple(actions[row]),
                log10_knobs=tuple(knobs[row]),
            )
            for row, instance in enumerate(instances)
        ]

    def close(self) -> None:
        self.core.close()


def with_rates(instances: Sequence[GanInstance], lr_g: float, lr_d: float) -> list[GanInstance]:
    """The same instances with other starting rates: for methods that may set the rates once, at the beginning."""
    return [dataclasses.replace(instance, lr_g=lr_g, lr_d=lr_d) for instance in instances]


def finals(records: Sequence[EpisodeRecord]) -> NDArray[np.float64]:
    """Final grades, ``(instances,)``."""
    return np.array([record.final for record in records])


def _plain(action: NDArray[np.generic]) -> float | tuple[float, ...]:
    values = np.asarray(action)
    return float(values) if values.ndim == 0 else tuple(float(value) for value in values)
