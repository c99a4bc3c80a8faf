"""The vector form of ``GanBalanceEnv-v0``: N GANs trained as one population."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from gan_env.balance_env import GanBalanceEnv
from gan_env.config import EnvConfig, make_options
from gan_env.core import BalanceCore
from gan_env.core_vector_env import CoreVectorEnv, check_render_mode
from gan_env.instances import GanInstance
from gan_env.mixed import MixedCore, make_core
from gan_env.render import draw_row
from gan_env.shards import PROCESSES, Shards
from gan_env.spaces import action_space, observation_space


class GanBalanceVectorEnv(CoreVectorEnv):
    """N environments of :class:`~gan_env.balance_env.GanBalanceEnv` on one population.

    A suite that mixes kinds of GAN gets a population for each, and each row stays in its own: row i is of kind i modulo
    their number. Seeds, autoreset modes and pinned instances: :class:`~gan_env.core_vector_env.CoreVectorEnv`.
    ``shards`` says who may hold populations outside of this process.
    """

    metadata = {**GanBalanceEnv.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}
    core: BalanceCore | MixedCore

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        shards: Shards = PROCESSES,
        **options: Any,
    ) -> None:
        check_render_mode(render_mode, self.metadata)
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, not {num_envs}")
        self.config = make_options(EnvConfig, options)
        core = make_core(self.config, num_envs, shards=shards)
        spaces = observation_space(core.observer), action_space(core.codec)
        super().__init__(core, GanInstance, spaces, render_mode, autoreset_mode)

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Samples of one row's generator, whatever the render mode."""
        return draw_row(self.core, row)
