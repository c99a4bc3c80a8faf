"""Reward terms as pure functions of two measurements."""

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_backbones import TrainStats
from gan_env.reward import (
    FAILURE_PENALTY,
    PRESETS,
    TERMS,
    RewardTerm,
    parse_reward,
    register_reward_term,
    reward_terms,
)

distances = st.floats(1e-9, 1e4)
losses = st.floats(allow_nan=True, allow_infinity=True, min_value=None)


@given(st.lists(distances, min_size=2, max_size=20))
def test_quality_telescopes(measurement, path):
    measured = [measurement(distance=distance) for distance in path]
    steps = [float(TERMS["quality"].compute(a, b)) for a, b in itertools.pairwise(measured)]
    assert sum(steps) == pytest.approx(math.log(path[0] / path[-1]), abs=1e-9)


def test_better_images_are_rewarded(measurement):
    quality = TERMS["quality"].compute
    assert float(quality(measurement(distance=math.e), measurement(distance=1.0))) == pytest.approx(1.0)
    assert float(quality(measurement(distance=1.0), measurement(distance=2.0))) == pytest.approx(-math.log(2))


def test_stability_by_hand(measurement):
    stability = TERMS["stability"].compute
    for old, new, expected in ((1.0, 1.0, 0.0), (1.0, 3.0, -0.5), (3.0, 1.0, -0.5), (0.0, 2.0, 0.0), (1.0, 0.0, -1.0)):
        assert float(stability(measurement(loss_d=old), measurement(loss_d=new))) == pytest.approx(expected)


@given(losses, losses)
def test_stability_lies_between_minus_one_and_zero(measurement, old, new):
    value = float(TERMS["stability"].compute(measurement(loss_d=old), measurement(loss_d=new)))
    assert -1 <= value <= 0


def test_failure_counts_once(measurement):
    failure = TERMS["failure"].compute
    well, failed = measurement(), measurement(failed=True)
    assert float(failure(well, well)) == 0.0
    assert float(failure(well, failed)) == -1.0
    assert float(failure(failed, failed)) == 0.0


@pytest.mark.parametrize("preset", PRESETS)
@given(losses, losses, distances, distances, st.booleans(), st.booleans())
def test_the_reward_is_finite_always(measurement, preset, old, new, near, far, failed_before, failed_after):
    statistics = [field.name for field in dataclasses.fields(TrainStats) if field.name != "diverged"]
    before = measurement(failed=failed_before, distance=near, **dict.fromkeys(statistics, old))
    after = measurement(failed=failed_after, distance=far, **dict.fromkeys(statistics, new))
    terms = reward_terms(PRESETS[preset], before, after)
    assert terms.keys() == PRESETS[preset].keys()
    assert all(value.isfinite().all() and value.shape == (1,) for value in terms.values())


def test_terms_are_weighted(measurement):
    before, after = measurement(distance=1.0, loss_d=1.0), measurement(distance=2.0, loss_d=3.0, failed=True)
    terms = {name: float(value) for name, value in reward_terms(PRESETS["default"], before, after).items()}
    assert terms == pytest.approx({"quality": -math.log(2), "stability": -0.5 * 0.02, "failure": -FAILURE_PENALTY})


def test_rows_are_rewarded_by_themselves(measurement):
    before = measurement(3, distance=torch.tensor([1.0, 2.0, 4.0]))
    after = measurement(3, distance=torch.tensor([2.0, 2.0, 1.0]), failed=torch.tensor([False, True, False]))
    terms = reward_terms(PRESETS["default"], before, after)
    assert terms["quality"].tolist() == pytest.approx([-math.log(2), 0.0, math.log(4)])
    assert terms["failure"].tolist() == [0.0, -FAILURE_PENALTY, 0.0]


def test_freezing_the_game_earns_nothing():
    """Stability never pays, and stays small beside quality."""
    preset = parse_reward("default")
    assert 0 < preset["stability"] < 0.1 * preset["quality"]
    assert preset["failure"] > 0


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_name_terms(preset):
    assert set(PRESETS[preset]) <= set(TERMS)
    assert parse_reward(preset) is PRESETS[preset]


def test_only_quality_needs_the_proxy(measurement):
    before, after = (
        measurement(distance=math.nan, start_distance=math.nan, budget_left=left, loss_d=loss)
        for left, loss in ((0.1, 0.5), (0.0, 1.0))
    )
    for name, term in TERMS.items():
        assert bool(term.compute(before, after).isfinite()) != term.needs_quality, name


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="unknown reward 'fid'; presets: default"):
        parse_reward("fid")


def test_written_out_weights_are_read():
    assert parse_reward("quality=1,stability=0.02") == {"quality": 1.0, "stability": 0.02}
    assert parse_reward("loss_gap=-2.5e-1") == {"loss_gap": -0.25}
    for wrong in ("quality", "quality=nan", "quality=1,", "quality=1,quality=1", "speed=1"):
        with pytest.raises(ValueError, match="unknown reward"):
            parse_reward(wrong)


def test_final_quality_pays_the_whole_fall_once(measurement):
    """At the end of the budget or of the run, and nowhere before: the dense terms' sum, all at once."""
    term = TERMS["final_quality"].compute
    start, middle = measurement(distance=8.0, start_distance=8.0), measurement(distance=4.0, start_distance=8.0)
    assert float(term(start, middle)) == 0.0
    end = measurement(distance=2.0, start_distance=8.0, budget_left=0.0)
    assert float(term(middle, end)) == pytest.approx(math.log(4))
    failed = measurement(distance=10.0, start_distance=8.0, failed=True)
    assert float(term(middle, failed)) == pytest.approx(math.log(0.8))
    assert float(term(failed, failed)) == 0.0


def test_the_sources_signals_by_hand(measurement):
    delta, gap = TERMS["d_loss_delta"].compute, TERMS["loss_gap"].compute
    assert float(delta(measurement(loss_d=0.9), measurement(loss_d=0.6))) == pytest.approx(0.3)
    assert float(delta(measurement(loss_d=0.1), measurement(loss_d=5.0))) == -1.0
    assert float(delta(measurement(loss_d=0.0), measurement(loss_d=0.6))) == 0.0  # nothing to compare with
    assert float(gap(measurement(), measurement(loss_g=3.0, loss_d=0.5))) == pytest.approx(-2.5)
    for bad in (math.nan, math.inf):
        assert float(delta(measurement(loss_d=0.9), measurement(loss_d=bad))) == 0.0
        assert float(gap(measurement(), measurement(loss_g=bad))) == -10.0


def test_a_term_of_ones_own(monkeypatch):
    monkeypatch.setattr("gan_env.reward._TERMS", dict(TERMS))  # forgotten after the test
    with pytest.raises(ValueError, match="'quality' is registered already"):
        register_reward_term(TERMS["quality"])
    for reason, name, compute in (
        ("bad reward term name 'two words'", "two words", lambda before, after: after.budget_left),
        ("'mine' must give one finite number per row", "mine", lambda before, after: after.budget_left.mean()),
        ("'mine' must give one finite number per row", "mine", lambda before, after: after.stats.loss_d),
    ):
        with pytest.raises(ValueError, match=reason):
            register_reward_term(RewardTerm(name, "one of mine", False, compute))
