"""Every registered id with every action type: Gymnasium's and SB3's checkers, determinism, state, mistakes."""

import contextlib
import math
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as check_gymnasium
from stable_baselines3.common.env_checker import check_env as check_sb3

import gan_env
from gan_env import ENVIRONMENTS, SUITE_IDS, SUITES, GanBalanceEnv
from tests.gan_env.environments import SMALL, draw, every_action_type, every_id, pinned, play


@every_action_type
@every_id
def test_gymnasium_accepts_it(make_env, env_id, action_type):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_gymnasium(make_env(env_id, action_type=action_type, render_mode="rgb_array"))


@every_action_type
@every_id
def test_stable_baselines_accepts_it(make_env, env_id, action_type):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sb3(make_env(env_id, action_type=action_type), warn=True)


@every_id
def test_it_is_made_without_importing_the_package_and_has_no_step_limit(env_id):
    env = gym.make(f"gan_env:{env_id}", suite="ring", decisions=3, updates_per_step=1)
    assert env.spec.max_episode_steps is None and gym.spec(env_id).max_episode_steps is None
    assert isinstance(env.unwrapped, GanBalanceEnv)
    env.reset(seed=0)
    endings = [env.step(0)[2:4] for _ in range(3)]
    assert endings == [(False, False), (False, False), (True, False)]
    env.close()


def test_the_package_hands_out_its_environments_and_says_what_it_lacks():
    for name in gan_env.__all__:
        assert getattr(gan_env, name) is getattr(gan_env, name)
    with pytest.raises(AttributeError, match="module 'gan_env' has no attribute 'nothing'"):
        _ = gan_env.nothing


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_has_an_id_that_needs_no_arguments(suite):
    env_id = f"GanBalanceEnv-{suite}-v0"
    assert SUITE_IDS[env_id] == suite
    spec, base = gym.spec(env_id), gym.spec("GanBalanceEnv-v0")
    assert spec.kwargs == {"suite": suite} and spec.max_episode_steps is None
    assert (spec.entry_point, spec.vector_entry_point) == (base.entry_point, base.vector_entry_point)


def test_ids_of_suites_make_single_and_vector_environments():
    with contextlib.closing(gym.make("gan_env:GanBalanceEnv-ring-v0", decisions=2)) as env:
        assert env.unwrapped.config.suite == "ring" and env.unwrapped.config.decisions == 2
    with contextlib.closing(gym.make_vec("gan_env:GanBalanceEnv-ring-v0", num_envs=3, decisions=2)) as envs:
        assert envs.unwrapped.config.suite == "ring" and envs.num_envs == envs.unwrapped.core.size == 3


@every_action_type
@every_id
def test_the_declared_space_is_what_is_returned(make_env, env_id, action_type):
    for observation in ("default", "absolute+quality"):
        env = make_env(env_id, action_type=action_type, observation=observation)
        space = env.observation_space
        returned = [env.reset(seed=0)[0], env.step(env.action_space.sample())[0]]
        for vector in returned:
            assert vector.shape == space.shape == (len(env.core.observer.names),)
            assert vector.dtype == space.dtype == np.float32 and space.contains(vector)


def test_the_layout_depends_on_the_knobs_alone(make_env):
    """A policy moves to another suite, backbone or batch size without a change."""
    ring = make_env(knobs="lr_g,lr_d")
    other = make_env(knobs="lr_g,lr_d", backbone_options={"width": 5}, batch_size=3, data="grid", decisions=7)
    digits = {"suite": "faces", "data": "digits", "backbone_options": {"width": 2, "latent_size": 4}}
    images = make_env(knobs="lr_g,lr_d", measure_quality=False, reward="stability", **digits)
    for env in (other, images):
        assert env.observation_space == ring.observation_space and env.action_space == ring.action_space
        assert env.core.observer.names == ring.core.observer.names


@every_action_type
@every_id
def test_the_same_seed_gives_the_same_episode(make_env, env_id, action_type):
    env = make_env(env_id, action_type=action_type)
    actions = draw(env, 10)
    first = play(env, actions, seed=3)
    assert play(env, actions, seed=3) == first
    assert play(make_env(env_id, action_type=action_type), actions, seed=3) == first
    assert play(env, actions, seed=4) != first


