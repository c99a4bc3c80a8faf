"""Adapter from the vector environment to Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from gan_env.core_vector_env import CoreVectorEnv


class SB3VecEnv(VecEnv):
    """A vector environment on one core, with ``SAME_STEP`` autoreset, as a Stable-Baselines3 ``VecEnv``.

    At the end of an episode ``infos[i]["terminal_observation"]`` is the last observation of that episode and the
    returned observation is the first of the next. ``infos[i]["TimeLimit.truncated"]``, which a learner bootstraps
    through, is true only of an episode that was lost with the machine that trained it.
    """

    def __init__(self, env: CoreVectorEnv) -> None:
        if env.autoreset_mode is not gym.vector.AutoresetMode.SAME_STEP:
            raise ValueError(f"SB3VecEnv needs autoreset_mode=SAME_STEP, not {env.autoreset_mode.name}")
        self.env: Any = env  # whoever needs more of it than the interface knows which one it is
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: NDArray[Any] | None = None

    def reset(self) -> NDArray[np.float32]:  # type: ignore[override]  # one array, of the types it allows
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        observations, infos = self.env.reset(seed=seeds)
        self.reset_infos = self._rows(infos, range(self.num_envs))
        self._reset_seeds()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, terminated, truncated, infos = self.env.step(self._actions)
        rows, dones = self._rows(infos, range(self.num_envs)), terminated | truncated
        ended = np.flatnonzero(dones).tolist()
        if ended:
            finals = self._rows(infos["final_info"], ended)
            for row, final in zip(ended, finals, strict=True):
                # The finished episode is what this step is about; the next one's first info is its reset info.
                self.reset_infos[row] = rows[row]
                rows[row] = final | {
                    "terminal_observation": infos["final_obs"][row],
                    "TimeLimit.truncated": bool(truncated[row]),
                }
        return observations, rewards.astype(np.float32), dones, rows

    def get_state(self) -> Any:
        """A copy of all episodes and random generators."""
        return self.env.get_state()

    def set_state(self, state: Any) -> None:
        """Continue exactly from :meth:`get_state`; ``reset_infos`` stay those of the last resets here."""
        self.env.set_state(state)

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        pictures = self.env.render()
        return [None] * self.num_envs if pictures is None else list(pictures)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        raise NotImplementedError("the rows of one population share their attributes; build a new environment instead")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("the rows of one population share their methods; call them on SB3VecEnv.env")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    def _rows(self, columns: dict[str, Any], rows: Sequence[int]) -> list[dict[str, Any]]:
        """One info per row from Gymnasium's columns."""
        out: list[dict[str, Any]] = []
        for row in rows:
            info: dict[str, Any] = {}
            for name, column in columns.items():
                if name.startswith("_") or name in ("final_obs", "final_info") or not columns[f"_{name}"][row]:
                    continue
                info[name] = self._rows(column, [row])[0] if isinstance(column, dict) else column[row]
            out.append(info)
        return out
