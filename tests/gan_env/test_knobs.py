"""The codec between actions and knobs."""

import math

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_env.knobs import ACTION_TYPES, DEFAULT_KNOBS, KNOBS, NAMING_VALUES, ActionCodec, parse_knobs
from gan_env.spaces import action_space

MOVES = (1.5, 5.0)
LOW = np.array([KNOBS[name].log_low for name in DEFAULT_KNOBS])
HIGH = np.array([KNOBS[name].log_high for name in DEFAULT_KNOBS])
WIDTH = len(DEFAULT_KNOBS)

DISCRETE = ActionCodec("discrete", DEFAULT_KNOBS, MOVES)
CONTINUOUS = ActionCodec("continuous", DEFAULT_KNOBS, MOVES)

shares = st.lists(st.floats(0, 1), min_size=WIDTH, max_size=WIDTH)
"""Positions between the bounds."""
vectors = st.lists(st.floats(-1, 1), min_size=WIDTH, max_size=WIDTH)
"""Continuous actions."""


def place(share, margin=0.0):
    """One row of log10 values at these positions, ``margin`` away from the bounds."""
    return (LOW + margin + np.array(share) * (HIGH - LOW - 2 * margin))[None]


def test_the_first_action_keeps_and_the_others_come_in_fours():
    assert action_space(DISCRETE) == gym.spaces.Discrete(1 + 4 * WIDTH)
    assert DISCRETE.action_names[:6] == (
        "keep",
        "lr_g up 1.5",
        "lr_g down 1.5",
        "lr_g up 5",
        "lr_g down 5",
        "lr_d up 1.5",
    )
    assert len(DISCRETE.action_names) == action_space(DISCRETE).n
    middle = place([0.5] * WIDTH)
    assert np.array_equal(DISCRETE.apply(middle, [0]), middle)
    expected = {1: 1.5, 2: 1 / 1.5, 3: 5.0, 4: 1 / 5.0}
    for index in range(WIDTH):
        for offset, factor in expected.items():
            change = DISCRETE.apply(middle, [4 * index + offset]) - middle
            wanted = np.zeros((1, WIDTH))
            wanted[0, index] = math.log10(factor)
            np.testing.assert_allclose(change, wanted, atol=1e-12)


@given(shares, st.integers(0, WIDTH - 1), st.sampled_from([1, 3]))
def test_up_then_down_returns(share, index, offset):
    start = place(share, margin=math.log10(MOVES[1]))
    up = DISCRETE.apply(start, [4 * index + offset])
    assert up[0, index] > start[0, index]
    np.testing.assert_allclose(DISCRETE.apply(up, [4 * index + offset + 1]), start, atol=1e-12)
    down = DISCRETE.apply(start, [4 * index + offset + 1])
    np.testing.assert_allclose(DISCRETE.apply(down, [4 * index + offset]), start, atol=1e-12)


@given(shares, vectors)
def test_a_continuous_action_is_undone_by_its_opposite(share, action):
    start = place(share, margin=math.log10(MOVES[1]))
    there = CONTINUOUS.apply(start, np.float32([action]))
    np.testing.assert_allclose(there - start, np.array([action]) * math.log10(5), atol=1e-6)
    np.testing.assert_allclose(CONTINUOUS.apply(there, -np.float32([action])), start, atol=1e-12)


@given(shares, shares)
def test_a_target_is_approached_by_large_moves_and_kept(share, aim):
    codec, large = ActionCodec("target", DEFAULT_KNOBS, MOVES), math.log10(MOVES[1])
    values, wanted = place(share), place(aim)
    for _ in range(20):
        left = np.abs(wanted - values)
        values = codec.apply(values, codec.encode(wanted))
        np.testing.assert_allclose(np.abs(wanted - values), np.maximum(left - large, 0), atol=1e-6)
    np.testing.assert_allclose(values, wanted, atol=1e-6)


@given(shares, st.lists(st.integers(0, 4 * WIDTH), max_size=12), st.lists(vectors, max_size=12))
def test_knobs_stay_within_their_bounds(share, moves, actions):
    values = place(share)
    for move in moves:
        values = DISCRETE.apply(values, [move])
        assert ((values >= LOW) & (values <= HIGH)).all()
    for action in actions:
        values = CONTINUOUS.apply(values, [action])
        assert ((values >= LOW) & (values <= HIGH)).all()


