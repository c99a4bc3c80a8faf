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
from gan_env.config import EnvConfig
from gan_env.instances import GanInstance
from gan_env.knobs import KNOBS, ActionCodec
from gan_env.observation import Measurement, Observer
from gan_env.quality import Grader, cached_data, make_grader, make_proxy
from gan_env.reward import get_preset, reward_terms

COLLAPSE_REACHED = 0.25
"""Collapse counts only after the samples' spread had reached this share of the data's, ..."""
COLLAPSE_SHARE = 0.1
"""... and means a spread below this share of the episode's own best ..."""
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


class BalanceCore:
    """N episodes of GAN balancing on one population.

    A row is reset with an instance and then stepped until ``terminated``. It ends by divergence, by collapse, or when
    its training budget is spent.
    """

    def __init__(self, config: EnvConfig, size: int) -> None:
        self.config = config
        self.size = size
        self.suite = config.resolved_suite()
        self.device = torch.device(config.device)
        self.codec = ActionCodec(config.action_type, config.knobs, config.moves)
        self.data = cached_data(self.suite.data, self.suite.resolution, config.cache_dir, config.progress)
        suite, shape = self.suite, self.data.sample_shape
        options = dict(suite.backbone_options)
        build(suite.backbone, shape, **options)  # a clear error comes before anything is allocated
        regularisers = [KNOBS[name].regulariser for name in config.knobs]
        self.population = GanPopulation(
            lambda: build(suite.backbone, shape, **options),
            size,
            batch_size=suite.batch_size,
            loss=suite.loss,
            regularisers=[name for name in regularisers if name is not None],
            strategy=config.strategy,
            workers=config.workers,
            device=self.device,
        )
        self.observer = Observer(config.knobs, config.groups, config.history, size)
        self.proxy = None
        if config.measure_quality:
            self.proxy = make_proxy(self.data, suite.proxy_samples, self.device, config.cache_dir, config.progress)
        self._grader: Grader | None = None
        self._preset = get_preset(config.reward)
        self._key = suite.sample(np.random.default_rng(0)).population_key()

        self.instances: list[GanInstance | None] = [None] * size
        self.decisions = np.zeros(size, dtype=np.int64)
        """Decisions made in each row's episode."""
        self._log_knobs = np.zeros((size, len(config.knobs)))
        self._latents = torch.zeros(size, suite.proxy_samples, self.population.latent_size, device=self.device)
        self._best_diversity = torch.zeros(size, dtype=torch.float64)
        self._low_diversity = torch.zeros(size, dtype=torch.int64)
        self._measurement = self._blank()

    def reset(self, rows: Sequence[int], instances: Sequence[GanInstance]) -> NDArray[np.float32]:
        """Begin an episode in each of ``rows``; returns their observations."""
        setups = []
        for instance in instances:
            if instance.population_key() != self._key:
                raise ValueError(
                    f"instance {instance.to_dict()} does not fit this environment; "
                    "backbone, shape, loss, batch size and updates per step must be those of its suite"
                )
            data = cached_data(instance.data, instance.resolution, self.config.cache_dir, self.config.progress)
            setups.append(ReplicaSetup(instance.seed, data))
        chosen = list(rows)
        self.population.reset(chosen, setups)
        self._latents[chosen] = self.population.draw_latents(self.suite.proxy_samples, chosen)
        for row, instance in zip(chosen, instances, strict=True):
            self.instances[row] = instance
            start = {"lr_g": instance.lr_g, "lr_d": instance.lr_d}
            self._log_knobs[row] = [math.log10(start.get(name, KNOBS[name].default)) for name in self.config.knobs]
        self.decisions[chosen] = 0
        self._best_diversity[chosen] = 0.0
        self._low_diversity[chosen] = 0
        distance, diversity, _ = self._measure_quality(chosen)
        fresh, old = self._blank(), self._measurement
        log_knobs = torch.from_numpy(self._log_knobs.copy())
        self._measurement = dataclasses.replace(
            old,
            stats=_merge(fresh.stats, old.stats, chosen),
            log_knobs=log_knobs,
            start_log_knobs=_where(log_knobs, old.start_log_knobs, chosen),
            budget_left=_where(fresh.budget_left, old.budget_left, chosen),
            distance=_where(distance, old.distance, chosen),
            start_distance=_where(distance, old.start_distance, chosen),
            diversity=_where(diversity, old.diversity, chosen),
            failed=_where(fresh.failed, old.failed, chosen),
        )
        self.observer.reset(chosen, self._measurement)
        return self.observations(chosen)

    def step(self, rows: Sequence[int], actions: object) -> StepResult:
        """Apply one action to each of ``rows`` and train them for one decision; other rows stay as they are."""
        chosen = list(rows)
        self._log_knobs[chosen] = self.codec.apply(self._log_knobs[chosen], actions)
        log_knobs = torch.from_numpy(self._log_knobs.copy())
        knobs = {name: 10 ** log_knobs[:, index] for index, name in enumerate(self.config.knobs)}
        active = torch.zeros(self.size, dtype=torch.bool)
        active[chosen] = True
        stats = self.population.update(knobs, self.suite.updates_per_step, None if active.all() else active)
        self.decisions[chosen] += 1

        before = self._measurement
        stats = _merge(_to_host(stats), before.stats, chosen)
        distance, diversity, finite = self._measure_quality(chosen)
        diverged = _where(stats.diverged | ~finite, before.failed, chosen)
        collapsed = self._notice_collapse(chosen, diversity) & ~diverged
        failed = diverged | collapsed
        horizon = np.array([1 if i is None else i.decisions for i in self.instances])
        after = Measurement(
            stats=stats,
            log_knobs=log_knobs,
            start_log_knobs=before.start_log_knobs,
            budget_left=torch.from_numpy(1.0 - self.decisions / horizon),
            distance=_where(torch.where(failed, self.suite.worst_proxy, distance), before.distance, chosen),
            start_distance=before.start_distance,
            diversity=_where(diversity, before.diversity, chosen),
            failed=failed,
        )
        self._measurement = after
        self.observer.push(chosen, after)
        terms = {name: value.numpy()[chosen] for name, value in reward_terms(self._preset, before, after).items()}
        return StepResult(
            observations=self.observations(chosen),
            rewards=np.sum(list(terms.values()), axis=0, dtype=np.float64),
            terminated=failed.numpy()[chosen] | (self.decisions >= horizon)[chosen],
            infos=self.infos(chosen)
            | {
                "reward_terms": terms,
                "diverged": diverged.numpy()[chosen],
                "collapsed": collapsed.numpy()[chosen],
                "stats": {name: getattr(stats, name).numpy()[chosen] for name in STATISTICS},
            },
        )

    def observations(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Present observations of ``rows``, copied."""
        return self.observer.vector.numpy()[list(rows)]

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        """What an ``info`` says after a reset, column by column."""
        chosen = list(rows)
        instances = np.empty(len(chosen), dtype=object)
        instances[:] = [self.instances[row] for row in chosen]
        values = 10 ** self._log_knobs[chosen]
        return {
            "fid_proxy": self._measurement.distance.numpy()[chosen],
            "diverged": np.zeros(len(chosen), dtype=bool),
            "collapsed": np.zeros(len(chosen), dtype=bool),
            "knobs": {name: values[:, index] for index, name in enumerate(self.config.knobs)},
            "instance": instances,
        }

    def measurement(self) -> Measurement:
        """The last measurement of all rows."""
        return self._measurement

    @property
    def grader(self) -> Grader:
        """Made on first use; see :mod:`gan_env.quality`."""
        if self._grader is None:
            self._grader = make_grader(
                self.data, self.suite.grade_samples, self.device, self.config.cache_dir, self.config.progress
            )
        return self._grader

    def grade(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """The grader's verdict on fresh samples of ``rows``; failed runs get the suite's worst value."""
        grader = self.grader
        latents = self.population.draw_latents(self.suite.grade_samples)
        grades = self.population.evaluate(grader.grade, latents).cpu()
        worst = self.suite.worst_grade
        grades = torch.where(self._measurement.failed, worst, grades.clamp(max=worst))
        return grades.numpy()[list(rows)]

    def samples(self, row: int, count: int) -> Tensor:
        """``(count, *sample_shape)`` of one row, for pictures: the proxy's latents, so that steps can be compared."""
        return self.population.sample(count, self._latents[:, :count])[row].cpu()

    def get_state(self) -> dict[str, Any]:
        """A copy of everything in mid-episode; :meth:`set_state` continues from it exactly."""
        state = {name: copy.deepcopy(getattr(self, name)) for name in _STATE}
        return state | {"population": self.population.state_dict(), "observer": self.observer.vector.clone()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`get_state` of an environment with equal options returned."""
        known = {
            data.fingerprint: data
            for instance in state["instances"]
            if instance is not None
            for data in [cached_data(instance.data, instance.resolution, self.config.cache_dir, self.config.progress)]
        }
        self.population.load_state_dict(state["population"], known)
        for name in _STATE:
            setattr(self, name, copy.deepcopy(state[name]))
        self.observer.vector.copy_(state["observer"])

    def close(self) -> None:
        self.population.close()

    def _measure_quality(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Distance, diversity and finiteness, ``(N,)`` each, valid in ``rows``; NaN and true where not measured."""
        measured = torch.full((self.size, 2), torch.nan, dtype=torch.float64)
        if self.proxy is None:
            return measured[:, 0], measured[:, 1], torch.ones(self.size, dtype=torch.bool)
        few = 2 * len(rows) <= self.size  # a row by itself costs more than its share of a batch
        values = self.population.evaluate(
            self.proxy.measure, self._latents[list(rows)] if few else self._latents, rows if few else None
        ).to("cpu", torch.float64)
        measured[list(rows)] = values if few else values[list(rows)]
        distance, diversity = measured.unbind(-1)
        finite = distance.isfinite() & diversity.isfinite()
        return distance.clamp(_SMALLEST_DISTANCE, self.suite.worst_proxy), diversity, finite

    def _notice_collapse(self, rows: Sequence[int], diversity: Tensor) -> Tensor:
        """``(N,)``: the spread has been far below the episode's best for some decisions. NaN never counts."""
        best = torch.where(diversity > self._best_diversity, diversity, self._best_diversity)
        low = (best >= COLLAPSE_REACHED) & (diversity < COLLAPSE_SHARE * best)
        streak = torch.where(low, self._low_diversity + 1, 0)
        self._best_diversity = _where(best, self._best_diversity, rows)
        self._low_diversity = _where(streak, self._low_diversity, rows)
        return self._low_diversity >= COLLAPSE_STEPS

    def _blank(self) -> Measurement:
        """Before the first update: a discriminator that cannot tell, nothing moving."""
        zero, half = torch.zeros(self.size), torch.full((self.size,), 0.5)
        off = torch.zeros(self.size, dtype=torch.bool)
        log_knobs = torch.from_numpy(self._log_knobs.copy())
        stats = TrainStats(half, half, zero, zero, zero, zero, zero, zero, off)
        wide = torch.full((self.size,), torch.nan, dtype=torch.float64)
        budget = torch.ones(self.size, dtype=torch.float64)
        return Measurement(stats, log_knobs, log_knobs, budget, wide, wide, wide, off)


_STATE = ("instances", "decisions", "_log_knobs", "_latents", "_best_diversity", "_low_diversity", "_measurement")


def _where(new: Tensor, old: Tensor, rows: Sequence[int]) -> Tensor:
    """``new`` in ``rows``, ``old`` elsewhere."""
    merged = old.clone()
    merged[list(rows)] = new[list(rows)]
    return merged


def _merge(new: TrainStats, old: TrainStats, rows: Sequence[int]) -> TrainStats:
    names = [field.name for field in dataclasses.fields(TrainStats)]
    return TrainStats(**{name: _where(getattr(new, name), getattr(old, name), rows) for name in names})


def _to_host(stats: TrainStats) -> TrainStats:
    names = [field.name for field in dataclasses.fields(TrainStats)]
    return TrainStats(**{name: getattr(stats, name).cpu() for name in names})
