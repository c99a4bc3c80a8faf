"""All numbers of one table of a comparison, computed once: the page, TensorBoard and the terminal show the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.decision import (
    NOOP,
    ORACLE,
    Verdict,
    choose_policy,
    judge_across,
    judge_free,
    judge_rescue,
    judge_transfer,
)
from agents.kinds import ELSEWHERE, LEARNED
from agents.report.folder import Table
from agents.statistics.reliable import performance_profile
from agents.statistics.scores import Scale
from agents.statistics.standings import Contest, Duel, Standing
from agents.variants import at_home

Floats = NDArray[np.float64]

THRESHOLDS: Floats = np.round(np.linspace(-1.0, 1.5, 51), 2)
"""Normalised scores at which a performance profile is computed."""


@dataclass(frozen=True)
class Analysis:
    """One table and what follows from it."""

    table: Table
    scale: Scale | None
    standings: Mapping[str, Standing]
    policy: str | None
    """The learned method that is judged, chosen by validation."""
    duels: Mapping[str, Duel]
    """The policy against each of the others."""
    verdicts: tuple[Verdict, ...]
    profiles: Mapping[str, Floats]
    """Share of scores above each of :data:`THRESHOLDS`."""
    policy_band: tuple[Floats, Floats] | None
    """Pointwise interval of the policy's profile."""

    @property
    def ranking(self) -> list[str]:
        """Methods from best to worst: by score, or by median grade where there is none."""

        def key(name: str) -> float:
            standing = self.standings[name]
            return standing.median if standing.score is None else -standing.score.value

        return sorted(self.standings, key=key)


def analyse(table: Table) -> Analysis:
    """Statistics and verdicts of one table. What cannot be computed for lack of a method is left out."""
    finals = table.finals()
    scale = _scale(finals)
    contest = Contest(finals, table.failures(), scale)
    learned = [method.name for method in table.of_kind(LEARNED)]
    policy = choose_policy({name: [run.curve for run in table.methods[name].runs] for name in learned})
    standings, duels = contest.standings(), contest.duels(policy) if policy else {}
    taken = [method.name for method in table.of_kind(ELSEWHERE)]
    rivals = {name: duel for name, duel in duels.items() if name not in taken}
    verdicts: list[Verdict] = []
    if policy and table.name == "rescue":
        verdicts = judge_rescue(policy, standings, rivals, learned)
    elif policy and table.name == "free":
        verdicts = judge_free(policy, rivals)
    verdicts += [judge_transfer(name, at_home(name), contest.kept(name, at_home(name))) for name in taken]
    return Analysis(
        table=table,
        scale=scale,
        standings=standings,
        policy=policy,
        duels=duels,
        verdicts=tuple(verdicts),
        profiles={name: performance_profile(values, THRESHOLDS) for name, values in contest.scores.items()},
        policy_band=contest.profile_band(policy, THRESHOLDS) if policy and scale else None,
    )


def across(analyses: Sequence[Analysis]) -> Verdict | None:
    """The claim that needs all suites; none where no table is *free*."""
    free = {one.table.suite: one.duels for one in analyses if one.table.name == "free"}
    return judge_across(free) if free else None


def _scale(finals: Mapping[str, Floats]) -> Scale | None:
    if NOOP not in finals or ORACLE not in finals:
        return None
    try:
        return Scale.between(finals[NOOP], finals[ORACLE])
    except ValueError:
        return None
