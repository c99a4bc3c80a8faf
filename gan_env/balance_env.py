"""``GanBalanceEnv-v0``: one GAN, one agent that turns its knobs."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from gan_env.config import EnvConfig, make_options
from gan_env.core import BalanceCore
from gan_env.core_vector_env import check_render_mode, first_row, pinned_instance
from gan_env.instances import GanInstance
from gan_env.render import draw_row
from gan_env.spaces import action_space, as_numbers, observation_space


class GanBalanceEnv(gym.Env[NDArray[np.float32], Any], EzPickle):
    """Balance the training of a GAN by its learning rates and loss weights.

    ## Task
    Each episode is the training of one real GAN from a random start: learning rates log-uniform over
    [1e-5, 10^-1.5] for each network, fresh weights, a fixed budget of updates. Every decision is followed by a number
    of GAN updates that the suite fixes.

    ## Actions
    `action_type="discrete"`: 0 keeps all knobs; for each knob a small move up, a small move down, a large move up and
    a large move down (factors 1.5 and 5). `"multidiscrete"`: such a choice for every knob at once. `"continuous"`:
    `Box(-1, 1, (K,))`, the logarithm of a factor per knob, 1 being the large move. `"absolute"`: the same box, but each
    number is the knob itself, between its bounds on a logarithmic scale. `"target"`: so, too, but a knob moves towards
    the named value by the large factor at most. Knobs: `lr_g`, `lr_d`, `fm_weight`, or those
    named by `knobs=`; `constants=` holds others at a value.

    ## Observations
    A `Box` of finite, bounded float32 features that any GAN loop can compute: accuracies, logits and their margin,
    canonical losses, log update-to-weight ratios, each over the last 3 decisions; the share of the budget left; whether
    the GAN failed; each knob relative to its start. The table is `gan_env.observation`; `observation="absolute"` adds
    the knobs' values, `"quality"` the quality proxy, and `gan_env.register_feature` features of one's own.

    ## Rewards
    The fall in the log proxy distance, a small stability term that is never positive, and a one-off penalty for
    failure; each in `info["reward_terms"]`. `reward=` names another preset or writes terms with weights, as
    `"quality=1,stability=0.02"`. The table is `gan_env.reward`.

    ## Endings
    `terminated` by divergence (something is not finite), collapse (the samples' spread below a tenth of the episode's
    best and of the data's at 3 decisions in a row), or the end of the budget, which the observation shows. Never
    `truncated`.

    ## Reset
    `reset(seed=s)` draws a training instance; `reset(options={"instance": instance})` pins a
    :class:`~gan_env.instances.GanInstance`.

    ## Info
    `fid_proxy`, `diverged`, `knobs`, `instance`; after a step also `reward_terms`, `stats` (losses, accuracies, ...)
    and `collapsed`.

    Keyword arguments are the fields of :class:`~gan_env.config.EnvConfig`, and `render_mode` (`"rgb_array"`).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, render_mode: str | None = None, **options: Any) -> None:
        EzPickle.__init__(self, render_mode=render_mode, **options)
        check_render_mode(render_mode, self.metadata)
        self.render_mode = render_mode
        self.config = make_options(EnvConfig, options)
        self._cores = {(core := BalanceCore(self.config, 1)).key: core}
        self.core = core
        """The population of the present episode; a suite of several kinds of GAN has one for each."""
        self.observation_space: gym.spaces.Box = observation_space(self.core.observer)  # type: ignore[assignment]
        self.action_space = action_space(self.core.codec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        instance = pinned_instance(options, GanInstance)
        if instance is None:
            instance = self.core.suite.sample(self.np_random)
        self.core = self._core_for(instance.population_key())
        observation = self.core.reset([0], [instance])
        return observation[0], first_row(self.core.infos([0]))

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
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
        """Samples of the present generator: a grid of images, or a scatter of points over the data."""
        if self.render_mode is None:
            return None
        return draw_row(self.core, 0)

    def get_state(self) -> dict[str, Any]:
        """A copy of the whole episode, this environment's random generator included."""
        state = {"core": self.core.get_state(), "np_random": self.np_random.bit_generator.state}
        return state | {"population_key": self.core.key}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly from :meth:`get_state` of an environment with the same options."""
        self.core = self._core_for(state["population_key"])
        self.core.set_state(state["core"])
        self.np_random.bit_generator.state = state["np_random"]

    def close(self) -> None:
        for core in self._cores.values():
            core.close()

    def _core_for(self, key: tuple[object, ...]) -> BalanceCore:
        """The core for a kind of GAN, made when it is first needed; of an unknown kind, one that refuses it."""
        if key not in self._cores:
            for task in self.core.suite.kinds():
                if task.population_key() == key:
                    self._cores[key] = BalanceCore(self.config, 1, task)
        return self._cores.get(key, self.core)
