"""Several populations behind the row interface of one: for suites that mix points with images, or resolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones.data import DataSet
from gan_env.config import EnvConfig
from gan_env.core import BalanceCore, StepResult
from gan_env.instances import GanInstance, Task


def make_core(config: EnvConfig, size: int) -> BalanceCore | MixedCore:
    """The rows of a vector environment: one population where that is enough."""
    tasks = config.resolved_suite().kinds("train")
    return BalanceCore(config, size) if len(tasks) == 1 else MixedCore(config, size, tasks)


class MixedCore:
    """N rows over several populations. Row i belongs to population ``i % len(tasks)`` for good.

    Its methods are those of :class:`BalanceCore`, which says what they do.
    """

    def __init__(self, config: EnvConfig, size: int, tasks: Sequence[Task]) -> None:
        if size < len(tasks):
            raise ValueError(
                f"suite {config.suite!r} trains {len(tasks)} kinds of GAN; "
                f"num_envs must be at least {len(tasks)}, not {size}"
            )
        self.config = config
        self.size = size
        sizes = [len(range(index, size, len(tasks))) for index in range(len(tasks))]
        self.cores = [BalanceCore(config, count, task) for count, task in zip(sizes, tasks, strict=True)]
        self.suite, self.codec, self.observer = self.cores[0].suite, self.cores[0].codec, self.cores[0].observer

    def place(self, row: int) -> tuple[BalanceCore, int]:
        """The core that ``row`` lives in, and its number there."""
        return self.cores[row % len(self.cores)], row // len(self.cores)

    @property
    def instances(self) -> list[GanInstance | None]:
        return [core.instances[index] for core, index in map(self.place, range(self.size))]

    @property
    def decisions(self) -> NDArray[np.int64]:
        return np.array([core.decisions[index] for core, index in map(self.place, range(self.size))])

    def draw(self, row: int, rng: np.random.Generator) -> GanInstance:
        core, index = self.place(row)
        return core.draw(index, rng)

    def reset(self, rows: Sequence[int], instances: Sequence[GanInstance]) -> NDArray[np.float32]:
        given = list(instances)
        return self._each(
            rows, lambda core, own, places: core.reset(own, [given[place] for place in places]), np.concatenate
        )

    def step(self, rows: Sequence[int], actions: Any) -> StepResult:
        chosen = np.asarray(actions)
        return self._each(rows, lambda core, own, places: core.step(own, chosen[places]), _join_results)

    def observations(self, rows: Sequence[int]) -> NDArray[np.float32]:
        return self._each(rows, lambda core, own, places: core.observations(own), np.concatenate)

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        return self._each(rows, lambda core, own, places: core.infos(own), _join_columns)

    def data_of(self, row: int) -> DataSet:
        core, index = self.place(row)
        return core.data_of(index)

    def samples(self, row: int, count: int) -> Tensor:
        core, index = self.place(row)
        return core.samples(index, count)

    def get_state(self) -> dict[str, Any]:
        return {"cores": [core.get_state() for core in self.cores]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        for core, own in zip(self.cores, state["cores"], strict=True):
            core.set_state(own)

    def close(self) -> None:
        for core in self.cores:
            core.close()

    def _each(
        self,
        rows: Sequence[int],
        work: Callable[[BalanceCore, list[int], list[int]], Any],
        join: Callable[[list[Any]], Any],
    ) -> Any:
        """``work(core, its own row numbers, their places in rows)`` by core, joined, in the order of ``rows``."""
        chosen, kinds = list(rows), len(self.cores)
        parts, order = [], []
        for kind, core in enumerate(self.cores):
            places = [place for place, row in enumerate(chosen) if row % kinds == kind]
            if places:
                parts.append(work(core, [chosen[place] // kinds for place in places], places))
                order += places
        return _reorder(join(parts), np.argsort(order))


def _join_columns(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: _join_columns([part[name] for part in parts])
        if isinstance(column, dict)
        else np.concatenate([part[name] for part in parts])
        for name, column in parts[0].items()
    }


def _join_results(parts: list[StepResult]) -> StepResult:
    return StepResult(
        np.concatenate([part.observations for part in parts]),
        np.concatenate([part.rewards for part in parts]),
        np.concatenate([part.terminated for part in parts]),
        _join_columns([part.infos for part in parts]),
    )


def _reorder(value: Any, order: NDArray[np.int64]) -> Any:
    if isinstance(value, StepResult):
        return StepResult(
            value.observations[order], value.rewards[order], value.terminated[order], _reorder(value.infos, order)
        )
    if isinstance(value, dict):
        return {name: _reorder(column, order) for name, column in value.items()}
    return value[order]
