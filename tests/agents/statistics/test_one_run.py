"""What a table says, against scipy and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agents.statistics import Summary, bootstrap_interval, interquartile_mean, paired_interval, summarise

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(values)
def test_interquartile_mean_equals_scipy(numbers):
    expected = stats.trim_mean(numbers, 0.25)
    assert float(interquartile_mean(np.array(numbers))) == pytest.approx(
        expected, abs=1e-9 * max(map(abs, numbers)) + 1e-9
    )


def test_interquartile_mean_by_hand():
    assert float(interquartile_mean(np.array([1000.0, 1.0, 2.0, -50.0]))) == 1.5
    assert float(interquartile_mean(np.array([1.0, 2.0, 9.0]))) == 4.0, "three values: nothing is cut"
    rows = np.array([[1000.0, 1.0, 2.0, -50.0], [4.0, 3.0, 2.0, 1.0]])
    assert interquartile_mean(rows).tolist() == [1.5, 2.5]


def test_interval_of_a_mean_is_the_textbook_one():
    sample = np.random.default_rng(0).normal(5.0, 2.0, 400)
    low, high = bootstrap_interval(sample, lambda rows: rows.mean(-1))
    half_width = 1.96 * sample.std() / math.sqrt(400)
    assert low == pytest.approx(sample.mean() - half_width, abs=0.05 * half_width)
    assert high == pytest.approx(sample.mean() + half_width, abs=0.05 * half_width)


def test_a_lower_level_gives_a_narrower_interval():
    sample = np.random.default_rng(0).normal(size=64)
    wide, narrow = bootstrap_interval(sample), bootstrap_interval(sample, level=0.5)
    assert wide[0] < narrow[0] < float(interquartile_mean(sample)) < narrow[1] < wide[1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """50 draws of 48 from a skewed law; its true IQM by numerical integration of the quantile function."""
    law = stats.lognorm(s=0.7)
    truth = np.mean(law.ppf(np.linspace(0.25, 0.75, 20_001)))
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(law.rvs(48, random_state=rng)) for _ in range(50)]
    covered = sum(low <= truth <= high for low, high in intervals)
    assert covered >= 42  # 47.5 expected of a nominal interval; 42 is below its first percentile
    assert all(high - low < truth for low, high in intervals)


def test_intervals_are_reproducible():
    sample = np.random.default_rng(1).normal(size=20)
    assert bootstrap_interval(sample) == bootstrap_interval(sample.copy())


def test_equal_values_have_no_interval():
    assert bootstrap_interval(np.full(10, 3.0)) == (3.0, 3.0)


def test_a_constant_shift_is_certain_when_paired():
    theirs = np.random.default_rng(0).lognormal(size=40)
    difference, (low, high) = paired_interval(theirs - 0.25, theirs)
    assert (difference, low, high) == pytest.approx((-0.25, -0.25, -0.25))
    # Unpaired, the same difference drowns in the spread between instances.
    ours, others = bootstrap_interval(theirs - 0.25), bootstrap_interval(theirs)
    assert ours[1] > others[0]


def test_the_difference_is_ours_minus_theirs():
    ours, theirs = np.array([1.0, 2.0, 3.0, 4.0] * 5), np.array([3.0, 3.0, 6.0, 9.0] * 5)
    difference, (low, high) = paired_interval(ours, theirs)
    assert difference == float(interquartile_mean(ours) - interquartile_mean(theirs)) == 2.5 - 4.5
    assert low < difference < high < 0
    swapped, (swapped_low, swapped_high) = paired_interval(theirs, ours)
    assert swapped == -difference and (swapped_low, swapped_high) == pytest.approx((-high, -low))


def test_noise_excludes_nothing():
    rng = np.random.default_rng(0)
    common = rng.lognormal(size=60)
    _, (low, high) = paired_interval(common + rng.normal(0, 0.1, 60), common + rng.normal(0, 0.1, 60))
    assert low < 0 < high


def test_paired_methods_need_the_same_instances():
    with pytest.raises(ValueError, match=r"same instances, got \(3,\) and \(4,\)"):
        paired_interval(np.ones(3), np.ones(4))


def test_a_summary_shows_both_the_middle_and_the_worst():
    """One bad run in ten leaves the median and the IQM alone, and shows in the worst tenth."""
    good = np.arange(1.0, 21.0)
    bad = np.where(good > 18, 1000.0, good)
    summaries = summarise({"good": good, "bad": bad})
    assert list(summaries) == ["good", "bad"]
    assert summaries["good"].median == summaries["bad"].median == 10.5
    assert summaries["good"].iqm == summaries["bad"].iqm == 10.5
    assert summaries["good"].p90 == pytest.approx(18.1) and summaries["bad"].p90 == pytest.approx(18 + 0.1 * 982)
    summary = Summary.of(bad)
    assert summary == summaries["bad"] and summary.final == tuple(bad)
    assert summary.ci95 == bootstrap_interval(bad) and summary.ci95[0] < 10.5 < summary.ci95[1]
