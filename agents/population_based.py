"""Population-based training (Jaderberg et al., arXiv 1711.09846): several GANs for every instance, the best one counts.

Members begin alike but for the rates that each is heading for, drawn log-uniformly. At intervals, the worst quarter by
the quality proxy is replaced by copies of members of the best quarter (truncation selection), weights and rates
together, and the copies head for perturbed rates (explore). At the end the best member by the proxy is the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.evaluation import EpisodeRecord, Evaluator, OnEnd, OnStep, with_rates
from gan_env import EnvConfig, GanInstance
from gan_env.core import BalanceCore
from gan_env.knobs import RATE_KNOBS

INTERVALS = 8
"""Parts of an episode; between two of them, members are replaced."""
TRUNCATION = 0.25
"""Share of the members that is replaced."""
PERTURBATION = 1.5
"""Largest factor on a rate when exploring."""


@dataclass
class _Member:
    """A GAN, and what happened to it and to those that it is a copy of."""

    instance: GanInstance
    wanted: NDArray[np.float64]
    """log10 of the rates that it is heading for."""
    alive: bool = True
    episode_return: float = 0.0
    actions: tuple[tuple[float, ...], ...] = ()
    log10_knobs: tuple[tuple[float, ...], ...] = ()


class PopulationBasedTraining:
    """Plays every instance with so many ``members`` at once, in environments with ``continuous`` actions on the rates.

    ``rows`` GANs train side by side, or one instance's members where these are more. With ``own_start`` each member
    begins at the rates that it heads for, else at the instance's, and no move is larger than the environment's.
    Raises ``ValueError`` for environments that do not fit.
    """

    def __init__(self, config: EnvConfig, members: int, seed: int, *, rows: int, own_start: bool) -> None:
        if members < 2:
            raise ValueError(f"a population needs at least 2 members, not {members}")
        if config.action_type != "continuous" or config.knobs != RATE_KNOBS or config.workers != 1:
            raise ValueError("population-based training needs continuous actions on the two rates, and workers=1")
        self._config, self._members, self._group = config, members, max(1, rows // members)
        self._seed, self._own_start = seed, own_start
        self._decades = np.log10(config.moves[1])

    def play(self, instances: Sequence[GanInstance], on_step: OnStep, on_end: OnEnd) -> list[EpisodeRecord]:
        """One record per instance, of its best member; ``on_end`` is told of that one."""
        rng = np.random.default_rng(self._seed)
        kinds = len(self._config.resolved_suite().kinds())
        evaluator = Evaluator(self._config, self._members * self._group * kinds)
        by_core: dict[int, list[int]] = {}
        for index, instance in enumerate(instances):
            by_core.setdefault(id(evaluator.core(instance)), []).append(index)
        records: dict[int, EpisodeRecord] = {}
        for indices in by_core.values():
            core = evaluator.core(instances[indices[0]])
            assert isinstance(core, BalanceCore), "without processes of its own"
            for start in range(0, len(indices), self._group):
                batch = indices[start : start + self._group]
                members = self._train(core, [instances[index] for index in batch], rng, on_step)
                rows = [ranked[0] for ranked in self._ranked(core, len(members))]
                played = _records(evaluator, core, rows, [members[row] for row in rows])
                for index, row, record in zip(batch, rows, played, strict=True):
                    records[index] = record
                    on_end(index, core, row)
        evaluator.close()
        return [records[index] for index in range(len(instances))]

    def _train(
        self, core: BalanceCore, instances: Sequence[GanInstance], rng: np.random.Generator, on_step: OnStep
    ) -> list[_Member]:
        """The members of one instance after those of another, as the rows of ``core``."""
        low, high = np.log10(core.task.start_ranges).T
        members = []
        for instance in instances:
            for wanted in rng.uniform(low, high, (self._members, 2)):
                own = with_rates([instance], *(10**wanted).tolist())[0] if self._own_start else instance
                members.append(_Member(own, wanted))
        padding = [instances[-1]] * (core.size - len(members))  # left alone
        core.reset(range(core.size), [*(member.instance for member in members), *padding])
        made = 0
        while any(member.alive for member in members):
            rows = [row for row, member in enumerate(members) if member.alive]
            present = np.log10(np.column_stack(list(core.infos(rows)["knobs"].values())))
            wanted = np.array([members[row].wanted for row in rows])
            actions = np.clip((wanted - present) / self._decades, -1, 1).astype(np.float32)
            result = core.step(rows, actions)
            knobs = np.log10(np.column_stack(list(result.infos["knobs"].values())))
            for place, row in enumerate(rows):
                member = members[row]
                member.alive = not result.terminated[place]
                member.episode_return += float(result.rewards[place])
                member.actions = (*member.actions, tuple(actions[place].tolist()))
                member.log10_knobs = (*member.log10_knobs, tuple(knobs[place].tolist()))
            on_step(len(rows) * core.task.updates_per_step)
            made += 1
            if made % max(1, instances[0].decisions // INTERVALS) == 0:
                self._replace(core, members, rng)
        return members

    def _replace(self, core: BalanceCore, members: list[_Member], rng: np.random.Generator) -> None:
        """Truncation selection within each instance's members, and exploration."""
        sources, targets = [], []
        cut = max(1, round(TRUNCATION * self._members))
        for ranked in self._ranked(core, len(members)):
            donors = [row for row in ranked[:cut] if members[row].alive]
            for target in ranked[-cut:] if donors else ():
                source = donors[int(rng.integers(len(donors)))]
                step = rng.uniform(-1, 1, 2) * np.log10(PERTURBATION)
                members[target] = dataclasses.replace(members[source], wanted=members[source].wanted + step)
                sources.append(source)
                targets.append(target)
        if targets:
            core.copy_rows(sources, targets)

    def _ranked(self, core: BalanceCore, count: int) -> list[list[int]]:
        """The rows of each instance's members, the best by the proxy first."""
        proxies = core.infos(range(count))["fid_proxy"].reshape(-1, self._members)
        first = np.arange(0, count, self._members)[:, None]
        ranked: list[list[int]] = (first + np.argsort(proxies, axis=1)).tolist()
        return ranked


def _records(
    evaluator: Evaluator, core: BalanceCore, rows: Sequence[int], members: Sequence[_Member]
) -> list[EpisodeRecord]:
    grades = evaluator.grade(core, rows, [member.instance for member in members])
    failures, proxies = core.failures(rows), core.infos(rows)["fid_proxy"]
    return [
        EpisodeRecord(
            instance=member.instance,
            final=float(grades[place]),
            failed=bool(failures[place]),
            decisions=int(core.decisions[row]),
            episode_return=member.episode_return,
            final_proxy=float(proxies[place]),
            actions=member.actions,
            log10_knobs=member.log10_knobs,
        )
        for place, (row, member) in enumerate(zip(rows, members, strict=True))
    ]
