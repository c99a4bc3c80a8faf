"""Reading what ``train_agent.py`` trained, without running code from its files."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.policies import BasePolicy

from agents.presets import ALGORITHMS
from gan_env import EnvConfig
from gan_env.spaces import action_space, observation_space


def load_run(run_dir: Path) -> tuple[BasePolicy, EnvConfig, dict[str, Any]]:
    """The policy of a run folder, its environment on this machine's processor, and ``config.json``.

    Raises ``ValueError``, in one line, for a folder that is none and for a policy that is missing or damaged.
    """
    try:
        settings = json.loads((run_dir / "config.json").read_text())
        environment = settings["environment"] | {"cache_dir": None, "progress": True, "device": "cpu", "workers": None}
        for name in ("knobs", "moves", "backbone_options", "constants", "start_ranges"):
            if environment.get(name) is not None:  # JSON knows no tuples
                environment[name] = tuple(tuple(part) if isinstance(part, list) else part for part in environment[name])
        config = EnvConfig(**environment)
        algorithm, options = settings["options"]["algo"], settings["algorithm"].get("policy_kwargs", {})
    except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(run_dir)!r} is no run folder of train_agent.py: {reason}") from None
    spaces = observation_space(config.observer()), action_space(config.codec())
    return load_policy(algorithm, run_dir / "policy.zip", *spaces, options), config, settings


def load_policy(
    name: str,
    path: Path,
    observations: gym.spaces.Box,
    actions: gym.Space[Any],
    policy_kwargs: Mapping[str, Any],
) -> BasePolicy:
    """The policy in a file that a model of the algorithm ``name`` saved, to be asked and not to be trained further.

    Only its weights are read, into a policy that is built anew: nothing in the file is unpickled. Raises
    ``ValueError``, in one line, for a file that is missing or damaged and for weights that do not fit.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {name!r}; known: {', '.join(ALGORITHMS)}")
    algorithm = ALGORITHMS[name]
    try:
        # Some classes add to these options themselves.
        make: Any = algorithm.cls
        blank = make(algorithm.policy, None, policy_kwargs=dict(policy_kwargs), _init_setup_model=False)
        policy = blank.policy_class(observations, actions, lambda left: 0.0, **blank.policy_kwargs)
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("policy.pth"))
        policy.load_state_dict(torch.load(content, map_location="cpu", weights_only=True))
    except (OSError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot load policy {str(path)!r}: {' '.join(str(error).split())[:200]}") from None
    policy.set_training_mode(False)
    return policy
