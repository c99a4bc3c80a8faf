"""The state of a Stable-Baselines3 algorithm and its environments in the middle of training, as a tree.

It is exact where a rollout begins: on-policy algorithms have used up their last rollout there, and the others the
experience that they wanted to. What an algorithm's constructor makes from its options (schedules, shapes) is not part
of it.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import StateDependentNoiseDistribution
from stable_baselines3.common.vec_env import VecMonitor

from agents.restoring import Each, MisfitError, require_finite, require_like, require_optimizer, restoring
from agents.tree_file import Tree
from agents.vec_env import SB3VecEnv

_COUNTERS = (
    "num_timesteps",
    "exploration_rate",
    "_current_progress_remaining",
    "_episode_num",
    "_n_calls",
    "_n_updates",
)
_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_LOGGED = ("name_to_value", "name_to_count", "name_to_excluded")


def learner_state(model: BaseAlgorithm) -> Tree:
    """Everything that ``model`` goes on from, its environments (a ``VecMonitor`` around an ``SB3VecEnv``), what its
    logger has gathered, and the random generators, which are the process's."""
    attributes, monitor = vars(model), _monitor(model)
    _, variables = model._get_torch_save_params()
    lstm_states = attributes.get("_last_lstm_states")
    replay = attributes.get("replay_buffer")
    return {
        "class": type(model).__name__,
        "parameters": model.get_parameters(),
        "variables": {name: attributes[name] for name in variables},
        "counters": {name: attributes[name] for name in _COUNTERS if name in attributes},
        "last_observations": model._last_obs,
        "last_episode_starts": model._last_episode_starts,
        "last_lstm_states": None if lstm_states is None else tuple(map(tuple, lstm_states)),
        "episodes": list(model.ep_info_buffer or ()),
        "replay": None if replay is None else _replay_state(replay),
        "elapsed_ns": time.time_ns() - model.start_time,
        "logged": {name: dict(getattr(model.logger, name)) for name in _LOGGED},
        "returns": monitor.episode_returns,
        "lengths": monitor.episode_lengths,
        "episode_count": monitor.episode_count,
        "environments": _environments(model).get_state(),
        "random": _random_state(model),
    }


