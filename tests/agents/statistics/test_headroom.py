"""Room above a common setting, on grades whose parts are known."""

import numpy as np
import pytest

from agents.statistics.headroom import headroom, stopped

PROBLEMS, REPLICATES = 60, 6
SETTINGS = np.array([-1.0, 0.0, 1.0])  # log of the peak; the second is common


def played(optimum, luck, seed=0):
    """Grades ``(3, PROBLEMS, REPLICATES)``: the square of the distance to each problem's optimum, and luck."""
    rng = np.random.default_rng(seed)
    distance = (SETTINGS[:, None] - optimum) ** 2
    return np.exp(distance[:, :, None] + luck * rng.normal(size=(3, PROBLEMS, REPLICATES)))


def test_luck_alone_leaves_no_room_that_could_be_known() -> None:
    found = headroom(played(np.zeros(PROBLEMS), luck=1.0), common=1)
    assert found.luck > 0.9
    assert found.adapted.ratio.value >= 1, "the choice is of the common setting, or worse"
    assert found.adapted.improvement.value <= 0.5
    assert found.hindsight.improvement.value > 0.55 and found.hindsight.ratio.value < 0.9


def test_problems_that_differ_leave_all_the_room_there_is() -> None:
    optimum = np.tile([-1.0, 0.0, 1.0], PROBLEMS // 3)
    found = headroom(played(optimum, luck=0.01), common=1)
    assert found.luck < 0.01
    # Two problems in three fall by e, and the third ties with itself.
    assert found.adapted.ratio.value == pytest.approx(np.exp(-2 / 3), abs=0.01)
    assert found.adapted.improvement.value == pytest.approx(2 / 3 + 1 / 6, abs=0.01)
    low, high = found.adapted.improvement.low, found.adapted.improvement.high
    assert low < found.adapted.improvement.value < high
    assert found.hindsight.ratio.value == pytest.approx(found.adapted.ratio.value, abs=0.02)


def test_the_factor_that_an_improvement_of_three_quarters_takes_is_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    logs = 0.5 * rng.normal(size=(1, 2000, 4))
    found = headroom(np.exp(logs), common=0)
    assert found.needed == pytest.approx(np.exp(-0.6745 * np.sqrt(2) * 0.5), abs=0.02)
    assert found.adapted.ratio.value == found.hindsight.ratio.value == 1
    assert found.adapted.improvement.value == 0.5, "equal grades tie"


def test_grades_without_any_spread_are_luck_by_name_only() -> None:
    assert headroom(np.ones((2, 3, 2)), common=0).luck == 1
    with pytest.raises(ValueError, match="2 problems and 2 replicates"):
        headroom(np.ones((2, 3, 1)), common=0)


def test_stopping_takes_the_grade_of_the_best_moment_by_the_proxy() -> None:
    grades = np.exp([[0.0, 0.0], [-3.0, 2.0], [1.0, 1.0], [0.0, 1.0]])
    proxies = np.array([[9.0, 9.0], [1.0, 2.0], [5.0, 3.0], [4.0, 4.0]])
    assert stopped(grades, proxies, last=1).ratio.value == 1
    two = stopped(grades, proxies, last=2)  # the end of the first, the same grade for the second
    assert two.ratio.value == 1 and two.improvement.value == 0.5
    three = stopped(grades, proxies, last=3)
    assert three.ratio.value == pytest.approx(np.exp((-3 + 1) / 2)) and three.improvement.value == 0.5
