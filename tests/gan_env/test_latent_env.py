"""The environments over a frozen GAN: checkers, determinism, caching, the vector form, mistakes."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as check_gymnasium
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_sb3

import gan_env
from gan_backbones import load_gan
from gan_env import ENVIRONMENTS, SUITE_IDS
from gan_env.latent_core import LatentEpisode
from gan_env.latent_reward import TERMS
from tests.gan_env.environments import LATENT, draw, every_id, play

every_latent_id = pytest.mark.parametrize("env_id", sorted(LATENT))
SMALL = {"GanLatentBandit-v0": {"codes": 7, "pulls": 5}, "GanLatentBox-v0": {"pulls": 5}}
VARIANTS = {
    "plain": {},
    "noisy": {"noise": 0.3},
    "looks back": {"reward": "discriminator=1,diversity=0.5", "memory": 3},
    "noisy and looks back": {"reward": "diversity", "memory": 2, "noise": 0.1},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture
def make(checkpoint):
    """make(id, **options) -> a small environment over the checkpoint."""
    return lambda env_id, **options: gym.make(env_id, gan=str(checkpoint), **(SMALL[env_id] | options)).unwrapped


@pytest.fixture
def make_vec(checkpoint):
    """make_vec(id, num_envs, **options) -> its vector form."""

    def make_vec(env_id, num_envs, **options):
        vector = getattr(gan_env, ENVIRONMENTS[env_id][1])
        return vector(num_envs, gan=checkpoint, **(SMALL[env_id] | options))

    return make_vec


def test_every_id_is_tested_somewhere():
    (marks,) = every_id.args[1:]
    assert {*marks} | LATENT == {*ENVIRONMENTS} and not {*marks} & LATENT
    assert not {*SUITE_IDS} & LATENT


@every_variant
@every_latent_id
def test_both_checkers_accept_it(make, env_id, variant):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_gymnasium(make(env_id, render_mode="rgb_array", **VARIANTS[variant]))
        check_sb3(make(env_id, **VARIANTS[variant]), warn=True)


@every_latent_id
def test_it_is_made_without_importing_the_package_and_ends_after_its_pulls(checkpoint, env_id):
    env = gym.make(f"gan_env:{env_id}", gan=str(checkpoint), pulls=3)
    assert env.spec.max_episode_steps is None
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[2:4] for _ in range(3)] == [(False, False)] * 2 + [(True, False)]


@every_variant
@every_latent_id
def test_the_same_seed_gives_the_same_episode(make, env_id, variant):
    env = make(env_id, **VARIANTS[variant])
    actions = draw(env, 4)
    first = play(env, actions, seed=3)
    assert play(env, actions, seed=3) == first == play(make(env_id, **VARIANTS[variant]), actions, seed=3)
    assert (play(env, actions, seed=4) != first) == ("noisy" in variant)
    assert play(pickle.loads(pickle.dumps(env)), actions, seed=3) == first


@every_variant
@every_latent_id
def test_a_state_continues_exactly(make, env_id, variant):
    env = make(env_id, **VARIANTS[variant])
    actions = draw(env, 4)
    env.reset(seed=1)
    env.step(actions[0])
    state = env.get_state()

    def go_on(env):
        return [(o.tolist(), *rest) for o, *rest in map(env.step, actions[1:])], env.reset()[1]

    expected = go_on(env)
    fresh = make(env_id, **VARIANTS[variant])
    for one in (env, fresh):
        one.set_state(state)
        assert go_on(one) == expected


@every_variant
@every_latent_id
def test_a_row_does_what_a_single_environment_does(make, make_vec, env_id, variant):
    """Through three episodes of each row, whatever its neighbours do."""
    envs = make_vec(env_id, 3, autoreset_mode="SameStep", **VARIANTS[variant])
    singles = [make(env_id, **VARIANTS[variant]) for _ in range(3)]
    observations, infos = envs.reset(seed=10)
    for row, env in enumerate(singles):
        observation, _ = env.reset(seed=10 + row)
        np.testing.assert_array_equal(observations[row], observation)
    envs.action_space.seed(0)
    for _ in range(12):
        actions = envs.action_space.sample()
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        assert not truncated.any()
        for row, env in enumerate(singles):
            observation, reward, ended, _, info = env.step(actions[row])
            assert terminated[row] == ended
            assert rewards[row] == pytest.approx(reward, abs=1e-5) == sum(info["reward_terms"].values())
            for name, part in info["reward_terms"].items():
                assert infos["reward_terms"][name][row] == pytest.approx(part, abs=1e-5)
            if ended:
                np.testing.assert_allclose(infos["final_obs"][row], observation, atol=1e-5)
                observation, _ = env.reset()
            np.testing.assert_allclose(observations[row], observation, atol=1e-5)


@every_latent_id
def test_gymnasium_makes_the_vector_form(checkpoint, env_id):
    options = SMALL[env_id] | {"noise": 0.1, "pulls": 2}
    envs = gym.make_vec(f"gan_env:{env_id}", num_envs=3, gan=str(checkpoint), render_mode="rgb_array", **options)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, _ = envs.reset(seed=0)
    pulls = []
    for _ in range(4):
        observations, rewards, _, _, infos = envs.step(envs.action_space.sample())
        assert envs.observation_space.contains(observations) and rewards.shape == (3,)
        pulls.append(infos["pulls"].tolist())
    assert pulls == [[1] * 3, [2] * 3, [0] * 3, [1] * 3], "the third step begins the next episode"
    assert len(envs.render()) == 3


def test_rewards_are_what_the_networks_say(make, make_vec, checkpoint):
    generator, discriminator, _ = load_gan(checkpoint)
    env = make("GanLatentBandit-v0")
    with torch.no_grad():
        logits = discriminator(generator(env.core.actions.codes))
    env.reset(seed=0)
    rewards = [env.step(code)[1] for code in range(5)]
    torch.testing.assert_close(torch.tensor(rewards), torch.sigmoid(logits)[:5], atol=1e-5, rtol=0)
    assert logits.std() > 0.1, "codes differ, or the test says nothing"
    box = make("GanLatentBox-v0", reach=2.0)
    box.reset(seed=0)
    action = np.linspace(-1, 1, 6).astype(np.float32)
    observation, reward, *_, info = box.step(action)
    with torch.no_grad():
        logit = float(discriminator(generator(2 * torch.from_numpy(action)[None])))
    assert info["logit"] == pytest.approx(logit, abs=1e-5) and reward == pytest.approx(
        1 / (1 + np.exp(-logit)), abs=1e-5
    )
    z = 2 * action
    assert observation == pytest.approx([z.mean(), z.std(), z.min(), z.max(), np.sqrt((z**2).mean())], abs=1e-6)


def test_known_rewards_are_computed_once_and_noisy_ones_never(make, monkeypatch):
    calls = []
    env = make("GanLatentBandit-v0", pulls=50)
    look = type(env.core.gan).look
    monkeypatch.setattr(type(env.core.gan), "look", lambda *args: calls.append(len(args[1])) or look(*args))
    play(env, [3, 3, 1, 0] * 5, seed=0)
    assert calls == [7], "the codebook, in one pass"
    looking_back = make("GanLatentBandit-v0", reward="diversity", pulls=50)
    calls.clear()
    play(looking_back, [3, 3, 1] * 4, seed=0)
    assert calls == [7], "images are known, though rewards are not"
    noisy = make("GanLatentBandit-v0", noise=0.1, pulls=50)
    calls.clear()
    trace = play(noisy, [3, 3, 3], seed=0)
    assert calls == [1, 1, 1] and len({step[1] for step in trace[1:]}) == 3


def test_the_last_index_is_shown_on_request(make):
    env = make("GanLatentBandit-v0", observation="last")
    assert env.observation_space == gym.spaces.Discrete(8)
    assert [step[0] for step in play(env, [4, 2], seed=0)] == [7, 4, 2]
    constant = make("GanLatentBandit-v0")
    assert constant.observation_space == gym.spaces.Discrete(1) and play(constant, [4], seed=0)[1][0] == 0


def test_an_episode_can_be_pinned(make):
    env = make("GanLatentBandit-v0", noise=0.5)
    runs = [play(env, [1, 2], options={"instance": LatentEpisode(seed)}) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    with pytest.raises(ValueError, match="must be a LatentEpisode, not int"):
        env.reset(options={"instance": 1})


def test_a_picture_is_the_image_drawn_last(make):
    env = make("GanLatentBandit-v0", render_mode="rgb_array")
    env.reset(seed=0)
    env.step(2)
    first = env.render()
    env.step(3)
    assert first.shape == (256, 256, 3) and first.dtype == np.uint8 and (first != env.render()).any()


@every_latent_id
def test_a_bad_action_changes_nothing(make, env_id):
    env, twin = make(env_id, noise=0.2), make(env_id, noise=0.2)
    good = draw(env, 1)[0]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(good)
    for one in (env, twin):
        one.reset(seed=0)
    for wrong in (7, -1, 0.5, None, "up", [1, 2], np.full(6, np.nan, np.float32), np.full(6, 1.5, np.float32)):
        with pytest.raises(ValueError, match="an action must be"):
            env.step(wrong)
    assert env.step(good)[1] == twin.step(good)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gan": ""}, "gan=PATH has to name the checkpoint"),
        ({"gan": "nowhere.safetensors"}, "cannot load GAN 'nowhere.safetensors': No such file"),
        ({"gan": __file__}, "cannot load GAN"),
        ({"codes": 0}, "codes must be a whole number"),
        ({"pulls": 1.5}, "pulls must be a whole number"),
        ({"memory": -1}, "memory must be"),
        ({"noise": -0.1}, "noise must be"),
        ({"noise": float("nan")}, "noise must be"),
        ({"reward": "gold"}, "unknown reward 'gold'; presets: discriminator"),
        ({"reward": "target"}, "target= names attributes"),
        ({"target": "digit=3"}, "target= names attributes"),
        ({"reward": "target", "target": "hair=3"}, "unknown attribute 'hair' in target 'hair=3'; known: digit"),
        ({"reward": "target", "target": "digit=x"}, "attribute 'digit' has no value 'x'; known: 0, 1"),
        ({"observation": "all"}, "unknown observation 'all'; known: constant, last"),
        ({"codebook_seed": -1}, "codebook_seed must lie in"),
        ({"device": "tpu"}, "tpu"),
        ({"render_mode": "human"}, "unknown render_mode 'human'"),
        ({"data": "ring", "reward": "calibrated"}, "ring"),
        ({"colours": 3}, "unexpected keyword argument 'colours'; known: gan"),
    ],
    ids=str,
)
def test_a_mistake_is_told_in_one_line(checkpoint, options, message):
    for name in ENVIRONMENTS["GanLatentBandit-v0"]:
        with pytest.raises(ValueError, match=message) as caught:
            getattr(gan_env, name)(**({"gan": str(checkpoint)} | options))
        assert "\n" not in str(caught.value)


def test_the_reach_of_a_box_is_checked_and_vectors_need_a_row(checkpoint):
    with pytest.raises(ValueError, match="reach must be a number above 0"):
        gan_env.GanLatentBox(gan=checkpoint, reach=0)
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        gan_env.GanLatentBoxVectorEnv(0, gan=checkpoint)


@pytest.mark.parametrize("name", TERMS)
def test_every_term_is_a_reward(make, name):
    options = {"reward": name, "target": "digit=3|8"} if name == "target" else {"reward": name}
    trace = play(make("GanLatentBandit-v0", pulls=20, **options), list(range(7)) * 2, seed=0)
    rewards = [step[1] for step in trace[1:]]
    assert all(0 <= reward <= 1 for reward in rewards)
    assert len({round(reward, 6) for reward in rewards}) > 1
