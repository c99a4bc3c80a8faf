"""Several cores behind the row interface of one: for suites that mix points with images, and for shards elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones import build
from gan_backbones.data import DataSet
from gan_env.config import EnvConfig
from gan_env.core import BalanceCore, StepResult
from gan_env.instances import GanInstance, Task
from gan_env.knobs import ActionCodec
from gan_env.quality import cached_data, make_proxy
from gan_env.remote_core import RemoteCore
from gan_env.shards import PROCESSES, Shards


def make_core(
    config: EnvConfig, size: int, tasks: Sequence[Task] | None = None, shards: Shards = PROCESSES
) -> BalanceCore | MixedCore:
    """The rows of a vector environment: one population in this process where that is enough.

    ``tasks`` are the kinds of GAN, by default those that the suite trains; ``shards`` says who else may hold some.
    """
    kinds = config.resolved_suite().kinds("train") if tasks is None else tasks
    if len(kinds) == 1 and shards.count(config, size) == 0:
        return BalanceCore(config, size, kinds[0])
    return MixedCore(config, size, kinds, shards)


class MixedCore:
    """N rows over several cores. Row i belongs to core ``i % len(cores)`` for good, whose kind is ``i % len(tasks)``.

    Its methods are those of :class:`BalanceCore`, which says what they do. Where ``shards`` takes the rows, each kind
    has as many cores there as it counts.
    """

    def __init__(self, config: EnvConfig, size: int, tasks: Sequence[Task], shards: Shards = PROCESSES) -> None:
        if size < len(tasks):
            raise ValueError(
                f"suite {config.suite!r} trains {len(tasks)} kinds of GAN; "
                f"num_envs must be at least {len(tasks)}, not {size}"
            )
        self.config = config
        self.size = size
        count = shards.count(config, size // len(tasks), len(tasks))
        kinds = list(tasks) * max(1, count)
        sizes = [len(range(index, size, len(kinds))) for index in range(len(kinds))]
        self.cores: list[BalanceCore | RemoteCore]
        if count == 0:
            self.cores = [BalanceCore(config, rows, task) for rows, task in zip(sizes, kinds, strict=True)]
        else:
            _prepare(config, tasks)
            self.cores = [RemoteCore(config, rows, task, shards) for rows, task in zip(sizes, kinds, strict=True)]
        self._executor = ThreadPoolExecutor(len(kinds), "gan-core") if count else None
        self.task = tasks[0]
        self.suite, self.codec, self.observer = self.cores[0].suite, self.cores[0].codec, self.cores[0].observer

    def place(self, row: int) -> tuple[BalanceCore | RemoteCore, int]:
        """The core that ``row`` lives in, and its number there."""
        return self.cores[row % len(self.cores)], row // len(self.cores)

    @property
    def instances(self) -> list[GanInstance | None]:
        return [core.instances[index] for core, index in map(self.place, range(self.size))]

    @property
    def decisions(self) -> NDArray[np.int64]:
        return np.array([core.decisions[index] for core, index in map(self.place, range(self.size))])

    @property
    def restarts(self) -> int:
        """Episodes that were truncated because whoever trained their GANs was lost."""
        return sum(core.restarts for core in self.cores if isinstance(core, RemoteCore))

    def draw(self, row: int, rng: np.random.Generator) -> GanInstance:
        core, index = self.place(row)
        return core.draw(index, rng)

    def reset(self, rows: Sequence[int], instances: Sequence[GanInstance]) -> NDArray[np.float32]:
        given = list(instances)
        return self._each(
            rows, lambda core, own, places: core.reset(own, [given[place] for place in places]), np.concatenate
        )

    def step(self, rows: Sequence[int], actions: Any, codec: ActionCodec | None = None) -> StepResult:
        chosen = np.asarray(actions)
        return self._each(rows, lambda core, own, places: core.step(own, chosen[places], codec), _join_results)

    def observations(self, rows: Sequence[int]) -> NDArray[np.float32]:
        return self._each(rows, lambda core, own, places: core.observations(own), np.concatenate)

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        return self._each(rows, lambda core, own, places: core.infos(own), _join_columns)

    def grade(self, rows: Sequence[int]) -> NDArray[np.float64]:
        return self._each(rows, lambda core, own, places: core.grade(own), np.concatenate)

    def failures(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        return self._each(rows, lambda core, own, places: core.failures(own), np.concatenate)

    def data_of(self, row: int) -> DataSet:
        core, index = self.place(row)
        return core.data_of(index)

    def samples(self, row: int, count: int) -> Tensor:
        core, index = self.place(row)
        return core.samples(index, count)

    def get_state(self) -> dict[str, Any]:
        """A single core's is that of a :class:`BalanceCore`."""
        states = [core.get_state() for core in self.cores]
        return {"cores": states} if len(states) > 1 else states[0]

    def set_state(self, state: Mapping[str, Any]) -> None:
        states = state.get("cores", [state])
        if len(states) != len(self.cores):
            raise ValueError(f"the state is of {len(states)} populations, and this environment has {len(self.cores)}")
        for core, own in zip(self.cores, states, strict=True):
            core.set_state(own)

    def close(self) -> None:
        for core in self.cores:
            core.close()
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def _each(
        self,
        rows: Sequence[int],
        work: Callable[[BalanceCore | RemoteCore, list[int], list[int]], Any],
        join: Callable[[list[Any]], Any],
    ) -> Any:
        """``work(core, its own row numbers, their places in rows)`` by core, joined, in the order of ``rows``."""
        chosen, count = list(rows), len(self.cores)
        jobs = []
        for index, core in enumerate(self.cores):
            places = [place for place, row in enumerate(chosen) if row % count == index]
            if places:
                jobs.append((core, [chosen[place] // count for place in places], places))
        each = map if self._executor is None else self._executor.map
        parts = list(each(lambda job: work(*job), jobs))
        order = [place for _, _, places in jobs for place in places]
        return _reorder(join(parts), np.argsort(order))


def _prepare(config: EnvConfig, tasks: Sequence[Task]) -> None:
    """Load and make once, in this process, what each of the others would otherwise make for itself."""
    for task in tasks:
        data = cached_data(task.data, task.resolution, config.cache_dir, config.progress)
        build(task.backbone, data.sample_shape, **dict(task.backbone_options))
        if config.measure_quality:
            make_proxy(data, task.proxy_samples, torch.device(config.device), config.cache_dir, config.progress)


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
        np.concatenate([part.truncated for part in parts]),
    )


def _reorder(value: Any, order: NDArray[np.int64]) -> Any:
    if isinstance(value, StepResult):
        return StepResult(
            value.observations[order],
            value.rewards[order],
            value.terminated[order],
            _reorder(value.infos, order),
            value.truncated[order],
        )
    if isinstance(value, dict):
        return {name: _reorder(column, order) for name, column in value.items()}
    return value[order]