@restoring()
def restore_learner(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Put a :func:`learner_state` of a model with the same options into ``model``, whose training has just begun.

    Raises ``MisfitError`` for the state of another algorithm, for one that no such model has, and for numbers that are
    not finite in what it learned or saw.
    """
    if state["class"] != type(model).__name__:
        raise MisfitError(f"this is the state of {state['class']}, not of {type(model).__name__}")
    _check(model, state)
    model.set_parameters(state["parameters"], exact_match=True, device=model.device)
    with torch.no_grad():
        for name, value in state["variables"].items():
            vars(model)[name].copy_(value)  # in place: an optimizer holds it
    for name, value in state["counters"].items():
        setattr(model, name, value)
    model._last_obs = state["last_observations"]
    model._last_episode_starts = state["last_episode_starts"]
    if state["last_lstm_states"] is not None:
        recurrent: Any = model
        kind = type(recurrent._last_lstm_states)
        recurrent._last_lstm_states = kind(*state["last_lstm_states"])
    assert model.ep_info_buffer is not None
    model.ep_info_buffer.extend(state["episodes"])
    if state["replay"] is not None:
        _restore_replay(vars(model)["replay_buffer"], state["replay"])
    model.start_time = time.time_ns() - state["elapsed_ns"]
    for name in _LOGGED:
        getattr(model.logger, name).update(state["logged"][name])
    monitor = _monitor(model)
    monitor.episode_returns, monitor.episode_lengths = state["returns"], state["lengths"]
    monitor.episode_count = state["episode_count"]
    _environments(model).set_state(state["environments"])
    _restore_random(model, state["random"])


def _check(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    own = learner_state(model)
    optimizers = {name: None for name, part in own["parameters"].items() if "param_groups" in part}
    loose = {
        "parameters": own["parameters"] | optimizers,
        "episodes": Each({"r": 0.0, "l": 0.0, "t": 0.0}),
        "replay": own["replay"] and {"pos": 0, "full": False, "columns": None},
        "logged": {name: Each(0 if name == "name_to_count" else None) for name in _LOGGED},
        "random": own["random"] | {"noise": [(None, None) for _ in own["random"]["noise"]]},
    }
    require_like(state, own | loose)
    holder: Any = model
    for name in optimizers:
        optimizer = functools.reduce(getattr, name.split("."), holder)
        require_optimizer(optimizer, state["parameters"][name], f"its {name}")
    for name in ("parameters", "variables", "counters", "last_observations", "last_lstm_states", "replay", "returns"):
        require_finite(state[name], f"its {name}")


class ResumeLearning(BaseCallback):
    """Puts ``saved``, a :func:`learner_state`, in place when training begins, and calls ``boundary`` where each later
    rollout begins; ``restore`` is called before, for what else there is to put in place."""

    def __init__(
        self, saved: Tree, restore: Callable[[], None] = lambda: None, boundary: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self._saved, self._restore, self._boundary = saved, restore, boundary

    @restoring()
    def _on_training_start(self) -> None:
        # Training begins as usual and is then set forward: were it told to go on, the algorithm would add what is
        # done to what is to be done, and stretch its schedules.
        if self._saved is not None:
            self._restore()
            restore_learner(self.model, self._saved)

    def _on_rollout_start(self) -> None:
        if self._saved is not None:
            # Once more: state-dependent exploration has just drawn its noise.
            _restore_random(self.model, self._saved["random"])
            self._saved = None
        else:
            self._boundary()

    def _on_step(self) -> bool:
        return True


def _restore_random(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002  # Stable-Baselines3 draws from it
    torch.set_rng_state(state["torch"])
    model.action_space.np_random.bit_generator.state = state["actions"]
    for noise, (matrix, matrices) in zip(_noises(model), state["noise"], strict=True):
        noise.exploration_mat, noise.exploration_matrices = matrix, matrices


def _random_state(model: BaseAlgorithm) -> dict[str, Tree]:
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002  # Stable-Baselines3 draws from it
        "torch": torch.get_rng_state(),
        "actions": model.action_space.np_random.bit_generator.state,
        "noise": [(noise.exploration_mat, noise.exploration_matrices) for noise in _noises(model)],
    }


def _noises(model: BaseAlgorithm) -> Iterator[StateDependentNoiseDistribution]:
    for actor in (model.policy, getattr(model.policy, "actor", None)):
        noise = getattr(actor, "action_dist", None)
        if isinstance(noise, StateDependentNoiseDistribution):
            yield noise


def _replay_state(buffer: ReplayBuffer) -> dict[str, Tree]:
    """The part that is filled, and one row more: a buffer that saves memory keeps the newest observations there."""
    rows = buffer.buffer_size if buffer.full else min(buffer.pos + 1, buffer.buffer_size)
    columns = {name: vars(buffer)[name][:rows] for name in _COLUMNS if name in vars(buffer)}
    return {"pos": buffer.pos, "full": buffer.full, "columns": columns}


def _restore_replay(buffer: ReplayBuffer, state: Mapping[str, Any]) -> None:
    own = {name: vars(buffer)[name] for name in _COLUMNS if name in vars(buffer)}
    rows = len(next(iter(state["columns"].values())))
    require_like(state["columns"], {name: column[:rows] for name, column in own.items()}, "its experience")
    if not (0 <= state["pos"] < buffer.buffer_size and rows <= buffer.buffer_size):
        raise MisfitError(f"its experience of {rows} rows goes on at {state['pos']}; there are {buffer.buffer_size}")
    buffer.pos, buffer.full = state["pos"], state["full"]
    for name, column in own.items():
        column[:rows] = state["columns"][name]


def _monitor(model: BaseAlgorithm) -> VecMonitor:
    assert isinstance(model.env, VecMonitor)
    return model.env


def _environments(model: BaseAlgorithm) -> SB3VecEnv:
    environments = _monitor(model).unwrapped
    assert isinstance(environments, SB3VecEnv)
    return environments
