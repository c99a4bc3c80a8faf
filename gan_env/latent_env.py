"""``GanLatentBandit-v0`` and ``GanLatentBox-v0``, single and vector: which latents of a frozen GAN to draw."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from gan_env.config import make_options
from gan_env.core_vector_env import CoreVectorEnv, check_render_mode, first_row, pinned_instance
from gan_env.latent_config import BanditConfig, BoxConfig, LatentConfig
from gan_env.latent_core import LatentCore, LatentEpisode
from gan_env.render import image_grid
from gan_env.spaces import as_numbers

_METADATA = {"render_modes": ["rgb_array"], "render_fps": 5}


class _LatentEnv(gym.Env[Any, Any]):
    """One row of a :class:`~gan_env.latent_core.LatentCore`."""

    metadata = _METADATA

    def __init__(self, config: LatentConfig, render_mode: str | None) -> None:
        check_render_mode(render_mode, self.metadata)
        self.render_mode = render_mode
        self.config = config
        self.core = LatentCore(config, 1)
        self.observation_space, self.action_space = self.core.actions.spaces

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        episode = pinned_instance(options, LatentEpisode) or self.core.draw(0, self.np_random)
        return self.core.reset([0], [episode])[0], first_row(self.core.infos([0]))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.core.instances[0] is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        result = self.core.step([0], as_numbers(action)[None])
        return (
            result.observations[0],
            float(result.rewards[0]),
            bool(result.terminated[0]),
            False,
            first_row(result.infos),
        )

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The image drawn last; before the first draw of an episode, that of the latent 0."""
        return None if self.render_mode is None else image_grid(self.core.image(0))

    def get_state(self) -> dict[str, Any]:
        """A copy of the whole episode, this environment's random generator included."""
        return {"core": self.core.get_state(), "np_random": self.np_random.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly from :meth:`get_state` of an environment with the same options."""
        self.core.set_state(state["core"])
        self.np_random.bit_generator.state = state["np_random"]


class GanLatentBandit(_LatentEnv, EzPickle):
    """Choose, again and again, one of K latents of a frozen GAN.

    ## Task
    A codebook of K latents is drawn once from N(0, I). Pulling an arm shows the generator that latent, plus
    `noise` times a fresh draw from N(0, I), and asks the discriminator what it makes of the image. Neither network
    ever learns. There is one state, so this is a bandit; terms that look back make it one whose rewards drift.

    ## Actions
    `Discrete(K)`: the index of a code.

    ## Observations
    `observation="constant"`: `Discrete(1)`, always 0. `"last"`: `Discrete(K + 1)`, the index drawn last, K before the
    first draw.

    ## Rewards
    A weighted sum of terms, each in `info["reward_terms"]`: the discriminator's probability, the same calibrated, rare
    attributes, balance of attributes, diversity, attributes asked for. The table is `gan_env.latent_reward`.

    ## Endings
    `terminated` after `pulls` draws. Never `truncated`.

    ## Reset
    `reset(seed=s)` seeds the noise of this and of the following episodes. It forgets what was drawn.

    ## Info
    `pulls`; after a step also `reward_terms` and `logit`.

    Keyword arguments are the fields of :class:`~gan_env.latent_config.BanditConfig`, and `render_mode` (`"rgb_array"`).
    """

    def __init__(self, render_mode: str | None = None, **options: Any) -> None:
        EzPickle.__init__(self, render_mode=render_mode, **options)
        super().__init__(make_options(BanditConfig, options), render_mode)


class GanLatentBox(_LatentEnv, EzPickle):
    """Name, again and again, a latent of a frozen GAN, entry by entry.

    ## Task
    As :class:`GanLatentBandit`, without a codebook: all latents within reach can be drawn, those that the generator
    never met in training among them.

    ## Actions
    `Box(-1, 1, (latent_size,))`: the latent in units of `reach`.

    ## Observations
    `Box` of five statistics of the latent drawn last: mean, standard deviation, smallest and largest entry, and its
    length over the root of its size, which is near 1 for N(0, I). Zeros before the first draw.

    ## Rewards, endings, reset, info
    As :class:`GanLatentBandit`.

    Keyword arguments are the fields of :class:`~gan_env.latent_config.BoxConfig`, and `render_mode` (`"rgb_array"`).
    """

    def __init__(self, render_mode: str | None = None, **options: Any) -> None:
        EzPickle.__init__(self, render_mode=render_mode, **options)
        super().__init__(make_options(BoxConfig, options), render_mode)


class _LatentVectorEnv(CoreVectorEnv):
    """N rows that are scored in one forward pass."""

    metadata = {**_METADATA, "autoreset_mode": AutoresetMode.NEXT_STEP}
    core: LatentCore

    def __init__(
        self, config: LatentConfig, num_envs: int, render_mode: str | None, autoreset_mode: AutoresetMode | str
    ) -> None:
        check_render_mode(render_mode, self.metadata)
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, not {num_envs}")
        self.config = config
        core = LatentCore(config, num_envs)
        super().__init__(core, LatentEpisode, core.actions.spaces, render_mode, autoreset_mode)

    def picture(self, row: int) -> NDArray[np.uint8]:
        """What ``row`` drew last."""
        return image_grid(self.core.image(row))


class GanLatentBanditVectorEnv(_LatentVectorEnv):
    """N environments of :class:`GanLatentBandit` on one GAN.

    Seeds, autoreset modes and pinned episodes: :class:`~gan_env.core_vector_env.CoreVectorEnv`.
    """

    config: BanditConfig

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        super().__init__(make_options(BanditConfig, options), num_envs, render_mode, autoreset_mode)


class GanLatentBoxVectorEnv(_LatentVectorEnv):
    """N environments of :class:`GanLatentBox` on one GAN.

    Seeds, autoreset modes and pinned episodes: :class:`~gan_env.core_vector_env.CoreVectorEnv`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        super().__init__(make_options(BoxConfig, options), num_envs, render_mode, autoreset_mode)