@every_action_type
@every_id
def test_twins_in_turn_equal_a_solo_run(make_env, env_id, action_type):
    one, other, solo = (make_env(env_id, action_type=action_type) for _ in range(3))
    actions = draw(solo, 12)
    expected = [play(solo, actions, seed=seed) for seed in (1, 2)]
    traces = [[(env.reset(seed=seed)[0].tolist(), env.core.infos([0]))] for env, seed in ((one, 1), (other, 2))]
    for action in actions:
        for env, trace in ((one, traces[0]), (other, traces[1])):
            observation, *rest = env.step(action)
            trace.append((observation.tolist(), *rest))
            torch.rand(3)  # whoever draws from the global generators disturbs nobody
            np.random.default_rng().random()
    for trace, wanted in zip(traces, expected, strict=True):
        assert trace[0][0] == wanted[0][0] and trace[1:] == wanted[1:]


@every_id
def test_episodes_of_one_seed_follow_each_other_reproducibly(make_env, env_id):
    one, other = make_env(env_id), make_env(env_id)
    runs = []
    for env in (one, other):
        env.reset(seed=5)
        runs.append([env.reset()[1]["instance"] for _ in range(3)])
    assert runs[0] == runs[1] and len(set(runs[0])) == 3


def test_no_global_generator_is_touched(make_env):
    env = make_env()
    before = torch.get_rng_state()
    np.random.seed(0)
    expected = np.random.get_state()[1].tolist()
    play(env, draw(env, 3), seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == expected


@every_action_type
@every_id
def test_a_pickled_environment_does_the_same(make_env, env_id, action_type):
    env = make_env(env_id, action_type=action_type, observation="quality", knobs=("lr_d", "lr_g"))
    env.reset(seed=1)
    env.step(env.action_space.sample())
    restored = pickle.loads(pickle.dumps(env))
    assert restored.config == env.config
    actions = draw(env, 3)
    assert play(restored, actions, seed=2) == play(env, actions, seed=2)
    restored.close()


@every_action_type
@every_id
def test_a_state_continues_exactly_in_mid_episode(make_env, env_id, action_type):
    env = make_env(env_id, action_type=action_type, observation="quality")
    actions = draw(env, 15)
    env.reset(seed=1)
    for action in actions[:5]:
        env.step(action)
    state = env.get_state()

    def go_on(env):
        steps = [env.step(action) for action in actions[5:]]
        following, info = env.reset()
        return [(o.tolist(), *rest) for o, *rest in steps], following.tolist(), info

    expected = go_on(env)
    env.set_state(state)
    assert go_on(env) == expected
    other = make_env(env_id, action_type=action_type, observation="quality")
    other.reset(seed=77)
    other.set_state(state)
    assert go_on(other) == expected
    fresh = make_env(env_id, action_type=action_type, observation="quality")
    fresh.set_state(state)
    assert go_on(fresh) == expected, "a state can be used twice, and before the first reset"


@every_id
def test_a_step_before_the_first_reset_is_refused(env_id):
    env = getattr(gan_env, ENVIRONMENTS[env_id][0])(**SMALL)
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        env.step(0)


@every_id
def test_a_bad_action_changes_nothing(make_env, env_id):
    env, twin = make_env(env_id), make_env(env_id)
    for one in (env, twin):
        one.reset(seed=0)
    for wrong in (13, -1, 0.5, None, "up", [1, 2]):
        with pytest.raises(ValueError, match="action"):
            env.step(wrong)
    observation, *rest = env.step(3)
    expected, *others = twin.step(3)
    assert observation.tolist() == expected.tolist() and rest == others


BAD_RESETS = {
    "unknown option": (lambda env: {"instances": None}, "unknown reset option 'instances'; known: instance"),
    "no instance": (lambda env: {"instance": "ring"}, "must be a GanInstance, not str"),
    "another batch size": (lambda env: {"instance": pinned(env, batch_size=7)}, "does not fit this environment"),
    "another backbone": (lambda env: {"instance": pinned(env, backbone="dcgan")}, "does not fit this environment"),
    "no rate": (lambda env: {"instance": pinned(env, lr_g=0.0)}, "lr_g must lie in"),
    "a rate beyond the knob": (lambda env: {"instance": pinned(env, lr_d=1.0)}, "lr_d must lie in"),
    "not a rate": (lambda env: {"instance": pinned(env, lr_d=math.nan)}, "lr_d must lie in"),
    "no decisions": (lambda env: {"instance": pinned(env, decisions=0)}, "decisions must be at least 1"),
}


@pytest.mark.parametrize("case", BAD_RESETS)
def test_bad_resets_change_nothing(make_env, case):
    options, message = BAD_RESETS[case]
    env, twin = make_env(), make_env()
    for one in (env, twin):
        one.reset(seed=0)
    with pytest.raises(ValueError, match=message) as caught:
        env.reset(options=options(env))
    assert "\n" not in str(caught.value)
    assert env.step(3)[0].tolist() == twin.step(3)[0].tolist()
    assert env.core.instances == twin.core.instances
