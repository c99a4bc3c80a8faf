"""The closed-loop rules of a few lines, against their formulas."""

import math

import numpy as np
import pytest

from agents.heuristics import Ada, GapAware, LossRatio, UpdateRatio
from agents.update_sizes import UpdateSizes
from gan_env import ActionCodec

RATIOS = ("update_ratio_g", "update_ratio_d")
NAMES = ("real_accuracy", "loss_g", "loss_d", *RATIOS, "budget_left", "lr_g_relative", "lr_d_relative")
CODEC = ActionCodec("continuous", ("lr_g", "lr_d"))
LARGE = math.log10(CODEC.moves[1])


def see(count=1, **entries):
    """Observations ``(n, 8)``: in the middle of an episode, nothing to see but ``entries``."""
    values = dict.fromkeys(NAMES, 0.0) | {"budget_left": 0.5} | entries
    return np.column_stack([np.broadcast_to(values[name], count) for name in NAMES]).astype(np.float32)


def decades(rule, observation, state=None, start=None):
    """Moves of the rates, in decades, and the state."""
    actions, state = rule.predict(observation, state, start)
    return actions * LARGE, state


def test_ada_moves_by_a_fixed_step_against_an_overconfident_discriminator():
    rule = Ada(NAMES, CODEC, target=0.5, step=0.2, generator=0.25)
    moves, _ = decades(rule, see(3, real_accuracy=[0.9, 0.5, -0.3]))
    np.testing.assert_allclose(moves, [[0.05, -0.2], [0, 0], [-0.05, 0.2]], atol=1e-6)


def test_the_gap_aware_scheduler_is_the_paper_s_function_of_the_loss():
    """Section 3 of arXiv 2302.00089, written out for single losses instead of logarithms."""
    rule = GapAware(NAMES, CODEC, floor=0.1, ceiling=2.0, window=0.1)
    rule.smoothing = 0.0
    ideal = 2 * math.log(2)
    for loss in (0.2, 0.93 * ideal, ideal, 1.05 * ideal, 1.5 * ideal):
        gap = loss - ideal
        share = gap / (0.1 * ideal)
        factor = min(2.0**share, 2.0) if gap >= 0 else max(0.1**-share, 0.1)
        for position in (0.0, 0.1, -0.2):  # decades from the start, / 2
            moves, _ = decades(rule, see(loss_d=math.log10(loss / ideal), lr_d_relative=position))
            expected = np.clip(math.log10(factor) - 2 * position, -LARGE, LARGE)
            np.testing.assert_allclose(moves, [[0, expected]], atol=1e-5)


def test_the_gap_aware_scheduler_averages_and_forgets_at_a_new_episode():
    rule = GapAware(NAMES, CODEC)
    low = see(2, loss_d=-1.0)
    _, state = decades(rule, low)
    np.testing.assert_allclose(state, 0.36 * 1 + 0.64 * 0.1, rtol=1e-5)
    _, state = decades(rule, low, state, np.array([False, True]))
    np.testing.assert_allclose(state, [0.36 * (0.36 + 0.064) + 0.064, 0.36 + 0.064], rtol=1e-5)


def test_the_loss_ratio_is_held():
    rule = LossRatio(NAMES, CODEC, target=0.1, gain=0.5, generator=0.5)
    moves, _ = decades(rule, see(2, loss_g=[0.6, 0.0], loss_d=[-0.3, 0.1]))
    np.testing.assert_allclose(moves, [[0.2, -0.4], [-0.05, 0.1]], atol=1e-6)


def test_update_ratios_follow_the_losses_and_leave_the_rates():
    codec = ActionCodec("continuous", ("lr_g", "lr_d", "update_ratio"))
    actions, _ = UpdateRatio(NAMES, codec, target=0.1, gain=0.5).predict(see(2, loss_g=[0.6, 0.0], loss_d=[-0.3, 0.1]))
    np.testing.assert_allclose(actions * LARGE, [[0, 0, -0.4], [0, 0, 0.1]], atol=1e-6)


def test_update_sizes_are_brought_onto_their_course():
    options = {"peak_g": 0.01, "peak_d": 0.1, "floor_g": 1.0, "floor_d": 0.2, "warm_up": 0.5, "gain": 0.5}
    rule = UpdateSizes(NAMES, CODEC, **options)
    seen = {name: (np.log10([0.02, 0.01, 1e-4]) + 2.5) / 1.5 for name in RATIOS}
    moves, _ = decades(rule, see(3, **seen, budget_left=[0.5, 0.75, 0.0]))
    # At the peak; half of the way up to it; at the end, back at the floor. The last error is beyond a large move.
    wanted = [[0.01, 0.1], [0.01, 0.1 * 0.6], [0.01, 0.1 * 0.2]]
    expected = 0.5 * (np.log10(wanted) - np.log10([[0.02], [0.01], [1e-4]]))
    np.testing.assert_allclose(moves, np.clip(expected, -LARGE, LARGE), atol=1e-6)
    assert np.abs(expected).max() > LARGE


def test_update_sizes_too_small_to_be_seen_are_left_alone():
    rule = UpdateSizes(NAMES, CODEC, peak_g=1e-4, peak_d=1e-4, floor_g=0.01, floor_d=0.01)
    moves, _ = decades(rule, see(**dict.fromkeys(RATIOS, -2.0), budget_left=0.0))
    np.testing.assert_allclose(moves, 0, atol=1e-6)


@pytest.mark.parametrize("rule", [Ada, GapAware, LossRatio, UpdateRatio, UpdateSizes])
def test_nothing_moves_before_the_first_update(rule):
    codec = ActionCodec("continuous", ("lr_g", "lr_d", "update_ratio"))
    actions, _ = rule(NAMES, codec).predict(see(3, budget_left=1.0))
    assert actions.shape == (3, 3) and not actions.any()


@pytest.mark.parametrize("rule", [Ada, GapAware, LossRatio, UpdateSizes])
def test_no_move_is_larger_than_a_large_one(rule):
    actions, _ = rule(NAMES, CODEC).predict(see(loss_g=3.0, loss_d=-3.0, real_accuracy=1.0, lr_d_relative=2.0))
    assert np.abs(actions).max() <= 1
