"""The adapter to Stable-Baselines3."""

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import VecMonitor

from agents.sb3 import make_training_env
from agents.vec_env import SB3VecEnv
from gan_env import GanBalanceEnv, GanBalanceVectorEnv

SMALL = {"suite": "ring", "updates_per_step": 1, "decisions": 4}


@pytest.fixture
def env():
    env = make_training_env(3, SMALL)
    yield env
    env.close()


def test_the_terminal_observation_is_the_end_of_the_episode_that_ended(env):
    """Beside single environments with the same seeds, through three episodes each."""
    twins = [GanBalanceEnv(**SMALL) for _ in range(3)]
    env.seed(40)
    observations = env.reset()
    for row, twin in enumerate(twins):
        expected, info = twin.reset(seed=40 + row)
        np.testing.assert_allclose(observations[row], expected, atol=1e-4)
        assert env.reset_infos[row]["instance"] == info["instance"]
    rng, ended = np.random.default_rng(0), 0
    for _ in range(12):
        actions = rng.integers(13, size=3)
        observations, rewards, dones, infos = env.step(actions)
        assert rewards.dtype == np.float32 and dones.dtype == bool
        for row, twin in enumerate(twins):
            observation, reward, terminated, _, info = twin.step(actions[row])
            assert dones[row] == terminated and rewards[row] == pytest.approx(reward, abs=1e-3)
            assert infos[row]["instance"] == info["instance"], "the info is that of the step, not of the next episode"
            assert infos[row]["fid_proxy"] == pytest.approx(info["fid_proxy"], rel=1e-3)
            assert infos[row]["reward_terms"] == pytest.approx(info["reward_terms"], abs=1e-3)
            assert ("terminal_observation" in infos[row]) == terminated
            if terminated:
                ended += 1
                np.testing.assert_allclose(infos[row]["terminal_observation"], observation, atol=1e-4)
                assert infos[row]["TimeLimit.truncated"] is False
                observation, info = twin.reset()
                assert env.reset_infos[row]["instance"] == info["instance"]
            np.testing.assert_allclose(observations[row], observation, atol=1e-4)
    assert ended >= 9
    for twin in twins:
        twin.close()


def test_seeds_are_used_once(env):
    def instances():
        env.reset()
        return [info["instance"] for info in env.reset_infos]

    env.seed(7)
    first, second = instances(), instances()
    assert len({*first, *second}) == 6
    env.seed(7)
    assert instances() == first and instances() == second


def test_the_rest_of_the_interface(env):
    assert env.num_envs == 3
    assert env.observation_space == env.env.single_observation_space
    assert env.action_space == env.env.single_action_space
    assert env.get_attr("num_envs") == [3, 3, 3] and env.get_attr("num_envs", [1]) == [3]
    assert env.env_is_wrapped(VecMonitor) == [False] * 3
    assert env.get_images() == [None] * 3
    for call in (lambda: env.set_attr("num_envs", 2), lambda: env.env_method("step", 0)):
        with pytest.raises(NotImplementedError, match="one population"):
            call()


def test_pictures():
    env = make_training_env(2, SMALL | {"render_mode": "rgb_array"})
    env.reset()
    assert [picture.shape for picture in env.get_images()] == [(256, 256, 3)] * 2
    env.close()


def test_another_autoreset_mode_is_refused():
    env = GanBalanceVectorEnv(2, **SMALL)
    with pytest.raises(ValueError, match="needs autoreset_mode=SAME_STEP, not NEXT_STEP"):
        SB3VecEnv(env)
    env.close()


@pytest.mark.parametrize(
    ("algorithm", "action_type", "options"),
    [
        (DQN, "discrete", {"learning_starts": 60, "batch_size": 16, "n_steps": 3}),
        (PPO, "discrete", {"n_steps": 20, "batch_size": 20, "n_epochs": 2}),
        (PPO, "continuous", {"n_steps": 20, "batch_size": 20, "n_epochs": 2}),
    ],
    ids=["dqn", "ppo", "ppo continuous"],
)
def test_stable_baselines_trains_on_it(algorithm, action_type, options):
    env = VecMonitor(make_training_env(4, SMALL | {"action_type": action_type}))
    model = algorithm("MlpPolicy", env, seed=0, device="cpu", **options)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(200)
    assert model.num_timesteps >= 200
    after = model.policy.state_dict()
    assert any((after[name] != before[name]).any() for name in before), "something was learned"
    assert all(value.isfinite().all() for value in after.values())
    # The monitor saw whole episodes: an undiscounted return for each.
    lengths = {episode["l"] for episode in model.ep_info_buffer}
    assert len(model.ep_info_buffer) >= 40 and max(lengths) == SMALL["decisions"]
    env.close()
