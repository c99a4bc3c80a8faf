"""Intervals and comparisons over runs and instances, against closed forms and rliable."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.statistics import interquartile_mean, reliable
from agents.statistics.crossed import CrossedBootstrap, estimate, improvement_replicates
from agents.statistics.scores import Scale
from agents.statistics.standings import Contest

RUNS, INSTANCES = 10, 24


def additive(runs=RUNS, instances=INSTANCES):
    """Grades whose logs are luck of the run plus difficulty of the instance, and both parts."""
    rng = np.random.default_rng(0)
    luck, difficulty = rng.normal(0, 0.5, (runs, 1)), rng.normal(0, 1, (1, instances))
    return luck + difficulty, luck, difficulty


# The scale.


def test_the_references_end_at_0_and_1():
    noop, oracle = np.exp([[3.0, 1.0, 5.0]]), np.exp([[-1.0, 0.0, -2.0]])
    scale = Scale.between(noop, oracle)
    assert np.median(scale.score(noop)) == pytest.approx(0) and np.median(scale.score(oracle)) == pytest.approx(1)
    # Halfway on the log distance, beyond both ends, and the direction.
    assert scale.score(np.exp([1.0, -5.0, 7.0])) == pytest.approx([0.5, 2.0, -1.0])


def test_the_unit_of_the_grades_does_not_matter():
    rng = np.random.default_rng(0)
    noop, oracle, final = rng.lognormal(2, 1, 9), rng.lognormal(0, 1, 9), rng.lognormal(1, 1, 9)
    ours, other = (Scale.between(noop * unit, oracle * unit).score(final * unit) for unit in (1, 250))
    np.testing.assert_allclose(ours, other)


def test_an_oracle_that_is_no_better_gives_no_scale():
    with pytest.raises(ValueError, match="not below that of noop"):
        Scale.between(np.ones(4), np.ones(4))


# Resampling.


def test_the_spread_of_a_mean_is_that_of_runs_plus_that_of_instances():
    """Of an additive table, the variance of the resampled mean is var(runs)/R + var(instances)/M, exactly."""
    values, luck, difficulty = additive()
    replicates = CrossedBootstrap(INSTANCES).mean("x", values)
    expected = luck.var() / RUNS + difficulty.var() / INSTANCES
    assert replicates.var() == pytest.approx(expected, rel=0.1)
    assert replicates.mean() == pytest.approx(values.mean(), abs=4 * math.sqrt(expected / len(replicates)))


def test_a_single_run_leaves_the_spread_of_instances():
    values, _, difficulty = additive(runs=1)
    assert CrossedBootstrap(INSTANCES).mean("x", values).var() == pytest.approx(difficulty.var() / INSTANCES, rel=0.1)


def test_weights_and_drawn_values_are_the_same_draws():
    values, _, _ = additive()
    draws = CrossedBootstrap(INSTANCES, resamples=50)
    np.testing.assert_allclose(draws.mean("x", values), draws.resample("x", values).mean(1))


def test_instances_are_drawn_alike_for_all_methods_and_runs_are_not():
    draws = CrossedBootstrap(INSTANCES, resamples=50)
    difficulty = np.arange(float(INSTANCES))[None]
    np.testing.assert_array_equal(draws.resample("x", difficulty), draws.resample("y", difficulty))
    assert not np.array_equal(draws.runs("x", 5), draws.runs("y", 5))
    np.testing.assert_array_equal(draws.runs("x", 5), CrossedBootstrap(INSTANCES, resamples=50).runs("x", 5))


def test_rliable_leaves_out_the_luck_that_a_run_shares():
    """What the crossed bootstrap is for: rliable divides the variance of runs by all scores instead of by the runs."""
    values, luck, _ = additive()
    theirs = reliable.stratified_intervals({"x": values})["x"]
    ours = estimate(0.0, CrossedBootstrap(INSTANCES).mean("x", values))
    by_scores = 2 * 1.96 * luck.std() / math.sqrt(RUNS * INSTANCES)
    assert theirs.high - theirs.low == pytest.approx(by_scores, rel=0.5)
    assert ours.high - ours.low > 2 * 1.96 * luck.std() / math.sqrt(RUNS) > 2 * (theirs.high - theirs.low)


def test_rliable_leaves_the_global_state_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    first = reliable.stratified_intervals({"x": additive()[0]})
    assert np.random.random() == expected
    assert reliable.stratified_intervals({"x": additive()[0]}) == first


def test_the_crossed_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        values = rng.normal(0, 0.5, (8, 1)) + rng.normal(0, 1, (1, 16)) + rng.normal(0, 0.5, (8, 16))
        one = estimate(values.mean(), CrossedBootstrap(16, resamples=400).mean("x", values))
        covered += one.low <= 0 <= one.high
    assert covered >= 50  # 57 expected of a nominal interval


# Statistics: each replicate's formula, with nothing resampled, is rliable's own.


class Identity(CrossedBootstrap):
    """One draw that takes every run and every instance once."""

    def __init__(self, instances):
        super().__init__(instances, resamples=1)
        self._instances = np.arange(instances)[None]

    def runs(self, name, count):
        return np.arange(count)[None]


tables = st.integers(1, 4).flatmap(
    lambda instances: st.tuples(
        *(
            st.integers(1, 4).flatmap(
                lambda runs: st.lists(
                    st.lists(st.sampled_from([0.1, 0.5, 0.5, 1.0, 3.0]), min_size=instances, max_size=instances),
                    min_size=runs,
                    max_size=runs,
                ).map(np.array)
            )
            for _ in range(2)
        )
    )
)


@settings(deadline=None, max_examples=40)  # SciPy's first call is slow
@given(tables)
def test_the_probability_of_improvement_is_rliables(pair):
    ours, theirs = pair
    (replicate,) = improvement_replicates(Identity(ours.shape[1]), ("x", "y"), ours, theirs)
    expected = reliable.probability_of_improvement(ours, theirs)
    assert replicate == pytest.approx(expected)
    # Third derivation, by counting.
    counted = [
        float(a < b) + 0.5 * float(a == b) for m in range(ours.shape[1]) for a in ours[:, m] for b in theirs[:, m]
    ]
    assert expected == pytest.approx(np.mean(counted))
    assert reliable.probability_of_improvement(theirs, ours) == pytest.approx(1 - expected)


@settings(deadline=None, max_examples=40)  # SciPy's first call is slow
@given(tables)
def test_means_and_profiles_are_rliables(pair):
    scores, _ = pair
    draws = Identity(scores.shape[1])
    gap = draws.mean("x", 1 - np.minimum(scores, 1))
    assert gap == pytest.approx(reliable.optimality_gap(scores))
    thresholds = np.array([0.0, 0.3, 0.6, 2.0])
    contest = Contest({"x": np.exp(-scores)}, {}, Scale(0, -1), draws)
    low, high = contest.profile_band("x", thresholds)
    np.testing.assert_allclose(contest.scores["x"], scores, atol=1e-12)
    np.testing.assert_allclose(low, reliable.performance_profile(contest.scores["x"], thresholds))
    np.testing.assert_allclose(high, low)
    pooled = interquartile_mean(draws.resample("x", scores))
    assert pooled == pytest.approx(reliable.interquartile_mean_score(scores))


def test_the_profile_of_a_constant_is_a_step():
    profile = reliable.performance_profile(np.full((3, 5), 0.4), np.array([-1.0, 0.39, 0.4, 0.41, 1.0]))
    assert profile.tolist() == [1, 1, 0, 0, 0], "a score counts where it is above the threshold, not at it"


def test_the_optimality_gap_counts_no_score_above_1():
    assert reliable.optimality_gap(np.array([[0.5, 3.0]])) == pytest.approx(0.25)


# Comparisons.


def test_a_method_that_always_halves_the_grade():
    theirs = np.exp(additive(runs=1)[0])
    finals = {"ours": theirs / 2, "theirs": theirs}
    scale = Scale(0.0, -math.log(8))
    duel = Contest(finals, {}, scale).duels("ours")["theirs"]
    assert (duel.improvement.value, duel.improvement.low, duel.improvement.high) == pytest.approx((1, 1, 1))
    # Paired over instances, a constant factor has no spread at all: a third of the scale, and half the worst tenth.
    assert (duel.difference.value, duel.difference.low, duel.difference.high) == pytest.approx((1 / 3,) * 3)
    ratio = duel.worst_tenth_ratio
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 0.5))


def test_equal_methods_improve_on_each_other_half_of_the_time():
    rng = np.random.default_rng(0)
    same = np.exp(additive()[0])
    other = np.exp(rng.normal(size=(RUNS, INSTANCES)))
    duel = Contest({"a": same, "b": same.copy(), "c": other}, {}, None).duels("a")["b"]
    assert duel.improvement.value == 0.5 and duel.improvement.low < 0.5 < duel.improvement.high
    assert duel.difference is None, "no scale, no score"
    (replicate,) = improvement_replicates(Identity(INSTANCES), ("a", "b"), same, same)
    assert replicate == pytest.approx(0.5)


def test_an_improvement_on_every_instance_need_not_be_one_on_all_of_them_together():
    """Pairing: ours is lower on each instance, though instances differ by far more than methods."""
    theirs = np.exp(np.linspace(-5, 5, INSTANCES))[None] * np.exp(np.random.default_rng(0).normal(0, 0.01, (3, 1)))
    duel = Contest({"ours": theirs * 0.9, "theirs": theirs}, {}, None).duels("ours")["theirs"]
    assert duel.improvement.value == 1.0
    pooled = (theirs.ravel()[:, None] * 0.9 < theirs.ravel()[None]).mean()
    assert pooled < 0.6


def test_the_share_of_a_score_that_is_kept():
    grades = {"oracle": 0.01, "home": 0.1, "away": 0.1**0.7, "lost": 2.0}
    finals = {name: np.full((2, 4), grade) for name, grade in grades.items()}
    contest = Contest(finals, {}, Scale(0.0, math.log(0.01)))
    kept = contest.kept("away", "home")
    assert [kept.value, kept.low, kept.high] == pytest.approx([0.7] * 3)
    assert contest.kept("home", "lost") is contest.kept("home", "absent") is None
    finals["doubtful"] = np.array([[0.5, 0.5, 1.5, 0.9], [1.8, 0.9, 1.2, 0.9]])
    doubtful = Contest(finals, {}, Scale(0.0, math.log(0.01)))
    assert np.mean(np.sort(doubtful.scores["doubtful"].ravel())[2:-2]) > 0 and doubtful.kept("home", "doubtful") is None
    assert Contest(finals, {}, None).kept("away", "home") is None


def test_standings_by_hand():
    finals = {"noop": np.ones((1, 4)), "x": np.exp([[-1.0, -1.0, -1.0, -1.0], [-1.0, -1.0, -1.0, 1.0]])}
    failed = {"noop": np.zeros((1, 4), bool), "x": finals["x"] > 1}
    stand = Contest(finals, failed, Scale(0.0, -2.0)).standings()
    assert stand["noop"].score.value == 0 and stand["noop"].optimality_gap.value == 1 and stand["noop"].runs == 1
    x = stand["x"]
    assert x.score.value == 0.5, "the middle half knows nothing of the failure"
    assert x.optimality_gap.value == pytest.approx(1 - (7 * 0.5 - 0.5) / 8), "the mean does"
    assert x.failed == 1 / 8 and x.median == pytest.approx(math.exp(-1)) and x.runs == 2
    assert x.worst_tenth.value == np.quantile(finals["x"], 0.9)
    assert x.score.low <= 0.5 <= x.score.high and x.score_over_runs.value == 0.5
    bare = Contest(finals, failed, None).standings()["x"]
    assert bare.score is bare.score_over_runs is bare.optimality_gap is None and bare.median == x.median
