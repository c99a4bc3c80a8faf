"""One environment on images, with the distilled extractor as its proxy."""

import functools
import math

import numpy as np
import pytest

from gan_backbones.metrics import references
from gan_backbones.metrics.proxy import DistillationBudget, distil_proxy
from gan_env import GanBalanceEnv, GanBalanceVectorEnv
from gan_env.core import BalanceCore

DIGITS = {
    "suite": "faces",
    "data": "digits",
    "backbone": "dcgan",
    "resolution": 16,
    "backbone_options": (("latent_size", 8), ("width", 4)),
    "batch_size": 8,
    "updates_per_step": 2,
    "decisions": 3,
}


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """The distillation has a small budget here, and so a cache folder of its own."""
    small = functools.partial(
        distil_proxy, budget=DistillationBudget(teacher_images=1000, gans=2, images_per_age=8, steps=300)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(references, "distil_proxy", small)
        yield DIGITS | {"cache_dir": tmp_path_factory.mktemp("distilled")}


@pytest.fixture(scope="module")
def env(options):
    env = GanBalanceEnv(render_mode="rgb_array", observation="absolute+quality", **options)
    yield env
    env.close()


@pytest.mark.parametrize("action", [0, 3, 11], ids=["keep", "generator up", "feature matching up"])
def test_an_episode(env, action):
    observation, info = env.reset(seed=1)
    proxies = [info["fid_proxy"]]
    assert proxies[0] > 0
    while True:
        assert env.observation_space.contains(observation)
        observation, reward, terminated, truncated, info = env.step(action)
        proxies.append(info["fid_proxy"])
        assert math.isfinite(reward) and not truncated and 0 < info["fid_proxy"] <= env.core.task.worst_proxy
        assert info["reward_terms"]["quality"] == pytest.approx(math.log(proxies[-2] / proxies[-1]), abs=1e-9)
        if terminated:
            break
    assert len(proxies) == 1 + 3 and not info["diverged"]


def test_the_same_seed_gives_the_same_episode(env):
    runs = []
    for _ in range(2):
        env.reset(seed=2)
        runs.append([env.step(action)[0].tolist() for action in (0, 1, 7)])
    assert runs[0] == runs[1]


def test_pictures_are_grids_of_images(env):
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8 and picture.shape == (256, 256, 3), "8 x 8 images of 16 pixels, enlarged"
    assert np.array_equal(picture[..., 0], picture[..., 2]), "digits have no colour"
    assert np.abs(picture.astype(int) - 127).max() <= 10, "an untrained generator is grey"
    for _ in range(3):
        env.step(3)
    assert np.abs(env.render().astype(int) - 127).max() > 20


def test_the_proxy_tells_real_digits_from_an_untrained_generator(env):
    _, info = env.reset(seed=0)
    data = env.core.data_of(0)
    real = data.batch(range(env.core.task.proxy_samples))
    distance, spread = env.core.proxies["digits"].measure(real[None])[0].tolist()
    assert distance < 0.3 * info["fid_proxy"] and spread == pytest.approx(1.0, abs=0.2)


def test_rows_of_the_vector_form_are_single_environments(env, options):
    envs = GanBalanceVectorEnv(2, observation="absolute+quality", **options)
    observations, _ = envs.reset(seed=5)
    np.testing.assert_allclose(observations[1], env.reset(seed=6)[0], atol=1e-4)
    observations, rewards, *_ = envs.step(np.array([0, 1]))
    observation, reward, *_ = env.step(1)
    np.testing.assert_allclose(observations[1], observation, atol=1e-3)
    assert rewards[1] == pytest.approx(reward, abs=1e-2)
    envs.close()


def test_the_grader_is_another_judge(env):
    core: BalanceCore = env.core
    env.reset(seed=0)
    (grade,) = core.grade([0])
    assert 0 < grade <= core.task.worst_grade
    assert core.grader("digits").metric == core.task.metric
    assert type(core.grader("digits")._extractor) is not type(core.proxies["digits"]._extractor)
