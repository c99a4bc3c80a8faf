"""The rule about balancers elsewhere, on distances whose verdict is known beforehand."""

import math

import numpy as np
import pytest

from agents.rescue import ALLOWED, HARMFUL, LOST, Rescue, judge_start

TUNED = [1.0, 2.0, 4.0]


def test_ratios_are_of_medians_and_their_intervals_pair_the_seeds():
    start = judge_start([value * 3 for value in TUNED], [value * 1.2 for value in TUNED], TUNED)
    # Whatever seeds are drawn, every median is the same multiple of the reference.
    for one, ratio in ((start.alone, 3.0), (start.balanced, 1.2), (start.change, 0.4)):
        assert (one.value, one.low, one.high) == pytest.approx((ratio, ratio, ratio))
    assert start.worst == pytest.approx(4 * 1.2 / 2) and start.bad and start.rescued and start.harmless
    backwards = judge_start(TUNED, [4.0, 2.0, 1.0], TUNED)
    assert backwards.balanced.value == 1 and backwards.balanced.low == pytest.approx(0.25)
    assert backwards.balanced.high == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("alone", "balanced", "bad", "rescued"),
    [
        (HARMFUL, ALLOWED, True, True),
        (HARMFUL, ALLOWED + 0.01, True, False),
        (HARMFUL - 0.01, ALLOWED, False, False),  # it was never in need
        (HARMFUL - 0.01, 9.0, False, False),
    ],
)
def test_a_start_is_rescued_only_if_it_was_bad(alone, balanced, bad, rescued):
    start = judge_start([alone] * 3, [balanced] * 3, [1.0] * 3)
    assert (start.bad, start.rescued) == (bad, rescued)


def test_harm_is_an_interval_above_one():
    base = np.array([1.0, 1.1, 0.9, 1.0, 1.2])
    for factors, harmless in (
        ([1.3, 1.2, 1.4, 1.3, 1.2], False),
        ([1.3, 0.8, 1.4, 0.7, 1.2], True),
        ([0.7, 0.8, 0.7, 0.6, 0.7], True),
    ):
        start = judge_start(base, base * factors, base)
        assert start.harmless == harmless
        assert start.change.value == pytest.approx(math.exp(np.log(sorted(factors)[1:-1]).mean()))
    # Within the range of the seeds, and yet worse from every one of them: the old rule called this harmless.
    spread = np.array([1.0, 2.0, 3.0, 4.0, 9.0])
    assert not judge_start(spread, spread * 1.3, spread).harmless


def test_what_is_lost_counts_as_very_far():
    start = judge_start([math.inf] * 3, [1.0, math.inf, 2.0], TUNED)
    assert start.alone.value == LOST and start.worst == LOST and start.balanced.value == 1
    assert all(
        math.isfinite(bound) for one in (start.alone, start.balanced, start.change) for bound in (one.low, one.high)
    )
    with pytest.raises(ValueError, match="nothing to compare with"):
        judge_start(TUNED, TUNED, [1.0, math.inf, math.inf])


def test_three_quarters_of_the_bad_ones_are_wanted():
    assert [Rescue(bad, 0).wanted for bad in range(5)] == [0, 1, 2, 3, 3]
    rescued, kept, calm = (judge_start([a] * 2, [b] * 2, [1.0] * 2) for a, b in ((5.0, 1.0), (5.0, 5.0), (1.0, 1.0)))
    assert Rescue.of([rescued, calm, calm, kept]) == Rescue(2, 1) and Rescue(2, 1).reached is False
    assert Rescue.of([rescued, rescued, rescued, kept]).reached is True
    assert Rescue.of([calm] * 4).reached is None
