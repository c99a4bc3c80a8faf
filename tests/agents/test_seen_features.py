"""The range of each feature in the GANs that a policy was trained on."""

import numpy as np
import pytest

from agents.restoring import MisfitError, restoring
from agents.run_folder import RunFolder
from agents.seen_features import SeenFeatures, read_ranges
from gan_env.knobs import RATE_KNOBS
from gan_env.observation import Observer

OBSERVER = Observer(RATE_KNOBS, ("default",), 3, 1)
NAMES = OBSERVER.names
ENDED = {"TimeLimit.truncated": False, "diverged": False, "collapsed": False}


def play(record, values, ends):
    """Show ``values`` ``(steps, rows)`` of ``real_logit``; ``ends`` holds the infos of episodes that end, by place."""
    for step, row_values in enumerate(values):
        observations = np.zeros((len(row_values), len(NAMES)), np.float32)
        observations[:, NAMES.index("real_logit")] = row_values
        observations[:, NAMES.index("real_logit[1]")] = 2.0
        infos = [{} for _ in row_values]
        shown = observations.copy()
        for row in range(len(row_values)):
            if (step, row) in ends:
                infos[row] = ENDED | ends[step, row] | {"terminal_observation": observations[row]}
                shown[row] = -2.0  # the next episode's first
        dones = np.array([(step, row) in ends for row in range(len(row_values))])
        record.locals = {"new_obs": shown, "infos": infos, "dones": dones}
        assert record._on_step()
    return record


def test_ranges_are_quantiles_of_the_newest_values():
    values = np.random.default_rng(0).normal(0.2, 0.3, (5000, 2)).clip(-2, 2)
    record = play(SeenFeatures(OBSERVER, 2, 1), values, {(4999, 0): {}, (4999, 1): {}})
    assert record.ranges()["real_logit"] == pytest.approx(np.quantile(values, [0.005, 0.995]), abs=0.02)
    assert record.ranges()["fake_logit"] == pytest.approx((0, 0), abs=0.011)
    assert list(record.ranges()) == [feature.name for feature in OBSERVER.features]


def test_the_first_decisions_are_in_the_range_however_long_the_episodes():
    values = np.full((3000, 1), 0.5)
    values[[0, 1000, 2000]] = -1.0
    record = play(SeenFeatures(OBSERVER, 1, 1), values, {(step, 0): {} for step in (999, 1999, 2999)})
    assert record.ranges()["real_logit"] == pytest.approx((-1.0, 0.5), abs=0.011)


@pytest.mark.parametrize("failure", ["diverged", "collapsed", "TimeLimit.truncated"])
def test_only_episodes_that_came_to_a_good_end_count(failure):
    values = [[0.5, 2.0, -2.0]] * 3
    record = play(SeenFeatures(OBSERVER, 3, 1), values, {(2, 0): {}, (2, 1): {failure: True}})
    assert record.ranges()["real_logit"] == pytest.approx((0.5, 0.5), abs=0.011)
    play(record, [[1.5] * 3] * 2, {(1, 2): {}})
    assert record.ranges()["real_logit"] == pytest.approx((-2.0, 1.5), abs=0.011)


def test_what_is_rare_among_all_kinds_may_be_usual_for_one():
    values = np.full((100, 400), 0.5)
    values[50, 1] = -1.0
    ends = {(99, row): {} for row in range(400)}
    one_kind = play(SeenFeatures(OBSERVER, 400, 1), values, ends)
    assert one_kind.ranges()["real_logit"] == pytest.approx((0.5, 0.5), abs=0.011)
    kind_of_its_own = play(SeenFeatures(OBSERVER, 400, 399), values, ends)
    assert kind_of_its_own.ranges()["real_logit"] == pytest.approx((-1.0, 0.5), abs=0.011)


def test_nothing_seen_is_no_range():
    assert play(SeenFeatures(OBSERVER, 1, 1), [[0.5]] * 3, {}).ranges() == {}


def test_a_state_goes_on():
    values = np.random.default_rng(1).uniform(-1, 1, (40, 2))
    ends = {(step, row): {} for step in (7, 19, 39) for row in range(2)}
    whole = play(SeenFeatures(OBSERVER, 2, 1), values, ends)
    first = play(SeenFeatures(OBSERVER, 2, 1), values[:10], ends)
    second = SeenFeatures(OBSERVER, 2, 1)
    second.set_state(first.get_state())
    play(second, values[10:], {(step - 10, row): info for (step, row), info in ends.items()})
    assert second.ranges() == whole.ranges()
    np.testing.assert_array_equal(second.get_state()["counts"], whole.get_state()["counts"])


@pytest.mark.parametrize(
    "change",
    [
        {"counts": np.zeros((1, 2, 2), np.int64)},
        {"episodes": []},
        {"episodes": [np.zeros((1, 2), np.float32)] * 2},
        {"episodes": [np.full((1, len(OBSERVER.features)), np.nan, np.float32)] * 2},
        {"more": 1},
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused(change):
    record = SeenFeatures(OBSERVER, 2, 1)
    with pytest.raises(MisfitError), restoring():
        record.set_state(record.get_state() | change)


def test_ranges_come_back_from_their_file(tmp_path):
    values = np.random.default_rng(0).normal(0.2, 0.3, (50, 1)).clip(-2, 2)
    ranges = play(SeenFeatures(OBSERVER, 1, 1), values, {(49, 0): {}}).ranges()
    RunFolder(tmp_path).write_json("ranges.json", ranges)
    assert read_ranges(tmp_path / "ranges.json") == ranges
    assert read_ranges(tmp_path / "nowhere.json") == {}


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "5",
        "null",
        '{"loss_d": 5}',
        '{"loss_d": null}',
        '{"loss_d": "ab"}',
        '{"loss_d": [1]}',
        '{"loss_d": [0, 1, 2]}',
        '{"loss_d": [0, "1"]}',
        '{"loss_d": [false, true]}',
        '{"loss_d": [1, 0]}',
        '{"loss_d": [0, NaN]}',
        '{"loss_d": [0, Infinity]}',
        f'{{"loss_d": [0, {10**400}]}}',
        '{"loss_d": [0, 1], "loss_g": {}}',
    ],
)
def test_what_is_no_range_is_refused_by_the_name_of_its_file(tmp_path, content):
    path = tmp_path / "ranges.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"ranges\.json does not give each feature's lowest and highest value$"):
        read_ranges(path)