def test_the_bounds_are_reached():
    values = place([0.5] * WIDTH)
    for _ in range(20):
        values = CONTINUOUS.apply(values, np.ones((1, WIDTH)))
    assert np.array_equal(values[0], HIGH)
    for _ in range(20):
        values = CONTINUOUS.apply(values, -np.ones((1, WIDTH)))
    assert np.array_equal(values[0], LOW)


def test_rows_are_changed_by_their_own_actions():
    start = np.concatenate([place([0.4] * WIDTH), place([0.6] * WIDTH), place([0.5] * WIDTH)])
    actions = [1, 0, 8]
    moved = DISCRETE.apply(start, actions)
    for row, action in enumerate(actions):
        assert np.array_equal(moved[row], DISCRETE.apply(start[[row]], [action])[0])
    assert np.array_equal(start[0], place([0.4] * WIDTH)[0]), "the input stays as it is"


@pytest.mark.parametrize("action_type", ACTION_TYPES)
@pytest.mark.parametrize("knobs", [DEFAULT_KNOBS, ("lr_d", "lr_g")], ids=",".join)
def test_every_sampled_action_is_accepted_and_the_noop_keeps(action_type, knobs):
    codec = ActionCodec(action_type, knobs)
    space = action_space(codec)
    space.seed(0)
    values = np.zeros((1, len(knobs))) - 2.0
    for _ in range(50):
        codec.apply(values, space.sample()[None])
    noop = codec.encode(values)[0] if action_type in NAMING_VALUES else codec.noop
    assert space.contains(noop if noop.ndim else int(noop))
    np.testing.assert_allclose(codec.apply(values, noop[None]), values, atol=1e-6)


BAD_ACTIONS = {
    "too large": ("discrete", [4 * WIDTH + 1]),
    "negative": ("discrete", [-1]),
    "fraction": ("discrete", [1.0]),
    "truth": ("discrete", [True]),
    "too many": ("discrete", [1, 2]),
    "none": ("discrete", []),
    "word": ("discrete", ["up"]),
    "nothing": ("discrete", [None]),
    "not a number": ("continuous", [[0.0, math.nan, 0.0]]),
    "infinite": ("continuous", [[0.0, math.inf, 0.0]]),
    "beyond one": ("continuous", [[0.0, 1.1, 0.0]]),
    "below minus one": ("continuous", [[0.0, -1.1, 0.0]]),
    "too short": ("continuous", [[0.0, 0.0]]),
    "too long": ("continuous", [[0.0] * (WIDTH + 1)]),
    "flat": ("continuous", [0.0, 0.0, 0.0]),
    "two rows": ("continuous", [[0.0] * WIDTH] * 2),
    "words": ("continuous", [["a", "b", "c"]]),
}


@pytest.mark.parametrize("case", BAD_ACTIONS)
def test_bad_actions_raise_one_line(case):
    action_type, actions = BAD_ACTIONS[case]
    codec = {"discrete": DISCRETE, "continuous": CONTINUOUS}[action_type]
    with pytest.raises(ValueError, match="action") as caught:
        codec.apply(place([0.5] * WIDTH), actions)
    assert "\n" not in str(caught.value)


def test_knob_names_are_parsed():
    assert parse_knobs("lr_g, lr_d") == parse_knobs(("lr_g", "lr_d")) == ("lr_g", "lr_d")
    for wrong, message in {
        "lr_g,lr_d,momentum": "unknown knob 'momentum'; known: lr_g, lr_d, fm_weight",
        "lr_g,lr_d,lr_g": "named twice",
        "lr_g,fm_weight": "lr_d is missing",
        "": "unknown knob ''",
    }.items():
        with pytest.raises(ValueError, match=message):
            parse_knobs(wrong)


@pytest.mark.parametrize(
    "moves", [(1.0, 5.0), (5.0, 1.5), (2.0, 2.0), (0.5, 2.0), (math.nan, 2.0), (2.0, math.inf), (1.5,), ("a", "b")]
)
def test_impossible_moves_are_refused(moves):
    with pytest.raises(ValueError, match="1 < small < large"):
        ActionCodec("discrete", DEFAULT_KNOBS, moves)


def test_an_unknown_action_type_is_refused():
    with pytest.raises(ValueError, match=r"unknown action type 'absolut'; known: discrete, .*, absolute"):
        ActionCodec("absolut", DEFAULT_KNOBS)


@pytest.mark.parametrize("name", KNOBS)
def test_defaults_lie_within_the_bounds(name):
    knob = KNOBS[name]
    assert 0 < knob.low < knob.default <= knob.high
    assert 10**knob.log_low == pytest.approx(knob.low) and 10**knob.log_high == pytest.approx(knob.high)
