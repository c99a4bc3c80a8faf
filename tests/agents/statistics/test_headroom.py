"""Room above a common setting, on grades whose parts are known."""

import numpy as np
import pytest

from agents.statistics.headroom import headroom, stopped

PROBLEMS, REPLICATES = 60, 4
SETTINGS = np.linspace(-1.0, 1.0, 5)  # log of the peak; the middle one is common
COMMON = 2
FEATURE = np.linspace(-1.0, 1.0, PROBLEMS)[:, None]


def played(optimum, luck, seed=0):
    """Grades ``(5, PROBLEMS, REPLICATES)``: the square of the distance to each problem's optimum, and luck."""
    rng = np.random.default_rng(seed)
    distance = (SETTINGS[:, None] - optimum) ** 2
    return np.exp(distance[:, :, None] + luck * rng.normal(size=(len(SETTINGS), PROBLEMS, REPLICATES)))


def test_luck_alone_leaves_no_room_that_could_be_known() -> None:
    chances = []
    for seed in range(8):
        found = headroom(played(np.zeros(PROBLEMS), luck=1.0, seed=seed), COMMON, FEATURE)
        assert found.luck > 0.8 and found.interaction.deviation < 0.35
        assert found.told.ratio.high >= 1 and found.told.improvement.low <= 0.5, "no gain where there is none"
        assert found.hindsight.improvement.value > 0.55 and found.hindsight.ratio.value < 0.9
        chances.append(found.interaction.chance)
    assert 0.1 < np.mean(chances) < 0.9 and min(chances) > 0.001


def test_problems_that_show_what_they_want_leave_all_the_room_there_is() -> None:
    found = headroom(played(FEATURE[:, 0], luck=0.01), COMMON, FEATURE)
    assert found.luck < 0.01 and found.interaction.chance == pytest.approx(1 / 2001)
    nearest = np.abs(SETTINGS[:, None] - FEATURE[:, 0]).min(axis=0) ** 2
    assert found.told.ratio.value == pytest.approx(np.exp((nearest - FEATURE[:, 0] ** 2).mean()), abs=0.01)
    assert found.told.ratio.value == pytest.approx(found.hindsight.ratio.value, abs=0.02)
    assert found.other.ratio.value == pytest.approx(1) and found.told_beyond_other == found.told
    low, high = found.told.improvement.low, found.told.improvement.high
    assert low < found.told.improvement.value < high


def test_what_problems_want_and_do_not_show_is_found_but_not_told() -> None:
    hidden = np.random.default_rng(3).permutation(FEATURE[:, 0])
    found = headroom(played(hidden, luck=0.3), COMMON, FEATURE)
    # What is left of (s - o)^2 once settings and problems have their means: -2 s o.
    expected = np.sqrt((4 * SETTINGS**2).mean() * (hidden**2).mean() * len(SETTINGS) / (len(SETTINGS) - 1))
    assert found.interaction.deviation == pytest.approx(expected, rel=0.1) and found.interaction.chance < 0.001
    assert found.told.ratio.high > 0.95


def test_a_better_setting_for_all_is_no_gain_of_telling_problems_apart() -> None:
    found = headroom(played(np.full(PROBLEMS, 0.5), luck=0.3), COMMON, FEATURE)
    assert found.other.ratio.value == pytest.approx(np.exp(-0.25), abs=0.07) and found.other.ratio.high < 1
    assert found.told_beyond_other.ratio.value == pytest.approx(1, abs=0.05)


def test_the_factor_that_an_improvement_of_three_quarters_takes_is_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    logs = 0.5 * rng.normal(size=(1, 400, 20))
    found = headroom(np.exp(logs), 0, rng.normal(size=(400, 2)))
    assert found.needed == pytest.approx(np.exp(-0.6745 * np.sqrt(2) * 0.5), abs=0.02)
    assert found.told.ratio.value == found.hindsight.ratio.value == 1
    assert found.told.improvement.value == 0.5, "equal grades tie"
    assert (found.interaction.deviation, found.interaction.chance) == (0, 1)


def test_grades_without_any_spread_are_luck_by_name_only() -> None:
    found = headroom(np.ones((2, 4, 2)), 0, np.zeros((4, 1)))
    assert found.luck == 1 and found.interaction.chance == 1 and found.told.ratio.value == 1
    with pytest.raises(ValueError, match="4 problems and 2 replicates"):
        headroom(np.ones((2, 4, 1)), 0, np.zeros((4, 1)))
    with pytest.raises(ValueError, match="3 problems with features, and 4 with grades"):
        headroom(np.ones((2, 4, 2)), 0, np.zeros((3, 1)))


def test_stopping_takes_the_grade_of_the_best_moment_by_the_proxy() -> None:
    grades = np.exp([[0.0, 0.0], [-3.0, 2.0], [1.0, 1.0], [0.0, 1.0]])[:, :, None]
    proxies = np.array([[9.0, 9.0], [1.0, 2.0], [5.0, 3.0], [4.0, 4.0]])[:, :, None]
    assert stopped(grades, proxies, last=1).ratio.value == 1
    two = stopped(grades, proxies, last=2)  # the end of the first, the same grade for the second
    assert two.ratio.value == 1 and two.improvement.value == 0.5
    three = stopped(grades, proxies, last=3)
    assert three.ratio.value == pytest.approx(np.exp((-3 + 1) / 2)) and three.improvement.value == 0.5
