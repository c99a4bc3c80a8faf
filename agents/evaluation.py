"""Any predictor x instances -> records. The only evaluator there is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.predictors import Predictor
from agents.statistics import interquartile_mean
from gan_env import ActionCodec, EnvConfig, GanInstance
from gan_env.core import BalanceCore
from gan_env.instances import Suite, Task
from gan_env.mixed import MixedCore, make_core
from gan_env.shards import PROCESSES, GivenUpError, LostShardError, Shards


@dataclass(frozen=True)
class EpisodeRecord:
    """How one episode ended."""

    instance: GanInstance
    final: float
    """The grader's verdict; the task's worst value where the run failed. Lower is better."""
    failed: bool
    """Diverged or collapsed."""
    decisions: int
    episode_return: float
    final_proxy: float
    actions: tuple[float | tuple[float, ...], ...]
    """What was decided, in order."""
    log10_knobs: tuple[tuple[float, ...], ...]
    """log10 of each knob after each decision."""


_ATTEMPTS = 10
"""Times that episodes are played, at most, because workers are lost."""

OnStep = Callable[[int], None]
"""Told the GAN updates of each step."""
OnEnd = Callable[[int, BalanceCore | MixedCore, int], None]
"""Told the number of an instance whose episode is over, the core that holds its GAN, and the row there."""


class Evaluator:
    """Plays whole episodes with given predictors on given instances and grades them.

    About ``num_envs`` GANs train at once: one population, or one for each kind of GAN in the suite. Results do not
    depend on the order of the calls. In a suite of several tasks a grade counts in units of the median that GANs left
    alone reach on the same one (:attr:`~gan_env.instances.Task.noop_grade`), so that one table holds them all.
    ``shards`` says who may hold populations outside of this process; episodes that are lost there are played again.
    """

    def __init__(self, config: EnvConfig, num_envs: int, shards: Shards = PROCESSES) -> None:
        self.config = config
        self.suite = config.resolved_suite()
        self.codec = config.codec()
        self.observation_names = config.observer().names
        """One name for each entry of an observation."""
        tasks = self.suite.all_tasks()
        self._relative = _counts_relatively(self.suite)
        kinds = self.suite.kinds()
        size = -(-num_envs // len(kinds))
        self._cores = {task.population_key(): make_core(config, size, [task], shards) for task in kinds}
        self.replays = 0
        """How many times a population's episodes were played again because some were lost."""
        self._noop_grades = {_task_key(task): task.noop_grade for task in tasks}

    @property
    def metric(self) -> str:
        """Name of what the grades are."""
        return metric_of(self.suite)

    def core(self, instance: GanInstance) -> BalanceCore | MixedCore:
        """Where an instance is played. Raises ``ValueError`` for one that the suite has no population for."""
        key = instance.population_key()
        if key not in self._cores:
            raise ValueError(f"instance {instance.to_dict()} does not fit suite {self.suite.name!r}")
        return self._cores[key]

    def evaluate(
        self,
        predictor: Predictor,
        instances: Sequence[GanInstance],
        on_step: OnStep | None = None,
        codec: ActionCodec | None = None,
        on_end: OnEnd | None = None,
    ) -> list[EpisodeRecord]:
        """One record per instance, in order. ``codec`` reads the predictor's actions, by default the environment's."""
        by_core: dict[int, list[int]] = {}
        for index, instance in enumerate(instances):
            by_core.setdefault(id(self.core(instance)), []).append(index)
        records: dict[int, EpisodeRecord] = {}
        for indices in by_core.values():
            core = self.core(instances[indices[0]])
            for start in range(0, len(indices), core.size):
                batch = indices[start : start + core.size]
                played = self._surely(core, predictor, [instances[index] for index in batch], on_step, codec)
                records |= dict(zip(batch, played, strict=True))
                if on_end is not None:
                    for row, index in enumerate(batch):
                        on_end(index, core, row)
        return [records[index] for index in range(len(instances))]

    def _surely(self, core: BalanceCore | MixedCore, *arguments: Any) -> list[EpisodeRecord]:
        """The records of :meth:`_batch`, played again where GANs are lost."""
        for _ in range(_ATTEMPTS):
            try:
                return self._batch(core, *arguments)
            except LostShardError:
                self.replays += 1
        raise GivenUpError(f"the same episodes were lost {_ATTEMPTS} times; is there enough memory?")

    def _batch(
        self,
        core: BalanceCore | MixedCore,
        predictor: Predictor,
        instances: Sequence[GanInstance],
        on_step: OnStep | None,
        codec: ActionCodec | None,
    ) -> list[EpisodeRecord]:
        count = len(instances)
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
            result = core.step(rows, chosen[rows], codec)
            if result.truncated.any():
                raise LostShardError("episodes were lost")
            returns[rows] += result.rewards
            for place, row in enumerate(rows):
                actions[row].append(_plain(chosen[row]))
                knobs[row].append(tuple(float(np.log10(v[place])) for v in result.infos["knobs"].values()))
            alive[rows] &= ~result.terminated
            if on_step is not None:
                on_step(len(rows) * core.task.updates_per_step)
        rows = list(range(count))
        grades = self.grade(core, rows, instances)
        proxies, decisions = core.infos(rows)["fid_proxy"], core.decisions
        failures = core.failures(rows)  # last: it notices where GANs were lost in the meantime
        return [
            EpisodeRecord(
                instance=instance,
                final=float(grades[row]),
                failed=bool(failures[row]),
                decisions=int(decisions[row]),
                episode_return=float(returns[row]),
                final_proxy=float(proxies[row]),
                actions=tuple(actions[row]),
                log10_knobs=tuple(knobs[row]),
            )
            for row, instance in enumerate(instances)
        ]

    def grade(
        self, core: BalanceCore | MixedCore, rows: Sequence[int], instances: Sequence[GanInstance]
    ) -> NDArray[np.float64]:
        """The grader's verdict on ``rows``, which play ``instances``, in the units of this suite's tables."""
        grades = core.grade(rows)
        if not self._relative:
            return grades
        return grades / [self._noop_grades[_task_key(instance)] for instance in instances]

    def close(self) -> None:
        for core in self._cores.values():
            core.close()


