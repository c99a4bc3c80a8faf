"""The vector form: row by row the single environment, and Gymnasium's three ways to begin again."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import gan_env
from gan_env import ENVIRONMENTS, GanBalanceEnv, GanBalanceVectorEnv, GanInstance
from gan_env.knobs import ACTION_TYPES
from tests.gan_env.environments import every_id

SMALL = {"suite": "ring", "updates_per_step": 2, "decisions": 5}
TOLERANCE = {"atol": 1e-4, "rtol": 0}


@pytest.fixture
def make_vec():
    """make_vec(count, **options) -> a small vector environment, closed after the test."""
    made = []

    def make_vec(count=3, **options):
        made.append(GanBalanceVectorEnv(count, **(SMALL | options)))
        return made[-1]

    yield make_vec
    for env in made:
        env.close()


def pinned(env, **changes):
    return GanInstance(
        **(vars(env.core.suite.sample(np.random.default_rng(0))) | {"lr_g": 1e-3, "lr_d": 1e-3} | changes)
    )


def lengths(env, *decisions):
    """Instances that end after these numbers of decisions."""
    return [pinned(env, decisions=count, seed=seed) for seed, count in enumerate(decisions)]


def column(infos, name, row):
    """One entry of a vector info, which must be there."""
    assert infos[f"_{name}"][row]
    return infos[name][row]


@pytest.mark.parametrize("action_type", ACTION_TYPES)
@every_id
def test_gymnasium_makes_it(env_id, action_type):
    envs = gym.make_vec(f"gan_env:{env_id}", num_envs=3, action_type=action_type, **SMALL)
    assert isinstance(envs.unwrapped, getattr(gan_env, ENVIRONMENTS[env_id][1]))
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, infos = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)
    envs.action_space.seed(0)
    for _ in range(12):
        observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        assert envs.observation_space.contains(observations) and observations.shape[0] == 3
        assert rewards.shape == terminated.shape == truncated.shape == (3,)
        assert np.isfinite(rewards).all() and not truncated.any()
    assert set(infos) >= {"fid_proxy", "_fid_proxy", "knobs", "instance"}
    envs.close()


@pytest.mark.parametrize("action_type", ACTION_TYPES)
def test_each_row_is_the_single_environment_with_its_seed(make_vec, action_type):
    envs, options = make_vec(3, action_type=action_type, observation="quality"), {"observation": "quality"}
    singles = [GanBalanceEnv(action_type=action_type, **SMALL, **options) for _ in range(3)]
    observations, infos = envs.reset(seed=10)
    for row, single in enumerate(singles):
        observation, info = single.reset(seed=10 + row)
        np.testing.assert_allclose(observations[row], observation, **TOLERANCE)
        assert column(infos, "instance", row) == info["instance"]
        assert column(infos, "fid_proxy", row) == pytest.approx(info["fid_proxy"], rel=1e-4)
    envs.action_space.seed(0)
    for _ in range(4):
        actions = envs.action_space.sample()
        observations, rewards, terminated, _, infos = envs.step(actions)
        for row, single in enumerate(singles):
            observation, reward, ended, _, info = single.step(actions[row])
            np.testing.assert_allclose(observations[row], observation, **TOLERANCE)
            assert rewards[row] == pytest.approx(reward, abs=1e-3) and terminated[row] == ended
            assert set(info) <= set(infos)
            for name, value in info["knobs"].items():
                assert column(infos["knobs"], name, row) == pytest.approx(value)
            for name, value in info["reward_terms"].items():
                assert column(infos["reward_terms"], name, row) == pytest.approx(value, abs=1e-3)
    for single in singles:
        single.close()


def test_the_same_seeds_give_the_same_episodes(make_vec):
    runs = []
    for seeds in (5, [5, 6, 7]):
        envs = make_vec(3)
        trace = [envs.reset(seed=seeds)[0]]
        trace += [envs.step(np.array([1, 2, 3]))[0] for _ in range(12)]
        runs.append(np.stack(trace))
    assert np.array_equal(*runs)


def test_next_step_begins_again_one_step_later(make_vec):
    envs = make_vec(2, autoreset_mode=AutoresetMode.NEXT_STEP)
    envs.reset(seed=0, options={"instance": lengths(envs, 1, 3)})
    left = envs.core.observer.names.index("budget_left")
    observations, _, terminated, _, infos = envs.step(np.array([0, 0]))
    assert terminated.tolist() == [True, False] and observations[0, left] == 0.0
    assert "final_obs" not in infos
    before = column(infos, "instance", 0)

    # This step resets row 0, whatever its action, and trains row 1.
    knobs = envs.core.infos([1])["knobs"]["lr_g"][0]
    observations, rewards, terminated, _, infos = envs.step(np.array([3, 1]))
    assert rewards[0] == 0.0 and rewards[1] != 0.0 and not terminated.any()
    assert observations[0, left] == 1.0 and observations[1, left] == pytest.approx(1 / 3)
    fresh = column(infos, "instance", 0)
    assert fresh != before
    assert column(infos["knobs"], "lr_g", 0) == pytest.approx(fresh.lr_g), "the action was ignored"
    assert column(infos["knobs"], "lr_g", 1) == pytest.approx(1.5 * knobs)
    assert infos["_reward_terms"].tolist() == [False, True]

    # And the next one counts again: large move up, within the bounds.
    _, rewards, _, _, infos = envs.step(np.array([3, 0]))
    assert column(infos["knobs"], "lr_g", 0) == pytest.approx(min(5 * fresh.lr_g, 0.1))
    assert rewards[0] != 0.0


def test_same_step_begins_again_at_once(make_vec):
    envs = make_vec(2, autoreset_mode=AutoresetMode.SAME_STEP)
    twin = GanBalanceEnv(**SMALL)
    first = lengths(envs, 2, 9)
    envs.reset(seed=20, options={"instance": first})
    twin.reset(seed=20, options={"instance": first[0]})
    envs.step(np.array([1, 0]))
    twin.step(1)
    observations, rewards, terminated, _, infos = envs.step(np.array([3, 0]))
    final_observation, final_reward, ended, _, final = twin.step(3)
    assert ended and terminated.tolist() == [True, False]
    np.testing.assert_allclose(column(infos, "final_obs", 0), final_observation, **TOLERANCE)
    assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == [True, False]
    assert infos["final_obs"][1] is None
    assert rewards[0] == pytest.approx(final_reward, abs=1e-3)
    told = infos["final_info"]
    assert column(told, "instance", 0) == first[0] and not told["_instance"][1]
    assert column(told, "fid_proxy", 0) == pytest.approx(final["fid_proxy"], rel=1e-3)
    assert column(told["knobs"], "lr_g", 0) == pytest.approx(5 * 1.5 * 1e-3)
    for name, value in final["reward_terms"].items():
        assert column(told["reward_terms"], name, 0) == pytest.approx(value, abs=1e-3)
    # What is returned is the next episode of that row's own stream.
    observation, info = twin.reset()
    np.testing.assert_allclose(observations[0], observation, **TOLERANCE)
    assert column(infos, "instance", 0) == info["instance"] and column(infos, "instance", 1) == first[1]
    _, _, terminated, _, infos = envs.step(np.array([0, 0]))
    assert not terminated.any() and "final_obs" not in infos
    twin.close()


def test_disabled_waits_for_the_mask(make_vec):
    envs = make_vec(3, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0, options={"instance": lengths(envs, 1, 4, 1)})
    observations, _, terminated, _, _ = envs.step(np.array([0, 0, 0]))
    assert terminated.tolist() == [True, False, True]
    with pytest.raises(gym.error.ResetNeeded, match=r"environments \[0, 2\] have ended"):
        envs.step(np.array([0, 0, 0]))
    again, infos = envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert np.array_equal(again[1:], observations[1:]) and not np.array_equal(again[0], observations[0])
    assert infos["_instance"].tolist() == [True, False, False]
    with pytest.raises(gym.error.ResetNeeded, match=r"environments \[2\] have ended"):
        envs.step(np.array([0, 0, 0]))
    envs.reset(options={"reset_mask": np.array([False, False, True])})
    _, _, terminated, _, _ = envs.step(np.array([0, 0, 0]))
    assert not terminated.any()


def test_rows_reset_at_different_times_go_their_own_way(make_vec):
    """Each row repeats, to rounding, what a single environment does with the same instances and actions."""
    counts = (2, 3, 5)
    envs = make_vec(3, autoreset_mode=AutoresetMode.SAME_STEP)
    singles = [GanBalanceEnv(**SMALL) for _ in counts]
    envs.reset(seed=30, options={"instance": lengths(envs, *counts)})
    for row, single in enumerate(singles):
        single.reset(seed=30 + row, options={"instance": lengths(envs, *counts)[row]})
    envs.action_space.seed(1)
    endings = np.zeros(3, dtype=int)
    for _ in range(6):
        actions = envs.action_space.sample()
        observations, rewards, terminated, _, _ = envs.step(actions)
        for row, single in enumerate(singles):
            observation, reward, ended, _, _ = single.step(actions[row])
            assert ended == terminated[row] and rewards[row] == pytest.approx(reward, abs=2e-3)
            if ended:
                observation, _ = single.reset()
                endings[row] += 1
            np.testing.assert_allclose(observations[row], observation, atol=1e-3, rtol=0)
    assert endings.tolist() == [1, 1, 1]
    for single in singles:
        single.close()


def test_a_seed_counts_for_the_rows_that_are_reset(make_vec):
    envs, twin = (make_vec(2, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    first, second = (np.array(mask) for mask in ([True, False], [False, True]))
    for one in (envs, twin):
        one.reset(seed=0)
    _, infos = envs.reset(seed=50, options={"reset_mask": first})
    single = GanBalanceEnv(**SMALL)
    assert column(infos, "instance", 0) == single.reset(seed=50)[1]["instance"]
    _, infos = envs.reset(options={"reset_mask": second})
    _, expected = twin.reset(options={"reset_mask": second})
    assert column(infos, "instance", 1) == column(expected, "instance", 1), "row 1 went on with its own stream"
    single.close()


def test_a_reset_of_one_row_keeps_the_start_of_the_others(make_vec):
    envs = make_vec(2, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0, options={"instance": lengths(envs, 1, 5)})
    index = envs.core.observer.names.index("lr_g_relative")
    envs.step(np.array([1, 1]))
    observations, _ = envs.reset(options={"reset_mask": np.array([True, False])})
    np.testing.assert_allclose(observations[:, index], [0.0, np.log10(1.5) / 2], atol=1e-6)
    observations, *_ = envs.step(np.array([2, 1]))
    np.testing.assert_allclose(observations[:, index], np.log10(1.5) * np.array([-1, 2]) / 2, atol=1e-6)


def test_a_state_continues_exactly(make_vec):
    envs, other = (make_vec(3, autoreset_mode=AutoresetMode.SAME_STEP) for _ in range(2))
    envs.reset(seed=0)
    envs.step(np.array([1, 2, 3]))
    state = envs.get_state()

    def go_on(env):
        return [[part.tolist() for part in env.step(np.array([0, 5, 3]))[:3]] for _ in range(7)]

    expected = go_on(envs)
    envs.set_state(state)
    assert go_on(envs) == expected
    other.reset(seed=9)
    other.set_state(state)
    assert go_on(other) == expected


def test_pictures(make_vec):
    envs = make_vec(2, render_mode="rgb_array")
    envs.reset(seed=0)
    pictures = envs.render()
    assert len(pictures) == 2 and all(picture.shape == (256, 256, 3) for picture in pictures)
    assert not np.array_equal(*pictures) and np.array_equal(envs.picture(1), pictures[1])
    assert make_vec(1).render() is None


BAD_CALLS = {
    "no reset": (lambda envs: envs.step(np.zeros(2, dtype=int)), gym.error.ResetNeeded, r"call reset\(\)"),
    "first reset of some": (
        lambda envs: envs.reset(options={"reset_mask": np.array([True, False])}),
        gym.error.ResetNeeded,
        "first reset must be of all",
    ),
    "short mask": (lambda envs: envs.reset(options={"reset_mask": np.array([True])}), ValueError, "reset_mask"),
    "empty mask": (lambda envs: envs.reset(options={"reset_mask": np.zeros(2, bool)}), ValueError, "reset_mask"),
    "whole-number mask": (lambda envs: envs.reset(options={"reset_mask": np.ones(2, int)}), ValueError, "reset_mask"),
    "unknown option": (lambda envs: envs.reset(options={"mask": 1}), ValueError, "unknown reset option 'mask'"),
    "too few seeds": (lambda envs: envs.reset(seed=[1]), ValueError, r"one for each of 2, not \[1\]"),
    "too few instances": (
        lambda envs: envs.reset(options={"instance": [pinned(envs)]}),
        ValueError,
        "must be 2 instances, one for each row, not 1",
    ),
    "no instance": (
        lambda envs: envs.reset(options={"instance": ["ring", "ring"]}),
        ValueError,
        "must be GanInstances, not str",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_wrong_calls_are_told_in_one_line(make_vec, case):
    call, error, message = BAD_CALLS[case]
    with pytest.raises(error, match=message) as caught:
        call(make_vec(2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("actions", [[0], [0, 0, 0], [0, 13], [0.5, 0.5], 0], ids=str)
def test_bad_actions_change_nothing(make_vec, actions):
    envs, twin = make_vec(2), make_vec(2)
    for one in (envs, twin):
        one.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        envs.step(np.array(actions))
    assert np.array_equal(envs.step(np.array([1, 2]))[0], twin.step(np.array([1, 2]))[0])


def test_wrong_options_are_refused(make_vec):
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        make_vec(0)
    with pytest.raises(ValueError, match="Never"):
        make_vec(1, autoreset_mode="Never")
