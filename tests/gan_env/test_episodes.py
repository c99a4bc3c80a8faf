"""What an environment gives back, step by step, and how its episodes end."""

import itertools
import math

import numpy as np
import pytest
import torch

from gan_env import GanInstance
from gan_env.core import COLLAPSE_REACHED, COLLAPSE_SHARE, COLLAPSE_STEPS
from gan_env.knobs import DEFAULT_KNOBS, KNOBS, NAMING_VALUES
from tests.gan_env.environments import draw, every_action_type, every_id, pinned, play, poison


@every_action_type
@every_id
def test_random_steps_stay_in_the_space(make_env, env_id, action_type):
    """1,000 with each action type, of the smallest GANs, so that many end in trouble."""
    env = make_env(
        env_id, action_type=action_type, observation="absolute+quality", batch_size=2, updates_per_step=1, decisions=50
    )
    env.action_space.seed(0)
    env.reset(seed=0)
    ended = 0
    for _ in range(1000):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation) and math.isfinite(reward) and not truncated
        if terminated:
            ended += 1
            observation, _ = env.reset()
            assert env.observation_space.contains(observation)
    assert ended >= 1000 // 50


WIDTH = len(DEFAULT_KNOBS)
GENERATOR, DISCRIMINATOR, FEATURE_MATCHING = np.eye(WIDTH, dtype=np.float32)

EXTREMES = {
    "all up": ("continuous", itertools.repeat(np.ones(3, np.float32))),
    "all down": ("continuous", itertools.repeat(-np.ones(3, np.float32))),
    "generator up": ("continuous", itertools.repeat(GENERATOR)),
    "discriminator up": ("continuous", itertools.repeat(DISCRIMINATOR)),
    "feature matching up": ("continuous", itertools.repeat(FEATURE_MATCHING)),
    "feature matching down": ("continuous", itertools.repeat(-FEATURE_MATCHING)),
    "apart": ("continuous", itertools.repeat(np.float32([1, -1, 1]))),
    "each up in turn": ("discrete", itertools.cycle([3, 7, 11])),
    "each down in turn": ("discrete", itertools.cycle([4, 8, 12])),
    "up and down": ("discrete", itertools.cycle([3, 7, 11, 4, 8, 12])),
}


@every_id
@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_knobs_give_finite_numbers(make_env, env_id, name):
    action_type, actions = EXTREMES[name]
    env = make_env(env_id, action_type=action_type, observation="absolute+quality", updates_per_step=10)
    env.reset(seed=0)
    for action, step in zip(actions, range(1, 21), strict=False):
        observation, reward, terminated, truncated, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert math.isfinite(reward) and math.isfinite(info["fid_proxy"]) and not truncated
        assert all(
            KNOBS[knob].low * 0.999 <= value <= KNOBS[knob].high * 1.001 for knob, value in info["knobs"].items()
        )
        if terminated:
            assert step == 20 or info["diverged"] or info["collapsed"]
            break
    assert terminated


@every_action_type
@every_id
def test_info_says_what_happened(make_env, env_id, action_type):
    env = make_env(env_id, action_type=action_type)
    _, info = env.reset(seed=0)
    instance = info["instance"]
    assert isinstance(instance, GanInstance) and instance.decisions == 20 and instance.updates_per_step == 2
    assert info["knobs"] == pytest.approx({"lr_g": instance.lr_g, "lr_d": instance.lr_d, "fm_weight": 0.1})
    assert info["diverged"] is False and info["fid_proxy"] > 0
    proxies = [info["fid_proxy"]]
    for action in draw(env, 5):
        _, reward, _, _, info = env.step(action)
        assert set(info) >= {"fid_proxy", "reward_terms", "knobs", "diverged", "collapsed", "instance", "stats"}
        assert set(info["reward_terms"]) == {"quality", "stability", "failure"}
        assert reward == pytest.approx(sum(info["reward_terms"].values()), abs=1e-12)
        proxies.append(info["fid_proxy"])
        assert info["reward_terms"]["quality"] == pytest.approx(math.log(proxies[-2] / proxies[-1]), abs=1e-9)
        assert 0 <= info["stats"]["real_accuracy"] <= 1 and info["stats"]["loss_d"] > 0
        assert info["instance"] == instance
        assert all(isinstance(value, float) for value in info["stats"].values())


