"""Reading what ``train_agent.py`` trained, without running code from its files."""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.policies import BasePolicy

from agents.presets import ALGORITHMS
from gan_backbones.files import read_json, require_file
from gan_env import EnvConfig
from gan_env.spaces import action_space, observation_space

_WEIGHTS = "policy.pth"
_SHAPING = ("policy_kwargs", "use_sde")
"""Arguments of an algorithm's class that say what its policy is made of."""
_DESCRIPTION = 2**20
"""Bytes that names, shapes and alignment may take beside the weights."""


def load_run(run_dir: Path) -> tuple[BasePolicy, EnvConfig, dict[str, Any]]:
    """The policy of a run folder, its environment on this machine's processor, and ``config.json``.

    Raises ``ValueError``, in one line, for a folder that is none and for a policy that is missing or damaged.
    """
    try:
        settings = read_json(run_dir / "config.json")
        environment = settings["environment"] | {"cache_dir": None, "progress": True, "device": "cpu", "workers": None}
        for name in ("knobs", "moves", "backbone_options", "constants", "start_ranges"):
            if environment.get(name) is not None:  # JSON knows no tuples
                environment[name] = tuple(tuple(part) if isinstance(part, list) else part for part in environment[name])
        config = EnvConfig(**environment)
        algorithm, options = settings["options"]["algo"], dict(settings["algorithm"])
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(run_dir)!r} is no run folder of train_agent.py: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{str(run_dir)!r} is no run folder of train_agent.py: {error}") from None
    spaces = observation_space(config.observer()), action_space(config.codec())
    return load_policy(algorithm, run_dir / "policy.zip", *spaces, options), config, settings


def load_policy(
    name: str,
    path: Path,
    observations: gym.spaces.Box,
    actions: gym.Space[Any],
    options: Mapping[str, Any],
) -> BasePolicy:
    """The policy in a file that a model of the algorithm ``name`` saved, to be asked and not to be trained further.

    ``options`` are arguments of the class, of which those that shape the policy count. Only its weights are read, into
    a policy that is built anew: nothing in the file is unpickled. Raises ``ValueError``, in one line, for a file that
    is missing or damaged and for weights that do not fit.
    """
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {name!r}; known: {', '.join(ALGORITHMS)}")
    algorithm = ALGORITHMS[name]
    try:
        # Some classes add to these options themselves.
        make: Any = algorithm.cls
        shaping = copy.deepcopy({option: options[option] for option in _SHAPING if option in options})
        blank = make(algorithm.policy, None, **shaping, _init_setup_model=False)
        arguments = ({"use_sde": True} if blank.use_sde else {}) | blank.policy_kwargs
        policy = blank.policy_class(observations, actions, lambda left: 0.0, **arguments)
        policy.load_state_dict(torch.load(_read_member(path, policy), map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a wrong byte or a wrong option leads to
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"cannot load policy {str(path)!r}: {reason}") from None
    if not all(tensor.isfinite().all() for tensor in policy.state_dict().values()):
        raise ValueError(f"cannot load policy {str(path)!r}: its weights are not all finite")
    policy.set_training_mode(False)
    return policy


def _read_member(path: Path, policy: BasePolicy) -> io.BytesIO:
    """The weights in the archive; no more bytes than weights of this size can take."""
    require_file(path)
    own = sum(tensor.numel() * tensor.element_size() for tensor in policy.state_dict().values())
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(_WEIGHTS).file_size > 2 * own + _DESCRIPTION:
            raise ValueError(f"{_WEIGHTS} in it is larger than such a policy")
        return io.BytesIO(archive.read(_WEIGHTS))