def metric_of(suite: Suite) -> str:
    """Name of what the grades in a suite's tables are."""
    names = " or ".join(dict.fromkeys(task.metric for task in suite.all_tasks()))
    return f"{names}, over that of GANs left alone" if _counts_relatively(suite) else names


def _counts_relatively(suite: Suite) -> bool:
    return len(suite.all_tasks()) > 1


def with_rates(instances: Sequence[GanInstance], lr_g: float, lr_d: float) -> list[GanInstance]:
    """The same instances with other starting rates: for methods that may set the rates once, at the beginning."""
    return [dataclasses.replace(instance, lr_g=lr_g, lr_d=lr_d) for instance in instances]


def finals(records: Sequence[EpisodeRecord]) -> NDArray[np.float64]:
    """Final grades, ``(instances,)``."""
    return np.array([record.final for record in records])


def typical_grade(records: Sequence[EpisodeRecord], suite: Suite) -> float:
    """What settings and policies are chosen by, lower is better: the interquartile mean of the grades, in a suite of
    several tasks their weighted geometric mean.

    One interquartile mean over all would cut off whole tasks, those whose grades are the lowest of all or the highest.
    A task weighs the less the further good rates reach in it (:attr:`~gan_env.instances.Task.noop_tenth`), or points
    would drown images.
    """
    if not _counts_relatively(suite):
        return float(interquartile_mean(finals(records)))
    weights = {_task_key(task): -1 / math.log(task.noop_tenth) for task in suite.all_tasks()}
    by_task: dict[tuple[object, ...], list[EpisodeRecord]] = {}
    for record in records:
        by_task.setdefault(_task_key(record.instance), []).append(record)
    typical = [math.log(interquartile_mean(finals(some))) for some in by_task.values()]
    return math.exp(np.average(typical, weights=[weights[key] for key in by_task]))


def _task_key(one: Task | GanInstance) -> tuple[object, ...]:
    """The same for a task and its instances, however long they are."""
    return (one.data, one.population_key())


def _plain(action: NDArray[np.generic]) -> float | tuple[float, ...]:
    values = np.asarray(action)
    return float(values) if values.ndim == 0 else tuple(float(value) for value in values)
