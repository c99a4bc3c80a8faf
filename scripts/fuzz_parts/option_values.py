"""Options of environments, of learners and of the decision makers, as values of any type."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

from agents.presets import ALGORITHMS, get_preset
from agents.sb3 import make_model, make_training_env
from fuzz_parts.garbage import shown, thing
from fuzz_parts.verdict import Case, require
from gan_backbones import BACKBONES, build
from gan_env import EnvConfig
from gan_env.config import make_options
from gan_env.latent_config import BanditConfig, BoxConfig

_SMALL = {"suite": "ring", "updates_per_step": 1, "decisions": 4, "backbone_options": (("width", 8),)}
_LEARNERS = ("dqn", "ppo", "sac", "qrdqn", "tqc", "a2c")
_LEARNER_OPTIONS = (
    "buffer_size",
    "batch_size",
    "n_steps",
    "learning_rate",
    "gamma",
    "policy_kwargs",
    "train_freq",
    "net",
)


class EnvironmentOptions:
    """``EnvConfig(**options)`` and those of the latent environments; also the options of backbones."""

    def __init__(self, place: Path) -> None:
        self._kinds = (EnvConfig, EnvConfig, EnvConfig, BanditConfig, BoxConfig)

    def case(self, rng: random.Random) -> Case:
        if rng.random() < 0.15:
            return self._backbone(rng)
        kind = rng.choice(self._kinds)
        names = [field.name for field in dataclasses.fields(kind)]
        options = {rng.choice(names): thing(rng) for _ in range(rng.choice((1, 1, 2, 3)))}
        if kind is not EnvConfig:
            options.setdefault("gan", "gan.safetensors")

        def make() -> None:
            config = make_options(kind, options)
            if isinstance(config, EnvConfig):
                config.resolved_suite().instances("test")
                config.observer()

        return Case(f"{kind.__name__}({shown(options)})", make)

    def _backbone(self, rng: random.Random) -> Case:
        name = rng.choice(list(BACKBONES))
        names = [field.name for field in dataclasses.fields(BACKBONES[name].options)]
        options = {rng.choice(names): thing(rng) for _ in range(rng.choice((1, 2)))}
        options = {key: value for key, value in options.items() if not isinstance(value, int) or value < 100}
        shape = rng.choice(((2,), (1, 16, 16), (3, 32, 32), (3, 17, 16), (), (0,), (-1, 16, 16), (3, 16)))
        return Case(f"build({name!r}, {shape}, {shown(options)})", lambda: build(name, shape, **options))


class LearnerOptions:
    """``--algo-options`` of Stable-Baselines3's classes."""

    def __init__(self, place: Path) -> None:
        self._envs = {
            action_type: make_training_env(2, _SMALL | {"action_type": action_type})
            for action_type in ("discrete", "continuous")
        }

    def case(self, rng: random.Random) -> Case:
        name = rng.choice([name for name in _LEARNERS if name in ALGORITHMS])
        env = self._envs[next(kind for kind in ALGORITHMS[name].action_types if kind in self._envs)]
        preset = dict(get_preset(name, "ring").algorithm) | {"device": "cpu"}
        preset.pop("device")
        known = [*preset, *_LEARNER_OPTIONS]
        options: dict[str, Any] = {rng.choice(known): thing(rng) for _ in range(rng.choice((1, 1, 2)))}

        def make() -> None:
            model = make_model(name, env, 0, preset | options)
            require(model is not None, "no model")

        return Case(f"{name} {shown(options)}", make)
