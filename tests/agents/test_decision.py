"""The rule of the comparison, at its edges."""

import pytest

from agents.decision import choose_policy, judge_across, judge_free, judge_rescue, judge_transfer
from agents.statistics.crossed import Estimate
from agents.statistics.standings import Duel, Standing


def duel(improvement=(0.8, 0.6, 0.9), ratio=0.5, difference=(0.3, 0.1, 0.5)):
    return Duel(Estimate(*improvement), Estimate(ratio, ratio, ratio), Estimate(*difference) if difference else None)


def standing(score=0.9):
    one = None if score is None else Estimate(score, score - 0.1, score + 0.1)
    return Standing(runs=10, median=1.0, worst_tenth=Estimate(2.0, 1.5, 2.5), failed=0.0, score=one)


def rescue(score=0.9, **duels):
    return judge_rescue("ppo", {"ppo": standing(score)}, {"noop": duel()} | duels, ["ppo", "sac"])


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def test_all_claims_can_be_met():
    verdicts = rescue(gap_aware=duel(), sac=duel((0.76, 0.51, 0.9)))
    assert outcomes(verdicts) == ["met"] * 4
    assert "all 2" in verdicts[0].finding and "sac: 0.76 [0.51, 0.90]" in verdicts[1].finding


@pytest.mark.parametrize(
    ("improvement", "outcome"),
    [
        ((0.75, 0.51, 0.9), "met"),
        ((0.749, 0.6, 0.9), "not met"),
        ((0.9, 0.5, 1.0), "not met"),  # above 0.5, not at it
        ((0.2, 0.1, 0.3), "not met"),
    ],
)
def test_the_probability_and_its_interval_both_count(improvement, outcome):
    verdict = rescue(pbt=duel(improvement))[0]
    assert verdict.outcome == outcome
    if outcome == "not met":
        assert "pbt" in verdict.finding and "noop" not in verdict.finding and "1 of 2" in verdict.finding


def test_learners_and_others_are_told_apart():
    assert outcomes(rescue(sac=duel((0.5, 0.3, 0.7)))) == ["met", "not met", "met", "met"]
    assert len(rescue()) == 3, "without another learner there is nothing to say of them"


def test_the_oracle_is_no_rival():
    verdicts = rescue(oracle=duel((0.1, 0.0, 0.2), ratio=4.0))
    assert outcomes(verdicts) == ["met"] * 3 and not any("oracle" in verdict.finding for verdict in verdicts)


@pytest.mark.parametrize(("score", "outcome"), [(0.8, "met"), (0.79, "not met"), (None, "undecided")])
def test_the_score_has_a_threshold(score, outcome):
    assert rescue(score)[1].outcome == outcome


@pytest.mark.parametrize(("ratio", "outcome"), [(0.99, "met"), (1.0, "not met"), (1.5, "not met")])
def test_the_worst_tenth_must_be_the_lowest(ratio, outcome):
    verdict = rescue(cosine=duel(ratio=ratio))[-1]
    assert verdict.outcome == outcome and "cosine" in verdict.finding


@pytest.mark.parametrize(
    ("difference", "outcome", "words"),
    [
        ((0.3, 0.1, 0.5), "met", "better, the whole interval lies above 0"),
        ((0.0, -0.2, 0.1), "met", "does not exclude a loss of up to 0.20"),
        ((-0.1, -0.3, 0.0), "met", "not worse"),
        ((-0.3, -0.5, -0.1), "not met", "worse, the whole interval lies below 0"),
        (None, "undecided", "no score of best_static"),
    ],
)
def test_free_is_decided_by_the_interval(difference, outcome, words):
    (verdict,) = judge_free("ppo", {"best_static": duel(difference=difference)})
    assert verdict.outcome == outcome and words in verdict.finding


def test_without_best_static_nothing_is_decided():
    assert outcomes(judge_free("ppo", {"noop": duel()})) == ["undecided"]
    assert judge_across({"ring": {}}).outcome == "undecided"


def test_one_suite_must_be_better():
    better, even = {"best_static": duel()}, {"best_static": duel(difference=(0.1, -0.1, 0.3))}
    verdict = judge_across({"ring": even, "faces": better})
    assert verdict.outcome == "met" and "faces" in verdict.finding and "ring" not in verdict.finding
    assert judge_across({"ring": even}).outcome == "not met"


@pytest.mark.parametrize(("share", "outcome"), [(0.8, "met"), (1.1, "met"), (0.79, "not met")])
def test_what_was_prepared_elsewhere_must_keep_most_of_the_score(share, outcome):
    verdict = judge_transfer("ppo[suite=faces]", "ppo", Estimate(share, 0.5, 1.2))
    assert verdict.outcome == outcome and f"{share:.2f} [0.50, 1.20]" in verdict.finding
    assert judge_transfer("ppo[suite=faces]", "ppo", None).outcome == "undecided"


def test_the_policy_is_chosen_by_the_best_point_of_each_run():
    curves = {
        "late": [[(1, 9.0), (2, 1.0)], [(1, 9.0), (2, 1.2)], [(1, 9.0), (2, 50.0)]],
        "early": [[(1, 2.0), (2, 9.0)], [(1, 1.5), (2, 9.0)], [(1, 0.1), (2, 9.0)]],
    }
    assert choose_policy(curves) == "late", "medians of the lowest points: 1.2 against 1.5"
    assert choose_policy(curves | {"bare": [[], []]}) == "late"
    assert choose_policy({"bare": [[]]}) is None and choose_policy({}) is None
