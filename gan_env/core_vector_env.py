"""Gymnasium's vector interface around a core of N rows: seeds, autoreset, masks, infos. The MDP is the core's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from gan_env.core import StepResult
from gan_env.spaces import as_numbers

_Instance = TypeVar("_Instance")


class RowCore(Protocol):
    """N rows, each an episode of its own. An instance is what an episode is of; a row has none before its first."""

    size: int

    @property
    def instances(self) -> Sequence[Any]: ...

    def draw(self, row: int, rng: np.random.Generator) -> Any:
        """An instance for ``row``."""
        ...

    def reset(self, rows: Sequence[int], instances: Sequence[Any]) -> NDArray[Any]: ...

    def step(self, rows: Sequence[int], actions: object) -> StepResult: ...

    def observations(self, rows: Sequence[int]) -> NDArray[Any]: ...

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        """Column by column, dictionaries of columns among them."""
        ...

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, state: Any) -> None: ...

    def close(self) -> None: ...


class CoreVectorEnv(VectorEnv[NDArray[Any], Any, NDArray[Any]]):
    """N environments on one core.

    Row i, reset with seed s + i, does what a single environment reset with that seed does, up to rounding. All three
    autoreset modes of Gymnasium are honoured; with ``DISABLED``, rows are reset by
    ``reset(options={"reset_mask": mask})``. ``options={"instance": [...]}`` pins an instance for each row that is
    reset. A row is ``truncated`` only where its core says that its episode was lost. An environment is this with a
    core, the spaces and :meth:`picture`.
    """

    core: RowCore

    def __init__(
        self,
        core: RowCore,
        instance_type: type,
        spaces: tuple[gym.Space[Any], gym.Space[Any]],
        render_mode: str | None,
        autoreset_mode: AutoresetMode | str,
    ) -> None:
        self.core = core
        self.num_envs = core.size
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = spaces
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._instance_type = instance_type
        self._rngs = [seeding.np_random(None)[0] for _ in range(self.num_envs)]
        self._ended = np.zeros(self.num_envs, dtype=bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        options = reset_options(options)
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must be a boolean array of shape ({self.num_envs},), not all false"
            )
        if not mask.all() and None in self.core.instances:
            raise gym.error.ResetNeeded("the first reset must be of all environments")
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed
        if seeds is not None:
            if not isinstance(seeds, Sequence) or len(seeds) != self.num_envs:
                raise ValueError(f"seed must be a whole number or one for each of {self.num_envs}, not {seed!r}")
            fresh = [None if one is None else seeding.np_random(one)[0] for one in seeds]
            self._rngs = [new if new is not None and mask[i] else self._rngs[i] for i, new in enumerate(fresh)]
        rows = np.flatnonzero(mask).tolist()
        instances = options.pop("instance", None)
        if options:
            raise ValueError(f"unknown reset option {next(iter(options))!r}; known: instance, reset_mask")
        self._begin(rows, instances)
        return self._observations(), self._masked(self.core.infos(rows), rows)

    def step(self, actions: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        if None in self.core.instances:
            raise gym.error.ResetNeeded("call reset() before step()")
        actions = as_numbers(actions)
        if actions.shape[:1] != (self.num_envs,):
            raise ValueError(f"expected {self.num_envs} actions, got shape {actions.shape}")
        resets = np.flatnonzero(self._ended).tolist()
        if resets and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(f"environments {resets} have ended; reset them with options['reset_mask']")
        rows = np.flatnonzero(~self._ended).tolist()  # all but those that NEXT_STEP resets now
        rewards, (terminated, truncated) = np.zeros(self.num_envs), np.zeros((2, self.num_envs), dtype=bool)
        infos: dict[str, Any] = {}
        if rows:
            result = self.core.step(rows, actions[rows])
            rewards[rows], terminated[rows], truncated[rows] = result.rewards, result.terminated, result.truncated
            infos = self._masked(result.infos, rows)
        if resets:
            self._begin(resets)
            infos = self._merged(infos, self._masked(self.core.infos(resets), resets))
        over = terminated | truncated
        self._ended = over.copy()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and over.any():
            ended = np.flatnonzero(over).tolist()
            final = self._observations()
            observations = np.empty(self.num_envs, dtype=object)
            for row in ended:
                observations[row] = final[row]
            final_infos = self._restricted(infos, over)
            self._begin(ended)
            infos = self._merged(infos, self._masked(self.core.infos(ended), ended))
            infos |= {"final_obs": observations, "_final_obs": over.copy()}
            infos |= {"final_info": final_infos, "_final_info": over.copy()}
        return self._observations(), rewards, terminated, truncated, infos

    def picture(self, row: int) -> NDArray[np.uint8]:
        """What one row shows, ``(height, width, 3)``, whatever the render mode."""
        raise NotImplementedError

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:  # type: ignore[override]
        """One picture per environment."""
        if self.render_mode is None:
            return None
        return tuple(self.picture(row) for row in range(self.num_envs))

    def get_state(self) -> dict[str, Any]:
        """A copy of all episodes and random generators."""
        return {
            "core": self.core.get_state(),
            "rngs": [rng.bit_generator.state for rng in self._rngs],
            "ended": self._ended.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly from :meth:`get_state` of an environment with the same options."""
        self.core.set_state(state["core"])
        for rng, saved in zip(self._rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved
        self._ended = state["ended"].copy()

    def close_extras(self, **kwargs: Any) -> None:
        self.core.close()

    def _begin(self, rows: Sequence[int], instances: Sequence[Any] | None = None) -> None:
        if instances is None:
            instances = [self.core.draw(row, self._rngs[row]) for row in rows]
        if not isinstance(instances, Sequence) or len(instances) != len(rows):
            given = len(instances) if isinstance(instances, Sequence) else type(instances).__name__
            raise ValueError(f"options['instance'] must be {len(rows)} instances, one for each row, not {given}")
        strangers = [type(one).__name__ for one in instances if not isinstance(one, self._instance_type)]
        if strangers:
            raise ValueError(f"options['instance'] must be {self._instance_type.__name__}s, not {strangers[0]}")
        self.core.reset(rows, instances)
        self._ended[list(rows)] = False

    def _observations(self) -> NDArray[Any]:
        return self.core.observations(range(self.num_envs))

    def _masked(self, columns: dict[str, Any], rows: Sequence[int]) -> dict[str, Any]:
        """Columns of some rows in Gymnasium's vector form: full arrays, each with a ``_name`` mask beside it."""
        mask = np.zeros(self.num_envs, dtype=bool)
        mask[list(rows)] = True
        infos: dict[str, Any] = {}
        for name, column in columns.items():
            if isinstance(column, dict):
                infos[name] = self._masked(column, rows)
            else:
                infos[name] = np.zeros(self.num_envs, dtype=column.dtype)
                infos[name][list(rows)] = column
            infos[f"_{name}"] = mask.copy()
        return infos

    def _merged(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """``old`` with the rows of ``new`` written over it."""
        merged = dict(old)
        for name, value in new.items():
            if name.startswith("_"):
                continue
            mask = new[f"_{name}"]
            if name not in merged:
                merged[name], merged[f"_{name}"] = value, mask
            elif isinstance(value, dict):
                merged[name], merged[f"_{name}"] = self._merged(merged[name], value), merged[f"_{name}"] | mask
            else:
                merged[name] = np.where(mask, value, merged[name])
                merged[f"_{name}"] = merged[f"_{name}"] | mask
        return merged

    def _restricted(self, infos: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
        """A copy of ``infos`` in which only the rows of ``mask`` count."""
        kept: dict[str, Any] = {}
        for name, value in infos.items():
            if name.startswith("_"):
                kept[name] = value & mask
            else:
                kept[name] = self._restricted(value, mask) if isinstance(value, dict) else value.copy()
        return kept


def check_render_mode(render_mode: str | None, metadata: dict[str, Any]) -> None:
    """Raise ``ValueError`` for a render mode that an environment lacks."""
    modes = metadata["render_modes"]
    if render_mode is not None and render_mode not in modes:
        raise ValueError(f"unknown render_mode {render_mode!r}; known: {', '.join(modes)}")


def pinned_instance(options: dict[str, Any] | None, instance_type: type[_Instance]) -> _Instance | None:
    """The instance in a single environment's reset options, if any; anything else in there raises ``ValueError``."""
    given = reset_options(options)
    if not given:
        return None
    instance = given.pop("instance", None)
    if given:
        raise ValueError(f"unknown reset option {next(iter(given))!r}; known: instance")
    if not isinstance(instance, instance_type):
        raise ValueError(f"options['instance'] must be a {instance_type.__name__}, not {type(instance).__name__}")
    return instance


def reset_options(options: object) -> dict[str, Any]:
    """A copy of the options of a reset; anything but a mapping or ``None`` raises ``ValueError``."""
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"reset options must be a mapping, not {options!r}")
    return dict(options or {})


def first_row(columns: dict[str, Any]) -> dict[str, Any]:
    """The first row of columns; arrays become plain Python values."""
    row: dict[str, Any] = {}
    for name, column in columns.items():
        if isinstance(column, dict):
            row[name] = first_row(column)
        else:
            row[name] = column[0].item() if isinstance(column[0], np.generic) else column[0]
    return row
