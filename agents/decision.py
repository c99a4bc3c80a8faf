"""The rule that decides the comparison. It was written before there were data, and the report applies it as it stands.

*Rescue* (everybody starts at the instance's bad rates), for the best learned policy:

1. its probability of improvement is at least :data:`IMPROVEMENT` over every other method, and the interval of each
   lies above :data:`EVEN`;
2. its normalised score (IQM) is at least :data:`SCORE`;
3. its worst tenth lies below that of every other method.

*Free* (everybody may set the rates at the first step): it is not worse than ``best_static`` within the interval of the
paired difference of scores; and on at least one suite it is better, with the whole interval above 0.

*Transfer* (a method that was prepared on another suite): it keeps at least :data:`KEPT` of the score that the same
method has when it is prepared on the suite that is tested. Such a method answers another question than the others: it
is not judged by the claims above, and no rival in them.

The best learned policy is chosen by validation alone (:func:`choose_policy`). ``oracle`` is no rival: it knows how
each test instance ends under 32 pairs of rates and takes the best; it defines the score 1. Where claims compare
estimates, the estimate decides; its interval is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agents.statistics.crossed import Estimate
from agents.statistics.standings import Duel, Standing

NOOP, ORACLE, BEST_STATIC = "noop", "oracle", "best_static"

IMPROVEMENT = 0.75
EVEN = 0.5
SCORE = 0.8
KEPT = 0.8

Outcome = Literal["met", "not met", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """One claim of the rule, whether it holds, and why."""

    claim: str
    outcome: Outcome
    finding: str


def choose_policy(curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> str | None:
    """The learned method to be judged, from validation curves: method -> runs -> (GAN updates, validation grade).

    The policy that a run hands over is its best by validation, so a run counts as the lowest point of its curve, and a
    method as the median of its runs. Lower is better; none where no method has a curve.
    """
    reached = {
        method: float(np.median([min(grade for _, grade in curve) for curve in runs if curve]))
        for method, runs in curves.items()
        if any(runs)
    }
    return min(reached, key=reached.__getitem__) if reached else None


def judge_rescue(
    policy: str, standings: Mapping[str, Standing], duels: Mapping[str, Duel], learned: Sequence[str]
) -> list[Verdict]:
    """Claims 1 to 3; the first is told apart for rivals that do not learn and for those that do."""
    rivals = {name: duel for name, duel in duels.items() if name != ORACLE}
    taught = {name: duel for name, duel in rivals.items() if name in learned}
    others = {name: duel for name, duel in rivals.items() if name not in learned}
    claim = f"Improves on {{}} with probability at least {IMPROVEMENT:g}, every interval above {EVEN:g}"
    verdicts = [_improves(claim.format("every method that does not learn"), policy, others)]
    if taught:
        verdicts.append(_improves(claim.format("every other learner"), policy, taught))
    return [*verdicts, _scores(policy, standings[policy]), _worst_tenth(policy, rivals)]


def judge_free(policy: str, duels: Mapping[str, Duel]) -> list[Verdict]:
    """The policy against ``best_static``, within one suite."""
    claim = f"Not worse than {BEST_STATIC} within the interval"
    difference = _to_best_static(duels)
    if difference is None:
        return [Verdict(claim, "undecided", f"There is no score of {BEST_STATIC} in this table.")]
    told = f"{policy} scores {_signed(difference)} against {BEST_STATIC}"
    if difference.high < 0:
        return [Verdict(claim, "not met", f"{told}: worse, the whole interval lies below 0.")]
    if difference.low > 0:
        return [Verdict(claim, "met", f"{told}: better, the whole interval lies above 0.")]
    bound = f"the interval holds 0. It does not exclude a loss of up to {-difference.low:.2f}"
    return [Verdict(claim, "met", f"{told}: not worse, {bound}.")]


def judge_across(duels_by_suite: Mapping[str, Mapping[str, Duel]]) -> Verdict:
    """Better than ``best_static`` on at least one suite, from the *free* tables of all suites."""
    claim = f"Better than {BEST_STATIC} on at least one suite"
    differences = {suite: _to_best_static(duels) for suite, duels in duels_by_suite.items()}
    known = {suite: difference for suite, difference in differences.items() if difference is not None}
    better = [suite for suite, difference in known.items() if difference.low > 0]
    if better:
        return Verdict(claim, "met", f"Better on {_listed(better)}.")
    if not known:
        return Verdict(claim, "undecided", f"No suite has a free table with a learned policy and {BEST_STATIC}.")
    told = "; ".join(f"{suite} {_signed(difference)}" for suite, difference in known.items())
    return Verdict(claim, "not met", f"No interval lies above 0: {told}.")


def judge_transfer(policy: str, home: str, kept: Estimate | None) -> Verdict:
    """A method that was prepared elsewhere; ``kept`` is its score over that of ``home``."""
    claim = f"{policy} keeps at least {KEPT:.0%} of the score of {home}"
    if kept is None:
        return Verdict(claim, "undecided", f"There is no score of {home} in this table that is surely above 0.")
    return Verdict(claim, "met" if kept.value >= KEPT else "not met", f"It keeps {_interval(kept)} of it.")


def _improves(claim: str, policy: str, duels: Mapping[str, Duel]) -> Verdict:
    if not duels:
        return Verdict(claim, "undecided", "There is no such rival in this table.")
    chances = {name: duel.improvement for name, duel in duels.items()}
    short = {name: one for name, one in chances.items() if one.value < IMPROVEMENT or one.low <= EVEN}
    if short:
        told = "; ".join(f"{name} {_interval(one)}" for name, one in short.items())
        return Verdict(claim, "not met", f"{policy} falls short against {len(short)} of {len(duels)}: {told}.")
    hardest = min(chances, key=lambda name: chances[name].value)
    told = f"lowest against {hardest}: {_interval(chances[hardest])}"
    return Verdict(claim, "met", f"{policy} does so against all {len(duels)}; {told}.")


def _scores(policy: str, standing: Standing) -> Verdict:
    claim = f"Normalised score at least {SCORE:g}"
    if standing.score is None:
        return Verdict(claim, "undecided", "There is no scale: noop or oracle is missing, or the oracle is no better.")
    outcome: Outcome = "met" if standing.score.value >= SCORE else "not met"
    return Verdict(claim, outcome, f"{policy} scores {_interval(standing.score)}.")


def _worst_tenth(policy: str, duels: Mapping[str, Duel]) -> Verdict:
    claim = "Its worst tenth lies below every rival's"
    if not duels:
        return Verdict(claim, "undecided", "There is no rival in this table.")
    ratios = {name: duel.worst_tenth_ratio for name, duel in duels.items()}
    above = {name: one for name, one in ratios.items() if one.value >= 1}
    if above:
        told = "; ".join(f"{_interval(one)} times that of {name}" for name, one in above.items())
        return Verdict(claim, "not met", f"{policy}'s is {told}.")
    closest = max(ratios, key=lambda name: ratios[name].value)
    told = f"closest is {closest}, of whose it is {_interval(ratios[closest])} times"
    return Verdict(claim, "met", f"{policy}'s is the lowest; {told}.")


def _to_best_static(duels: Mapping[str, Duel]) -> Estimate | None:
    return duels[BEST_STATIC].difference if BEST_STATIC in duels else None


def _interval(one: Estimate) -> str:
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def _signed(one: Estimate) -> str:
    return f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
