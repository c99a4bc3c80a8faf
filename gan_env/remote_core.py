"""The row interface of a core that is held elsewhere, and what becomes of its rows when it is lost."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones.data import DataSet
from gan_env.config import EnvConfig
from gan_env.core import STATISTICS, StepResult
from gan_env.instances import GanInstance, Task
from gan_env.knobs import ActionCodec
from gan_env.quality import cached_data
from gan_env.reward import parse_reward
from gan_env.shards import GivenUpError, LostShardError, Shard, Shards

MOST_LOSSES = 3
"""A shard that is lost so many times without one step in between is given up."""


class RemoteCore:
    """The row interface of :class:`~gan_env.core.BalanceCore`, which says what the methods do; the work is elsewhere.

    A shard that is lost is replaced, where its holder can: the new one begins the episodes of all rows again, so that
    it has an answer to everything. The next step of a row that was lost does not train; it is ``truncated``, earns 0,
    and shows the observation that was last seen, so that a learner bootstraps from there. A grade, which would be that
    of another GAN, raises ``LostShardError``.
    """

    def __init__(self, config: EnvConfig, size: int, task: Task, shards: Shards) -> None:
        config = dataclasses.replace(config, workers=1)
        self.config = config
        self.size = size
        self.suite = config.resolved_suite()
        self.task = task
        self.key = task.population_key()
        self.codec = config.codec()
        self.observer = config.observer()
        self.instances: list[GanInstance | None] = [None] * size
        self.decisions = np.zeros(size, dtype=np.int64)
        self.restarts = 0
        """Episodes that were truncated because their shard was lost."""
        self._observations = self.observer.vector.repeat(size, 1).numpy()
        self._lost = np.zeros(size, dtype=bool)
        self._losses = 0
        self._lock = threading.RLock()
        self._shards = shards
        self._shard = shards.start(config, size, task)

    def draw(self, row: int, rng: np.random.Generator) -> GanInstance:
        return self.suite.sample(rng, accept=lambda task: task.population_key() == self.key)

    def reset(self, rows: Sequence[int], instances: Sequence[GanInstance]) -> NDArray[np.float32]:
        chosen = list(rows)
        observations: NDArray[np.float32] = self._call("reset", chosen, list(instances))
        self._observations[chosen] = observations
        for row, instance in zip(chosen, instances, strict=True):
            self.instances[row] = instance
        self.decisions[chosen] = 0
        self._lost[chosen] = False
        return observations

    def step(self, rows: Sequence[int], actions: object, codec: ActionCodec | None = None) -> StepResult:
        chosen = list(rows)
        with self._lock:
            try:
                if not self._lost[chosen].any():
                    result: StepResult = self._shard.call("step", chosen, actions, codec)
                    self._losses = 0
                    self.decisions[chosen] += 1
                    self._observations[chosen] = result.observations
                    return result
            except LostShardError:
                self._replace()
            self._lost[chosen] = False
            self.restarts += len(chosen)
            return self._truncated(chosen)

    def observations(self, rows: Sequence[int]) -> NDArray[np.float32]:
        return self._observations[list(rows)]

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        infos: dict[str, Any] = self._call("infos", list(rows))
        return infos

    def grade(self, rows: Sequence[int]) -> NDArray[np.float64]:
        return self._verdict("grade", list(rows))

    def failures(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        return self._verdict("failures", list(rows))

    def data_of(self, row: int) -> DataSet:
        instance = self.instances[row]
        data = self.task.data if instance is None else instance.data
        return cached_data(data, self.task.resolution, self.config.cache_dir, self.config.progress)

    def samples(self, row: int, count: int) -> Tensor:
        return torch.from_numpy(self._call("samples", row, count))

    def get_state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._call("get_state")
        return state | {"lost": self._lost.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        def put(shard: Shard) -> NDArray[np.float32]:
            shard.call("set_state", state)
            observations: NDArray[np.float32] = shard.call("observations", range(self.size))
            return observations

        with self._lock:
            self._observations = self._surely(put)  # both once more where a shard is lost, so that no episode is
            self.instances = [None if one is None else GanInstance(**one) for one in state["instances"]]
            self.decisions = state["decisions"].copy()
            self._lost = state["lost"].copy() if "lost" in state else np.zeros(self.size, dtype=bool)

    def close(self) -> None:
        self._shard.close()

    def _call(self, method: str, *arguments: Any) -> Any:
        """The answer of the shard, or of the one that replaces it."""
        return self._surely(lambda shard: shard.call(method, *arguments))

    def _surely(self, ask: Callable[[Shard], Any]) -> Any:
        """What ``ask`` gets from the shard, or from the one that replaces it."""
        with self._lock:
            while True:
                try:
                    return ask(self._shard)
                except LostShardError:
                    self._replace()

    def _verdict(self, method: str, rows: list[int]) -> Any:
        value = self._call(method, rows)
        if self._lost[rows].any():
            raise LostShardError("the GANs to be judged were lost; play their episodes again")
        return value

    def _replace(self) -> None:
        """A new shard, at the beginning of every row's episode."""
        begun = [row for row, instance in enumerate(self.instances) if instance is not None]
        while True:
            self._losses += 1
            if self._losses > MOST_LOSSES:
                raise GivenUpError(f"a worker was lost {self._losses} times in a row; is there enough memory?")
            try:
                self._shard = self._shards.replace(self._shard, self.config, self.size, self.task)
                if begun:
                    self._shard.call("reset", begun, [self.instances[row] for row in begun])
            except LostShardError:
                continue
            self._lost[begun] = True
            return

    def _truncated(self, rows: list[int]) -> StepResult:
        """A step that nobody made. What is not known is NaN."""
        count, names = len(rows), parse_reward(self.config.reward)
        return StepResult(
            observations=self.observations(rows),
            rewards=np.zeros(count),
            terminated=np.zeros(count, dtype=bool),
            infos=self.infos(rows)
            | {
                "fid_proxy": np.full(count, np.nan),
                "reward_terms": {name: np.zeros(count) for name in names},
                "stats": {name: np.full(count, np.nan, dtype=np.float32) for name in STATISTICS},
            },
            truncated=np.ones(count, dtype=bool),
        )
