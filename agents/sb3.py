"""Building, training and choosing Stable-Baselines3 policies."""

from __future__ import annotations

import copy
import functools
import io
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sb3_contrib import QRDQN
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from agents.evaluation import Evaluator, finals, typical_grade
from agents.presets import ALGORITHMS
from agents.restoring import Each, require_finite, require_like
from agents.tree_file import Tree
from agents.vec_env import SB3VecEnv
from gan_backbones.files import write_atomically
from gan_env import GanBalanceVectorEnv, GanInstance
from gan_env.shards import PROCESSES, Shards


def make_training_env(num_envs: int, env_options: Mapping[str, Any], shards: Shards = PROCESSES) -> SB3VecEnv:
    """N training environments in the form that Stable-Baselines3 takes; ``shards`` says who may hold their GANs."""
    return SB3VecEnv(GanBalanceVectorEnv(num_envs, autoreset_mode="SameStep", shards=shards, **env_options))


def check_action_type(name: str, action_type: str) -> None:
    """``ValueError`` where the algorithm ``name`` cannot take actions of this type."""
    allowed = ALGORITHMS[name].action_types
    if action_type not in allowed:
        raise ValueError(f"algorithm {name!r} needs action type {' or '.join(allowed)}, not {action_type!r}")


def build_model(name: str, env: SB3VecEnv, seed: int, options: Mapping[str, Any]) -> BaseAlgorithm:
    """The algorithm ``name`` on ``env``.

    ``options`` are arguments of the class, except that ``action_noise`` is the standard deviation of Gaussian noise,
    and that ``"lin_NUMBER"`` falls from that number to 0 over training, where the class takes a schedule.
    Raises ``ValueError`` in one line for an option that the class does not take or an action type that does not fit.
    """
    check_action_type(name, env.env.config.action_type)
    return make_model(name, VecMonitor(env), seed, options)


def make_model(name: str, env: VecEnv, seed: int, options: Mapping[str, Any]) -> BaseAlgorithm:
    """The algorithm ``name`` on any environment of Stable-Baselines3's; see :func:`build_model`."""
    algorithm = ALGORITHMS[name]
    arguments = copy.deepcopy(dict(options))  # some classes write into their policy_kwargs
    if arguments.get("action_noise") is not None:
        arguments["action_noise"] = _noise(arguments["action_noise"], env.action_space.shape)
    for option in _SCHEDULES & set(arguments):
        arguments[option] = _schedule(option, arguments[option])
    try:
        if issubclass(algorithm.cls, DQN | QRDQN) and "target_update_interval" in arguments:
            # It counts transitions, of which a step of all environments makes num_envs: no less is possible.
            arguments["target_update_interval"] = max(arguments["target_update_interval"], env.num_envs)
        return algorithm.cls(algorithm.policy, env, seed=seed, device="cpu", **arguments)
    except Exception as error:  # its classes check a part of their options only, by errors of every kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"algorithm {name!r}: {reason}") from error


_SCHEDULES = {"learning_rate", "clip_range", "clip_range_vf"}


def _schedule(option: str, value: Any) -> Any:
    """``"lin_5e-4"`` as a function of the share of training that is left; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        start = float(value.removeprefix("lin_")) if value.startswith("lin_") else math.nan
    except ValueError:
        start = math.nan
    if not start > 0:
        raise ValueError(f"{option} must be a number or lin_NUMBER, not {value!r}")
    return functools.partial(operator.mul, start)


def _noise(deviation: object, shape: tuple[int, ...] | None) -> NormalActionNoise:
    if isinstance(deviation, bool) or not isinstance(deviation, int | float) or not 0 < deviation < math.inf:
        raise ValueError(f"action_noise must be a standard deviation above 0, not {deviation!r}")
    assert shape is not None
    return NormalActionNoise(np.zeros(shape), np.full(shape, float(deviation)))


class ChooseByValidation(BaseCallback):
    """Tries the policy on the validation instances at given steps and keeps the best one, by its typical grade.

    ``best_path`` holds the best policy so far, ``history`` one ``(timesteps, typical grade, finals)`` per trial. When
    training ends, the last policy is tried, too, and the best one is put back into the model.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        instances: Sequence[GanInstance],
        at: Sequence[int],
        best_path: Path,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._evaluator = evaluator
        self._instances = instances
        self._at = sorted(at)
        self._on_step_done = on_step
        self._best: dict[str, Any] = {}
        self._ended = False
        self.best_path = best_path
        self.history: list[tuple[int, float, list[float]]] = []

    def _on_step(self) -> bool:
        if self._at and self.num_timesteps >= self._at[0]:
            self._at = [step for step in self._at if step > self.num_timesteps]
            self.validate()
        return True

    def _on_training_end(self) -> None:
        if not self._ended:
            self.validate()  # the last update comes after the last step
            self.model.policy.load_state_dict(self._best)
            self._ended = True

    def validate(self) -> float:
        """Try the present policy; returns its :func:`~agents.evaluation.typical_grade`."""
        records = self._evaluator.evaluate(self.model, self._instances, self._on_step_done)
        grades, typical = finals(records), typical_grade(records, self._evaluator.suite)
        if not self.history or typical < min(past for _, past, _ in self.history):
            self._best = copy.deepcopy(self.model.policy.state_dict())
            content = io.BytesIO()
            # Found in a file, the class of the buffer would pass for one that n_steps does not set up.
            self.model.save(content, exclude=["replay_buffer_class"])
            write_atomically(self.best_path, content.getvalue())
        self.history.append((self.num_timesteps, typical, grades.tolist()))
        self.logger.record("validation/grade", typical)
        self.logger.record("validation/p90", float(np.quantile(grades, 0.9)))
        self.logger.dump(self.num_timesteps)
        return typical

    def get_state(self) -> Tree:
        """The trials so far and the best policy, with the content of its file."""
        file = np.fromfile(self.best_path, np.uint8) if self.history else None
        return {
            "history": list(self.history),
            "left": list(self._at),
            "best": self._best,
            "file": file,
            "ended": self._ended,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`get_state`; :attr:`best_path` holds what it held then."""
        best = self.model.policy.state_dict() if state["history"] else {}
        trials, own = Each((0, 0.0, Each(0.0))), {"left": Each(0), "best": best, "file": None, "ended": False}
        require_like(state, {"history": trials} | own, "its choice")
        require_finite(state["best"], "its best policy")
        self.history, self._at = list(state["history"]), list(state["left"])
        self._best, self._ended = state["best"], state["ended"]
        if state["file"] is not None:
            write_atomically(self.best_path, state["file"].tobytes())
        else:
            self.best_path.unlink(missing_ok=True)
