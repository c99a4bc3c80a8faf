"""The MDP itself, for N rows at once: what an episode is, step by step. Both environments are thin shells around it."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones import GanPopulation, ReplicaSetup, TrainStats, build
from gan_backbones.data import DataSet
from gan_env.config import EnvConfig
from gan_env.grad_mode import trainable
from gan_env.instances import GanInstance, Task
from gan_env.knobs import KNOBS, ActionCodec
from gan_env.observation import Measurement, before_training
from gan_env.quality import Grader, Proxy, cached_data, make_grader, make_proxy
from gan_env.reward import parse_reward, reward_terms
from gan_env.transfer import merge, on_device, take_rows, to_device, to_host

COLLAPSE_REACHED = 0.25
"""Collapse counts only after the samples' spread had reached this share of the data's, ..."""
COLLAPSE_SHARE = 0.1
"""... and means a spread below this share of the episode's own best, or of the data's where that is less: a GAN that
overshoots and comes back has not collapsed; ..."""
COLLAPSE_STEPS = 3
"""... at this many decisions in a row."""
_SMALLEST_DISTANCE = 1e-9
STATISTICS = tuple(field.name for field in dataclasses.fields(TrainStats) if field.name != "diverged")
"""Names in ``info["stats"]``."""


@dataclass(frozen=True)
class StepResult:
    """Outcome of one decision of some rows; arrays hold those rows in the order asked for."""

    observations: NDArray[np.float32]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    infos: dict[str, Any]
    """Column by column: ``fid_proxy``, ``diverged``, ``collapsed``, ``instance``, and by name ``reward_terms``,
    ``stats`` and ``knobs``."""
    truncated: NDArray[np.bool_]
    """Rows that were lost with whoever trained them: never, unless on another machine."""


class BalanceCore:
    """N episodes of GAN balancing on one population.

    A row is reset with an instance and then stepped until ``terminated``. It ends by divergence, by collapse, or when
    its training budget is spent. Instances may differ in their data set; all else that shapes a population must be as
    in ``task``, by default the suite's first.
    """

    @trainable
    def __init__(self, config: EnvConfig, size: int, task: Task | None = None) -> None:
        self.config = config
        self.size = size
        self.suite = config.resolved_suite()
        self.task = task = self.suite.tasks[0] if task is None else task
        self.key = task.population_key()
        self.device = torch.device(config.device)
        self.codec = config.codec()
        shape, options = self._load(task.data).sample_shape, dict(task.backbone_options)
        build(task.backbone, shape, **options)  # a clear error comes before anything is allocated
        fixed = dict(task.constants) | dict(config.constants)
        constants = {name: float(value) for name, value in fixed.items() if name not in config.knobs}
        self.population = GanPopulation(
            lambda: build(task.backbone, shape, **options),
            size,
            batch_size=task.batch_size,
            loss=task.loss,
            knobs=[name for name in (*config.knobs, *constants) if name not in ("lr_g", "lr_d")],
            strategy=config.strategy,
            workers=config.workers,
            device=self.device,
            precision=config.precision,
        )
        self.constants = {name: torch.full((size,), value, device=self.device) for name, value in constants.items()}
        """Knobs that the agent does not turn, ``(N,)`` each; whoever owns the environment may, between two steps."""
        self.observer = config.observer(size, self.device)
        self.proxies: dict[str, Proxy] = {}
        """By data set, made when first needed."""
        self._graders: dict[str, Grader] = {}
        self._preset = parse_reward(config.reward)
        if config.measure_quality:
            self._proxy(task.data)

        self.instances: list[GanInstance | None] = [None] * size
        self.decisions = np.zeros(size, dtype=np.int64)
        """Decisions made in each row's episode."""
        self._log_knobs = np.zeros((size, len(config.knobs)))
        self._latents = torch.zeros(size, task.proxy_samples, self.population.latent_size, device=self.device)
        self._best_diversity = torch.zeros(size, dtype=torch.float64, device=self.device)
        self._low_diversity = torch.zeros(size, dtype=torch.int64, device=self.device)
        self._measurement = self._blank()
        self._seen: dict[str, NDArray[Any]] = {}

    def draw(self, row: int, rng: np.random.Generator) -> GanInstance:
        """A training instance that can become an episode of ``row``."""
        return self.suite.sample(rng, accept=lambda task: task.population_key() == self.key)

    @trainable
    def reset(self, rows: Sequence[int], instances: Sequence[GanInstance]) -> NDArray[np.float32]:
        """Begin an episode in each of ``rows``; returns their observations."""
        for instance in instances:
            if instance.population_key() != self.key:
                raise ValueError(
                    f"instance {instance.to_dict()} does not fit this environment; "
                    "backbone, shape, loss, batch size, betas, constants and updates per step must be its suite's"
                )
        chosen = list(rows)
        self.population.reset(chosen, [ReplicaSetup(one.seed, self._load(one.data), one.betas) for one in instances])
        self._latents[chosen] = self.population.draw_latents(self.task.proxy_samples, chosen)
        for row, instance in zip(chosen, instances, strict=True):
            self.instances[row] = instance
            start = {"lr_g": instance.lr_g, "lr_d": instance.lr_d}
            self._log_knobs[row] = [math.log10(start.get(name, KNOBS[name].default)) for name in self.config.knobs]
        self.decisions[chosen] = 0
        self._best_diversity[chosen] = 0.0
        self._low_diversity[chosen] = 0
        distance, diversity, _ = self._measure_quality(chosen)
        fresh = dataclasses.replace(self._blank(), distance=distance, start_distance=distance, diversity=diversity)
        self._measurement = merge(fresh, self._measurement, chosen)
        self.observer.reset(chosen, self._measurement)
        self._show({})
        return self.observations(chosen)

    @trainable
    def step(self, rows: Sequence[int], actions: object, codec: ActionCodec | None = None) -> StepResult:
        """Apply one action to each of ``rows`` and train them for one decision; other rows stay as they are.

        ``codec`` reads the actions, by default the environment's own. One copy goes to the device, one comes back.
        """
        chosen = list(rows)
        self._log_knobs[chosen] = (codec or self.codec).apply(self._log_knobs[chosen], actions)
        self.decisions[chosen] += 1
        horizon = np.array([1 if one is None else one.decisions for one in self.instances])
        log_knobs, budget_left = to_device(self.device, self._log_knobs, 1.0 - self.decisions / horizon)
        knobs = {name: 10 ** log_knobs[:, index] for index, name in enumerate(self.config.knobs)} | self.constants
        active = torch.zeros(self.size, dtype=torch.bool)
        active[chosen] = True
        stats = self.population.update(knobs, self.task.updates_per_step, None if active.all() else active)

        before = self._measurement
        distance, diversity, finite = self._measure_quality(chosen)
        diverged = stats.diverged | ~finite
        collapsed = self._notice_collapse(chosen, diversity) & ~diverged
        failed = diverged | collapsed
        seen = Measurement(
            stats=stats,
            log_knobs=log_knobs,
            start_log_knobs=before.start_log_knobs,
            budget_left=budget_left,
            distance=torch.where(failed, self.task.worst_proxy, distance),
            start_distance=before.start_distance,
            diversity=diversity,
            failed=failed,
        )
        self._measurement = after = merge(seen, before, chosen)
        self.observer.push(chosen, after)
        terms = reward_terms(self._preset, before, after)
        shown = self._show(
            {"diverged": diverged, "collapsed": collapsed, "failed": failed}
            | {f"reward/{name}": value for name, value in terms.items()}
            | {f"stats/{name}": getattr(stats, name) for name in STATISTICS}
        )
        rewards = {name: shown[f"reward/{name}"][chosen] for name in terms}
        return StepResult(
            observations=self.observations(chosen),
            rewards=np.sum(list(rewards.values()), axis=0, dtype=np.float64),
            terminated=(shown["failed"] | (self.decisions >= horizon))[chosen],
            infos=self.infos(chosen)
            | {
                "reward_terms": rewards,
                "diverged": shown["diverged"][chosen],
                "collapsed": shown["collapsed"][chosen],
                "stats": {name: shown[f"stats/{name}"][chosen] for name in STATISTICS},
            },
            truncated=np.zeros(len(chosen), dtype=bool),
        )

    def observations(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Present observations of ``rows``, copied."""
        present: NDArray[np.float32] = self._seen["observations"][list(rows)]
        return present

    def _show(self, columns: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
        """Copy ``columns``, the observations and the distances to the host at once; all rows, ``(N, ...)`` each."""
        always = {"observations": self.observer.vector, "distance": self._measurement.distance}
        self._seen = to_host({**columns, **always})
        return self._seen

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        """What an ``info`` says after a reset, column by column."""
        chosen = list(rows)
        instances = np.empty(len(chosen), dtype=object)
        instances[:] = [self.instances[row] for row in chosen]
        values = 10 ** self._log_knobs[chosen]
        return {
            "fid_proxy": self._seen["distance"][chosen],
            "diverged": np.zeros(len(chosen), dtype=bool),
            "collapsed": np.zeros(len(chosen), dtype=bool),
            "knobs": {name: values[:, index] for index, name in enumerate(self.config.knobs)},
            "instance": instances,
        }

    def failures(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        """Which of ``rows`` have diverged or collapsed in their present episodes."""
        return self._measurement.failed.cpu().numpy()[list(rows)]

    def data_of(self, row: int) -> DataSet:
        """What ``row`` trains on; the task's before its first episode."""
        return self._load((self.instances[row] or self.task).data)

    def grader(self, data: str) -> Grader:
        """What grades GANs on a data set; made on first use. See :mod:`gan_env.quality`."""
        if data not in self._graders:
            count, config = self.task.grade_samples, self.config
            self._graders[data] = make_grader(self._load(data), count, self.device, config.cache_dir, config.progress)
        return self._graders[data]

    def grade(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """The graders' verdict on fresh samples of ``rows``; failed runs get the task's worst value."""
        latents = self.population.draw_latents(self.task.grade_samples)
        graders = {data: self.grader(data) for data in self._data_names(range(self.size))}
        grades = self.population.evaluate(
            lambda samples, chosen: self._by_data(samples, chosen, lambda data: graders[data].grade), latents
        )
        worst = self.task.worst_grade
        return torch.where(self._measurement.failed, worst, grades.clamp(max=worst)).cpu().numpy()[list(rows)]

    def samples(self, row: int, count: int) -> Tensor:
        """``(count, *sample_shape)`` of one row, for pictures: the proxy's latents, so that steps can be compared."""
        return self.population.sample(count, self._latents[:, :count])[row].cpu()

    def get_state(self) -> dict[str, Any]:
        """Everything in mid-episode, copied: plain values, arrays and tensors. :meth:`set_state` continues exactly."""
        return {name: copy.deepcopy(getattr(self, name)) for name in _ROWS} | {
            "instances": [None if one is None else dataclasses.asdict(one) for one in self.instances],
            "measurement": dataclasses.asdict(self._measurement),
            "population": self.population.state_dict(),
            "observer": self.observer.vector.clone(),
            "lost": np.zeros(self.size, dtype=bool),  # as elsewhere, so that a run may move between machines
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of an environment with equal options. ``ValueError`` for one that it cannot have."""
        if "cores" in state:
            raise ValueError(f"the state is of {len(state['cores'])} populations, and this environment has 1")
        self.instances = [None if one is None else GanInstance(**one) for one in state["instances"]]
        known = {data.fingerprint: data for data in map(self._load, {one.data for one in self.instances if one})}
        self.population.load_state_dict(state["population"], known)
        for name in _ROWS:
            setattr(self, name, on_device(self.device, state[name]))
        measurement = on_device(self.device, state["measurement"])
        self._measurement = Measurement(**measurement | {"stats": TrainStats(**measurement["stats"])})
        self.observer.vector.copy_(state["observer"])
        always = (self.observer.vector, self._latents, torch.from_numpy(self._log_knobs))
        failed_or_finite = self._measurement.failed | self.population.finite()
        if not (failed_or_finite.all() and all(part.isfinite().all() for part in always)):
            raise ValueError("the state of the GANs holds numbers that are not finite, in rows that have not failed")
        self._show({})

    def copy_rows(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Make each of ``targets`` go on exactly as the row of ``sources`` at its place, random numbers included."""
        moved = dict(zip(targets, sources, strict=True))
        order = [moved.get(row, row) for row in range(self.size)]
        state = self.get_state()
        tensors = [take_rows(tensor, order) for tensor in state["population"].pop("tensors")]
        state |= {name: take_rows(part, order) for name, part in state.items()}
        state["population"]["tensors"] = tensors
        self.set_state(state)

    def close(self) -> None:
        self.population.close()

    def _load(self, data: str) -> DataSet:
        return cached_data(data, self.task.resolution, self.config.cache_dir, self.config.progress)

    def _proxy(self, data: str) -> Proxy:
        if data not in self.proxies:
            count, config = self.task.proxy_samples, self.config
            self.proxies[data] = make_proxy(self._load(data), count, self.device, config.cache_dir, config.progress)
        return self.proxies[data]

    def _data_names(self, rows: Sequence[int]) -> list[str]:
        instances = [self.instances[row] for row in rows]
        return [self.task.data if instance is None else instance.data for instance in instances]

    def _by_data(self, samples: Tensor, rows: Sequence[int], measure: Any) -> Tensor:
        """``measure(data)(samples)`` of rows that share a data set, put back in the order of ``rows``."""
        names = self._data_names(rows)
        if len(set(names)) == 1:
            result: Tensor = measure(names[0])(samples)
            return result
        parts = {data: [i for i, name in enumerate(names) if name == data] for data in dict.fromkeys(names)}
        values = torch.cat([measure(data)(samples[places]) for data, places in parts.items()])
        order = torch.tensor([place for places in parts.values() for place in places], device=values.device)
        return values[order.argsort()]

    def _measure_quality(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Distance, diversity and finiteness, ``(N,)`` each, valid in ``rows``; NaN and true where not measured."""
        measured = torch.full((self.size, 2), torch.nan, dtype=torch.float64, device=self.device)
        if not self.config.measure_quality:
            return measured[:, 0], measured[:, 1], torch.ones(self.size, dtype=torch.bool, device=self.device)
        proxies = {data: self._proxy(data) for data in self._data_names(range(self.size))}
        few = 2 * len(rows) <= self.size  # a row by itself costs more than its share of a batch
        values = self.population.evaluate(
            lambda samples, chosen: self._by_data(samples, chosen, lambda data: proxies[data].measure),
            self._latents[list(rows)] if few else self._latents,
            rows if few else None,
        ).double()
        if few:
            measured[list(rows)] = values
        else:  # the other rows' numbers are merged away
            measured = values
        distance, diversity = measured.unbind(-1)
        finite = distance.isfinite() & diversity.isfinite()
        return distance.clamp(_SMALLEST_DISTANCE, self.task.worst_proxy), diversity, finite

    def _notice_collapse(self, rows: Sequence[int], diversity: Tensor) -> Tensor:
        """``(N,)``: the spread has been far below the episode's best and the data's for a while. NaN never counts."""
        best = torch.where(diversity > self._best_diversity, diversity, self._best_diversity).clamp(max=1.0)
        low = (best >= COLLAPSE_REACHED) & (diversity < COLLAPSE_SHARE * best)
        streak = torch.where(low, self._low_diversity + 1, 0)
        self._best_diversity = merge(best, self._best_diversity, rows)
        self._low_diversity = merge(streak, self._low_diversity, rows)
        return self._low_diversity >= COLLAPSE_STEPS

    def _blank(self) -> Measurement:
        return before_training(*to_device(self.device, self._log_knobs, np.ones(self.size)))


_ROWS = ("decisions", "_log_knobs", "_latents", "_best_diversity", "_low_diversity")
"""Attributes with an entry for each row."""