@every_id
def test_an_undiscounted_episode_sums_to_how_much_better_the_gan_got(make_env, env_id):
    env = make_env(env_id)
    trace = play(env, [0] * 20, options={"instance": pinned(env, lr_g=3e-3, lr_d=3e-3)})
    total = sum(step[-1]["reward_terms"]["quality"] for step in trace[1:])
    assert total == pytest.approx(math.log(trace[0][1]["fid_proxy"] / trace[-1][-1]["fid_proxy"]), abs=1e-9)
    assert trace[-1][2] and not trace[-2][2]


@every_id
def test_the_proxy_is_what_fresh_samples_say(make_env, env_id):
    """A second derivation, on a trained GAN: sorted projections of other samples on other directions."""
    env = make_env(env_id, updates_per_step=300, decisions=2)
    env.reset(options={"instance": pinned(env, lr_g=3e-3, lr_d=3e-3)})
    proxies = [env.step(0)[4]["fid_proxy"] for _ in range(2)]
    samples, data = env.core.population.sample(4000)[0], env.core.data_of(0).samples[:4000]
    angles = torch.arange(16) * torch.pi / 16
    directions = torch.stack([angles.cos(), angles.sin()])
    difference = (samples @ directions).sort(0).values - (data @ directions).sort(0).values
    assert proxies[-1] == pytest.approx(float(difference.square().mean()), rel=0.4)
    assert proxies[-1] < 0.3, "it learned, so a distance of the start would not do"


@every_id
def test_the_proxys_latents_are_fixed_within_an_episode(make_env, env_id):
    """A GAN that stands still has a distance that stands still; fresh samples would move it by a tenth."""
    env = make_env(env_id)
    starts = set()
    for seed in (1, 2, 2):
        _, info = env.reset(options={"instance": pinned(env, lr_g=1e-6, lr_d=1e-6, seed=seed)})
        samples = env.core.samples(0, 50)
        assert len(samples.unique(dim=0)) == 50
        starts.add(info["fid_proxy"])
        for _ in range(3):
            assert env.step(0)[4]["fid_proxy"] == pytest.approx(info["fid_proxy"], rel=1e-3)
    assert len(starts) == 2, "the latents come from the instance's seed"


@every_id
def test_the_instance_is_what_is_trained(make_env, env_id):
    """Its rates, its seed and its length; the nearest relative ignores the instance's optimizer."""
    env = make_env(env_id)
    instance = pinned(env, lr_g=1e-3, lr_d=2e-3, seed=11, decisions=2)
    _, info = env.reset(seed=0, options={"instance": instance})
    assert info["instance"] == instance
    before = env.core.population.state_dict()["tensors"][0].clone()
    _, _, terminated, _, info = env.step(0)
    moved = {1e-3: (env.core.population.state_dict()["tensors"][0] - before).abs().max()}
    assert info["knobs"]["lr_g"] == pytest.approx(1e-3) and info["knobs"]["lr_d"] == pytest.approx(2e-3)
    assert not terminated and env.step(0)[2]
    slower = pinned(env, lr_g=1e-5, lr_d=2e-3, seed=11, decisions=2)
    env.reset(options={"instance": slower})
    assert torch.equal(env.core.population.state_dict()["tensors"][0], before), "the same seed, the same weights"
    env.step(0)
    moved[1e-5] = (env.core.population.state_dict()["tensors"][0] - before).abs().max()
    # Adam's first steps are about as long as its rate.
    assert float(moved[1e-3] / moved[1e-5]) == pytest.approx(100, rel=0.5)


