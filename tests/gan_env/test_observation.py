"""The table of features: the space and the vector that come from it."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_backbones import TrainStats
from gan_env.knobs import DEFAULT_KNOBS, RATE_KNOBS
from gan_env.observation import Feature, Observer, feature_table, groups, parse_groups, register_feature
from gan_env.spaces import observation_space

GROUPS = ("default", "absolute", "quality")
EVERY_GROUPS = [
    ("default", *chosen) for size in range(len(GROUPS)) for chosen in itertools.combinations(GROUPS[1:], size)
]
STATISTICS = [field.name for field in dataclasses.fields(TrainStats) if field.name != "diverged"]

every_groups = pytest.mark.parametrize("groups", EVERY_GROUPS, ids="+".join)
numbers = st.floats(allow_nan=True, allow_infinity=True)


def seen(observer: Observer, row: int = 0) -> dict[str, float]:
    return dict(zip(observer.names, observer.vector[row].tolist(), strict=True))


@every_groups
@pytest.mark.parametrize("knobs", [DEFAULT_KNOBS, RATE_KNOBS], ids=",".join)
@pytest.mark.parametrize("history", [1, 3])
def test_names_space_and_vector_have_one_length(groups, knobs, history, measurement):
    observer = Observer(knobs, groups, history, 2)
    assert len(set(observer.names)) == len(observer.names)
    assert observation_space(observer).shape == (len(observer.names),) == observer.vector.shape[1:]
    assert np.isfinite(observation_space(observer).low).all() and np.isfinite(observation_space(observer).high).all()
    lagged = [feature for feature in observer.features if feature.history]
    assert len(observer.names) == len(observer.features) + (history - 1) * len(lagged)
    assert {name.split("[")[0] for name in observer.names} == {f.name for f in feature_table(knobs, groups)}
    for vector in observer.vector.numpy():
        assert observation_space(observer).contains(vector)
    observer.push([0, 1], measurement(2))
    assert observation_space(observer).contains(observer.vector.numpy()[1])


@given(st.lists(numbers, min_size=len(STATISTICS) + 10, max_size=len(STATISTICS) + 10), st.booleans())
def test_whatever_was_measured_gives_a_finite_vector_in_the_space(measurement, values, failed):
    rest = iter(values)
    changes = {name: next(rest) for name in STATISTICS}
    changes |= {name: next(rest) for name in ("distance", "start_distance", "diversity", "budget_left")}
    changes |= {"log_knobs": [next(rest) for _ in range(3)], "start_log_knobs": [next(rest) for _ in range(3)]}
    observer = Observer(DEFAULT_KNOBS, GROUPS, 3, 1)
    for _ in range(2):
        observer.push([0], measurement(**changes, failed=failed))
        vector = observer.vector[0].numpy()
        assert np.isfinite(vector).all() and observation_space(observer).contains(vector)
    assert seen(observer)["diverged"] == float(failed)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_gan_is_seen_as_such(bad, measurement):
    observer = Observer(DEFAULT_KNOBS, GROUPS, 1, 1)
    observer.push([0], measurement(failed=True, distance=10.0, diversity=bad, **dict.fromkeys(STATISTICS, bad)))
    values = seen(observer)
    assert values["diverged"] == 1.0 and values["budget_left"] == 0.5
    assert values["quality"] == pytest.approx(1.0)
    assert all(values[name] == 0.0 for name in ("margin", "loss_g", "update_ratio_d", "real_accuracy", "diversity"))


CLOSED_FORMS = {
    "real_accuracy": ({"real_accuracy": 0.75}, 0.5),
    "fake_accuracy": ({"fake_accuracy": 0.25}, -0.5),
    "real_logit": ({"real_logit": 2.5}, 0.5),
    "fake_logit": ({"fake_logit": -100.0}, -2.0),
    "margin": ({"real_logit": 0.5, "fake_logit": 0.25}, math.asinh(1.0) / 2),
    "loss_g": ({"loss_g": math.log(2) / 10}, -1.0),
    "loss_d": ({"loss_d": 2 * math.log(2) * 100}, 2.0),
    "update_ratio_g": ({"update_ratio_g": 1e-1}, 1.0),
    "update_ratio_d": ({"update_ratio_d": 10**-2.5}, 0.0),
    "budget_left": ({"budget_left": 0.25}, 0.25),
    "diverged": ({"failed": True}, 1.0),
    "lr_g_relative": ({"log_knobs": [-2.0, -3.0, -1.0]}, 0.5),
    "lr_d_relative": ({"log_knobs": [-3.0, -5.0, -1.0]}, -1.0),
    "fm_weight_relative": ({"log_knobs": [-3.0, -3.0, 0.0]}, 0.5),
    "lr_g_absolute": ({"log_knobs": [-6.0, -3.0, -1.0]}, -1.0),
    "lr_d_absolute": ({"log_knobs": [-3.0, -3.5, -1.0]}, 0.0),
    "fm_weight_absolute": ({"log_knobs": [-3.0, -3.0, 2.0]}, 1.0),
    "quality": ({"distance": 0.01, "start_distance": 1.0}, -2.0),
    "diversity": ({"diversity": 0.3}, 0.3),
}


def test_every_feature_has_a_closed_form_here():
    assert set(CLOSED_FORMS) == {feature.name for feature in feature_table(DEFAULT_KNOBS, GROUPS)}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_features_by_their_definitions(name, measurement):
    changes, expected = CLOSED_FORMS[name]
    observer = Observer(DEFAULT_KNOBS, GROUPS, 1, 1)
    observer.push([0], measurement(**changes))
    assert seen(observer)[name] == pytest.approx(expected, abs=1e-6)


def test_history_shifts_by_one_decision(measurement):
    observer = Observer(DEFAULT_KNOBS, GROUPS, 3, 1)
    observer.reset([0], measurement())
    for share, expected in ((1.0, (1, 0, 0)), (0.75, (0.5, 1, 0)), (0.0, (-1, 0.5, 1)), (0.5, (0, -1, 0.5))):
        observer.push([0], measurement(real_accuracy=share, budget_left=share))
        values = seen(observer)
        assert tuple(values[name] for name in ("real_accuracy", "real_accuracy[1]", "real_accuracy[2]")) == expected
        assert values["budget_left"] == share
    assert "budget_left[1]" not in values


def test_only_the_rows_asked_for_change(measurement):
    observer = Observer(DEFAULT_KNOBS, GROUPS, 2, 3)
    observer.push([0, 1, 2], measurement(3))
    before = observer.vector.clone()
    observer.push([1], measurement(3, real_accuracy=torch.tensor([0.1, 0.2, 0.3])))
    assert torch.equal(observer.vector[[0, 2]], before[[0, 2]])
    assert seen(observer, 1)["real_accuracy"] == pytest.approx(-0.6)
    assert seen(observer, 1)["real_accuracy[1]"] == 0.0
    observer.reset([2], measurement(3, budget_left=1.0))
    assert torch.equal(observer.vector[0], before[0])
    values = seen(observer, 2)
    assert values.pop("budget_left") == 1.0
    history = {name: values[name] for name in values if name.split("[")[0] in ("loss_d", "margin", "real_logit")}
    assert history and set(history.values()) == {0.0}, "nothing has been trained yet"


def test_default_features_do_not_know_absolute_rates(measurement):
    """The same game a decade lower looks the same, unless the absolute group is asked for."""
    for shown, equal in ((("default",), True), (("default", "quality"), True), (("default", "absolute"), False)):
        vectors = []
        for shift in (0.0, -1.0):
            observer = Observer(DEFAULT_KNOBS, shown, 1, 1)
            log_knobs = torch.tensor([-2.0, -3.0, 0.0]) + shift
            observer.push([0], measurement(log_knobs=log_knobs, start_log_knobs=torch.tensor([-3.0] * 3) + shift))
            vectors.append(observer.vector)
        assert torch.allclose(*vectors, atol=1e-6) == equal


def test_a_longer_table_keeps_the_order_of_the_shorter():
    default = [feature.name for feature in feature_table(DEFAULT_KNOBS, ("default",))]
    everything = [feature.name for feature in feature_table(DEFAULT_KNOBS, GROUPS)]
    assert [name for name in everything if name in default] == default
    assert not {"quality", "diversity", "lr_g_absolute"} & set(default)


def test_groups_are_parsed():
    assert parse_groups("default") == ("default",)
    assert parse_groups("quality+absolute") == parse_groups(("absolute", "quality")) == GROUPS
    with pytest.raises(ValueError, match=r"unknown observation group 'fid'; known: default, absolute, quality"):
        parse_groups("default+fid")


def test_a_history_of_nothing_is_refused():
    with pytest.raises(ValueError, match="history must be at least 1"):
        Observer(DEFAULT_KNOBS, ("default",), 0, 1)


def test_a_feature_of_ones_own(monkeypatch, measurement):
    monkeypatch.setattr("gan_env.observation._CUSTOM", [])  # forgotten after the test
    feature = Feature("gap", "mine", -1, 1, True, "difference of the losses", lambda m: m.stats.loss_g - m.stats.loss_d)
    register_feature(feature)
    assert groups() == (*GROUPS, "mine") and parse_groups("default+mine") == ("default", "mine")
    observer = Observer(RATE_KNOBS, ("default", "mine"), 2, 1)
    assert observer.names[-2:] == ("gap", "gap[1]")
    observer.push([0], measurement(loss_g=0.75, loss_d=0.5))
    observer.push([0], measurement(loss_g=9.0, loss_d=0.5))
    assert observer.vector[0, -2:].tolist() == [1.0, 0.25]
    # Those who did not ask see nothing of it.
    assert "gap" not in Observer(RATE_KNOBS, GROUPS, 2, 1).names
    for reason, changes in (
        ("feature 'gap' is registered already", {}),
        ("'other' needs a group of its own, not 'default'", {"name": "other", "group": "default"}),
        ("'other' needs finite bounds around its neutral value", {"name": "other", "low": 0.5}),
        ("'other' must give one number per row", {"name": "other", "compute": lambda m: m.stats.loss_g.mean()}),
    ):
        with pytest.raises(ValueError, match=reason):
            register_feature(dataclasses.replace(feature, **changes))


def test_what_whoever_trains_a_gan_sets_is_not_measured():
    features = feature_table(RATE_KNOBS, GROUPS)
    named = {f"{name}_{kind}" for name in RATE_KNOBS for kind in ("relative", "absolute")}
    assert {feature.name for feature in features if not feature.measured} == named | {"budget_left"}
