"""What an agent does to an environment: actions, resets, and GANs whose weights have gone wrong."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from fuzz_parts.garbage import shown, thing
from fuzz_parts.samples import write_gan
from fuzz_parts.verdict import Case, in_gymnasium, require
from gan_env.knobs import ACTION_TYPES

_SMALL = {"suite": "ring", "updates_per_step": 2, "decisions": 6, "backbone_options": (("width", 8),)}
_KNOBS = ("lr_g,lr_d", "lr_g,lr_d,fm_weight", "lr_g,lr_d,r1_weight,update_ratio")
_ROWS = 3
_DTYPES = (
    np.float16,
    np.float32,
    np.float64,
    np.int8,
    np.int64,
    np.uint8,
    np.uint64,
    np.bool_,
    np.complex64,
    object,
    "M8[s]",
    "m8[s]",
    "U5",
)


class Actions:
    """Steps and resets. No reward or observation may be other than finite, and an environment survives a refusal."""

    def __init__(self, place: Path) -> None:
        self._envs: list[tuple[str, Any, bool]] = []
        for index, action_type in enumerate(ACTION_TYPES):
            options = _SMALL | {"action_type": action_type, "knobs": _KNOBS[index % len(_KNOBS)]}
            self._add("gan_env:GanBalanceEnv-v0", options, action_type)
        gan = write_gan(place / "gan.safetensors")
        shared = {"gan": str(gan), "pulls": 5}
        self._add("gan_env:GanLatentBandit-v0", shared | {"codes": 7, "observation": "last"}, "codes")
        self._add("gan_env:GanLatentBox-v0", shared | {"noise": 0.1, "reward": "discriminator=1,diversity=0.5"}, "box")

    def _add(self, env_id: str, options: dict[str, Any], name: str) -> None:
        self._envs.append((f"{name}, one", gym.make(env_id, disable_env_checker=True, **options).unwrapped, False))
        for mode in ("NextStep", "SameStep", "Disabled"):
            many = gym.make_vec(env_id, _ROWS, "vector_entry_point", autoreset_mode=mode, **options)
            self._envs.append((f"{name}, {_ROWS}, {mode}", many, True))

    def case(self, rng: random.Random) -> Case:
        name, env, many = rng.choice(self._envs)
        dice = rng.random()
        if dice < 0.12:
            arguments = self._reset_arguments(rng, many)
            return in_gymnasium(f"{name}: reset({shown(arguments)})", lambda: self._reset(env, arguments, many))
        if dice < 0.5:
            actions = [self._extreme(env, rng) for _ in range(rng.choice((2, 2, 7)))]
            poison = (
                rng.choice((math.nan, math.inf, 1e30, -1e38))
                if dice < 0.22 and hasattr(env.core, "population")
                else None
            )
            title = f"{name}: extreme actions, weights {poison}" if poison is not None else f"{name}: extreme actions"
            return in_gymnasium(title, lambda: self._play(env, actions, many, poison))
        action = self._garbage(env, rng, many)
        return in_gymnasium(f"{name}: {shown(action)}", lambda: self._play(env, [action], many, None))

    def _reset_arguments(self, rng: random.Random, many: bool) -> dict[str, Any]:
        seeds = (thing(rng), rng.choice((-1, 2**64, 2**31, [1, 2], [1, None, 3], [thing(rng)] * _ROWS)))
        masks = (thing(rng), np.zeros(_ROWS, bool), np.array([True, False, True]), np.ones(_ROWS, int))
        options = rng.choice(
            (
                {},
                {"reset_mask": rng.choice(masks)},
                {"instance": thing(rng)},
                {"instance": [None] * _ROWS},
                {"x": 1},
                thing(rng),
            )
        )
        return rng.choice(
            ({"seed": rng.choice(seeds)}, {"options": options}, {"seed": rng.choice(seeds), "options": options})
        )

    def _extreme(self, env: Any, rng: random.Random) -> Any:
        """An action of the space, on its border or anywhere."""
        space = env.action_space
        if isinstance(space, gym.spaces.Box):
            return np.full(space.shape, rng.choice((-1.0, 1.0)), np.float32) if rng.random() < 0.7 else space.sample()
        return space.sample()

    def _garbage(self, env: Any, rng: random.Random, many: bool) -> Any:
        sample = np.asarray(env.action_space.sample())
        makers = (
            lambda: thing(rng),
            lambda: sample.astype(rng.choice(_DTYPES)),
            lambda: np.full(sample.shape, rng.choice((math.nan, math.inf, -math.inf, 1e30, 1.0001, -2, 5, 999, -1))),
            lambda: np.full(sample.shape, rng.choice((2**40, -1, 127)), np.int64),
            lambda: np.zeros((*sample.shape, 2), sample.dtype),
            lambda: sample[None],
            lambda: np.concatenate([sample.reshape(-1), sample.reshape(-1)]),
            lambda: np.zeros(0, sample.dtype),
            lambda: [[1, 2], [3]],
            lambda: [sample.tolist(), None],
            lambda: torch.ones(sample.shape, requires_grad=True),
            lambda: torch.full(sample.shape, math.nan),
            lambda: np.ma.masked_all(sample.shape),
            lambda: [thing(rng) for _ in range(_ROWS)],
            lambda: {0: 1},
            lambda: (step for step in range(3)),
        )
        with np.errstate(all="ignore"):
            try:
                return rng.choice(makers)()
            except (TypeError, ValueError, OverflowError):  # no such array
                return None

    def _play(self, env: Any, actions: list[Any], many: bool, poison: float | None) -> None:
        _check(env.reset(seed=0)[0], 0.0)
        if poison is not None:
            _poison(env, poison)
        try:
            for action in actions:
                observation, reward, terminated, _, info = env.step(action)
                _check(observation, reward)
                for final in info.get("final_obs", ()) if isinstance(info, dict) else ():
                    _check(0.0 if final is None else final, 0.0)
                ended = np.any(terminated)
                if ended and (not many or str(env.metadata["autoreset_mode"].value) == "Disabled"):
                    _check(env.reset()[0], 0.0)
        finally:
            env.reset(seed=1)
            observation, reward, *_ = env.step(env.action_space.sample())
            _check(observation, reward)

    def _reset(self, env: Any, arguments: dict[str, Any], many: bool) -> None:
        try:
            _check(env.reset(**arguments)[0], 0.0)
        finally:
            self._play(env, [], many, None)


def _check(observation: Any, reward: Any) -> None:
    require(np.isfinite(np.asarray(observation, dtype=np.float64)).all(), f"not finite: observation {observation}")
    require(np.isfinite(np.asarray(reward, dtype=np.float64)).all(), f"not finite: reward {reward}")


def _poison(env: Any, value: float) -> None:
    population, data = env.core.population, env.core.data_of(0)
    state = population.state_dict()
    for tensor in state["tensors"][:2]:
        tensor.view(-1)[3] = value
    population.load_state_dict(state, {data.fingerprint: data})