def test_relative_knobs_remember_the_start_of_the_episode(make_env):
    env = make_env()
    index = env.core.observer.names.index("lr_g_relative")
    for start in (1e-3, 1e-4):
        observation, _ = env.reset(options={"instance": pinned(env, lr_g=start, lr_d=1e-3)})
        seen = [observation[index], *(env.step(action)[0][index] for action in (1, 1, 0, 4))]
        moves = np.array([0, 1, 2, 2]) * math.log10(1.5)
        np.testing.assert_allclose(seen, [*moves / 2, (moves[-1] - math.log10(5)) / 2], atol=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@every_id
def test_the_callers_gradient_mode_does_not_matter(make_env, env_id, mode):
    expected = play(make_env(env_id), [0, 0], seed=3)
    with mode():
        found = play(make_env(env_id), [0, 0], seed=3)
    np.testing.assert_equal(found, expected)


def test_pinning_does_not_disturb_the_stream_of_instances(make_env):
    env, twin = make_env(), make_env()
    for one in (env, twin):
        one.reset(seed=0)
    env.reset(options={"instance": pinned(env)})
    assert env.reset()[1]["instance"] == twin.reset()[1]["instance"]


@every_action_type
@every_id
def test_the_budget_ends_the_episode_and_is_seen_coming(make_env, env_id, action_type):
    env = make_env(env_id, action_type=action_type, decisions=4)
    env.reset(options={"instance": pinned(env, lr_g=1e-4, lr_d=1e-4)})
    left = env.core.observer.names.index("budget_left")
    codec = env.core.codec
    calm = codec.encode(np.full((1, WIDTH), -4.0))[0] if action_type in NAMING_VALUES else codec.noop
    steps = [env.step(calm) for _ in range(4)]
    assert [step[0][left] for step in steps] == [0.75, 0.5, 0.25, 0.0]
    assert [step[2:4] for step in steps] == [(False, False)] * 3 + [(True, False)]
    assert not steps[-1][4]["diverged"] and steps[-1][4]["reward_terms"]["failure"] == 0


@every_id
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("quality", [True, False])
def test_a_single_bad_weight_ends_the_episode(make_env, env_id, value, quality):
    options = {} if quality else {"measure_quality": False, "reward": "stability"}
    env = make_env(env_id, **options)
    env.reset(seed=0)
    env.step(0)
    poison(env, value)
    observation, reward, terminated, truncated, info = env.step(0)
    assert terminated and not truncated, "a crash is an ending: nobody bootstraps through it"
    assert info["diverged"] and not info["collapsed"]
    assert env.observation_space.contains(observation)
    assert observation[env.core.observer.names.index("diverged")] == 1.0
    assert math.isfinite(reward) and info["reward_terms"]["failure"] == -2.0
    if quality:
        assert info["fid_proxy"] == env.core.task.worst_proxy
    # The next episode knows nothing of it.
    observation, info = env.reset(seed=1)
    assert not info["diverged"] and observation[env.core.observer.names.index("diverged")] == 0.0
    assert not env.step(0)[2]


class ScriptedProxy:
    """Says what the test wants to hear."""

    name = "script"

    def __init__(self, diversities):
        self.diversities = iter(diversities)

    def measure(self, samples):
        return torch.tensor([[1.0, next(self.diversities)]]).expand(len(samples), 2)


HIGH, LOW = 2 * COLLAPSE_REACHED, 1.9 * COLLAPSE_REACHED * COLLAPSE_SHARE  # LOW is just low enough


SCRIPTS = {
    "in a row": ([HIGH] + [LOW] * COLLAPSE_STEPS + [HIGH], 1 + COLLAPSE_STEPS),
    "interrupted": ([HIGH] + [LOW] * (COLLAPSE_STEPS - 1) + [HIGH] + [LOW] * COLLAPSE_STEPS, 1 + 2 * COLLAPSE_STEPS),
    "from a later best": ([HIGH, 4 * HIGH] + [2 * LOW] * COLLAPSE_STEPS, 2 + COLLAPSE_STEPS),
    "not low enough": ([HIGH] + [1.1 * HIGH * COLLAPSE_SHARE] * 6, None),
    "back from an overshoot": ([40.0] + [1.1 * COLLAPSE_SHARE] * 6, None),
    "from an overshoot to nothing": ([40.0] + [0.9 * COLLAPSE_SHARE] * COLLAPSE_STEPS, 1 + COLLAPSE_STEPS),
    "never spread": ([0.99 * COLLAPSE_REACHED] + [0.0] * 6, None),
}


@every_id
@pytest.mark.parametrize("name", SCRIPTS)
def test_collapse_is_a_long_fall_from_the_episodes_best(make_env, env_id, name):
    script, collapse_at = SCRIPTS[name]
    env = make_env(env_id)
    env.core.proxies["ring"] = ScriptedProxy([HIGH, *script])
    env.reset(options={"instance": pinned(env, lr_g=1e-5, lr_d=1e-5)})
    steps = [env.step(0)]
    while not steps[-1][2] and len(steps) < len(script):
        steps.append(env.step(0))
    *_, terminated, truncated, info = steps[-1]
    if collapse_at is None:
        assert not terminated
    else:
        assert terminated and not truncated and len(steps) == collapse_at
        assert info["collapsed"] and not info["diverged"]
        assert info["reward_terms"]["failure"] == -2.0 and info["fid_proxy"] == env.core.task.worst_proxy


def test_the_spread_of_the_last_episode_is_forgotten(make_env):
    env = make_env()
    env.core.proxies["ring"] = ScriptedProxy([HIGH, *[HIGH, LOW, LOW], HIGH, *[LOW, LOW, LOW]])
    instance = pinned(env, lr_g=1e-5, lr_d=1e-5)
    env.reset(options={"instance": instance})
    assert not any(env.step(0)[2] for _ in range(3))
    env.reset(options={"instance": instance})
    assert not any(env.step(0)[2] for _ in range(3))


def test_samples_that_are_not_finite_end_the_episode(make_env):
    env = make_env()
    env.core.proxies["ring"] = ScriptedProxy([HIGH, HIGH, math.nan])
    env.reset(options={"instance": pinned(env, lr_g=1e-5, lr_d=1e-5)})
    assert not env.step(0)[2]
    _, _, terminated, _, info = env.step(0)
    assert terminated and info["diverged"]


def test_without_the_proxy_quality_is_unknown_and_nothing_else_changes(make_env):
    env = make_env(measure_quality=False, reward="stability")
    _, info = env.reset(seed=0)
    assert math.isnan(info["fid_proxy"])
    for action in draw(env, 5):
        observation, reward, _, _, info = env.step(action)
        assert math.isnan(info["fid_proxy"]) and math.isfinite(reward) and env.observation_space.contains(observation)
        assert set(info["reward_terms"]) == {"stability", "failure"}


@every_id
def test_pictures(make_env, env_id):
    env = make_env(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.get_state()["core"]["population"]
    picture = env.render()
    assert picture.dtype == np.uint8 and picture.shape == (256, 256, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 3, "background, data, samples"
    assert np.array_equal(picture, env.render())
    after = env.get_state()["core"]["population"]
    assert all(torch.equal(a, b) for a, b in zip(before["tensors"], after["tensors"], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before["sample_rng"], after["sample_rng"], strict=True))
    assert make_env(env_id).render() is None


def test_betas_are_adams(make_env):
    """A first step is one of signs, whatever the betas; with betas of zero all steps are."""

    def weights(**options):
        env = make_env("GanBalanceEnv-v0", updates_per_step=1, **options)
        env.reset(seed=0)
        found = []
        for _ in range(3):
            found.append(env.core.population.state_dict()["tensors"][0].clone())
            env.step(0)
        return found, env.core.instances[0].lr_g

    (calm, _), (signs, rate) = weights(), weights(betas=(0.0, 0.0))
    torch.testing.assert_close(calm[1], signs[1])
    assert not torch.allclose(calm[2], signs[2])
    steps = (signs[2] - signs[1]).abs()
    assert steps.max() <= rate * 1.001 and (steps > rate * 0.99).float().mean() > 0.5
