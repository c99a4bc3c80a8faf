"""Files of tensors that users exchange: checkpoints of GANs, policies, stages of RAL. Spoilt, or made to deceive."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from safetensors.torch import save

from agents.policies.policy import load_policy
from agents.ral.images import load_weights, save_weights
from fuzz_parts.garbage import SPOILT_JSON, shown, spoil, spoil_tree
from fuzz_parts.samples import write_gan, write_policy
from fuzz_parts.verdict import Case, require
from gan_backbones import load_gan
from gan_backbones.tensor_file import digest_tensors, read_tensors
from gan_env.knobs import ACTION_TYPES

_DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool, torch.complex64)


class TensorFile:
    """Spoils one file and reads it. A spoilt byte must be refused; what was written anew may be taken if it is sane."""

    def __init__(self, place: Path, original: Path, use: Callable[[Path], object]) -> None:
        self._path, self._use = place / "spoilt.safetensors", use
        use(original)  # what is right is taken
        self._content = original.read_bytes()
        self._tensors, self._metadata = read_tensors(original)

    def case(self, rng: random.Random) -> Case:
        kind = rng.choice(
            (self._bytes, self._bytes, self._json, self._json, self._tensor, self._metadata_text, self._header)
        )
        title, content, whole = kind(rng)

        def run() -> None:
            self._path.write_bytes(content)
            self._use(self._path)
            require(whole, "a spoilt file was taken")

        return Case(title, run)

    def _bytes(self, rng: random.Random) -> tuple[str, bytes, bool]:
        what, content = spoil(self._content, rng)
        return what, content, False

    def _json(self, rng: random.Random) -> tuple[str, bytes, bool]:
        metadata, whats = self._metadata, []
        for _ in range(rng.choice((1, 1, 3))):
            what, metadata = spoil_tree(metadata, rng)
            whats.append(what)

        return f"description {', '.join(whats)}", signed(self._tensors, json.dumps(metadata)), True

    def _tensor(self, rng: random.Random) -> tuple[str, bytes, bool]:
        tensors = dict(self._tensors)
        name = rng.choice(list(tensors))
        tensor = tensors[name]
        kind = rng.choice(("value", "value", "value", "dtype", "shape", "missing", "more", "none"))
        if kind == "value" and tensor.is_floating_point():
            number = rng.choice((math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45))
            tensors[name] = torch.full_like(tensor, number) if rng.random() < 0.3 else _with(tensor, number)
        elif kind == "dtype":
            tensors[name] = tensor.to(rng.choice(_DTYPES))
        elif kind == "shape":
            shapes = (
                (*tensor.shape, 1),
                (0,),
                tuple(reversed(tensor.shape)),
                (1, *tensor.shape),
                (tensor.numel() + 1,),
            )
            tensors[name] = torch.zeros(rng.choice(shapes))
        elif kind == "missing":
            del tensors[name]
        elif kind == "more":
            tensors["generator.more"] = torch.zeros(3)
        else:
            tensors.clear()

        return f"tensor {name}: {kind}", signed(tensors, json.dumps(self._metadata)), True

    def _metadata_text(self, rng: random.Random) -> tuple[str, bytes, bool]:
        text = rng.choice(SPOILT_JSON).decode("utf-8", "replace")
        return f"description {shown(text)}", signed(self._tensors, text), True

    def _header(self, rng: random.Random) -> tuple[str, bytes, bool]:
        """The library's own description of the file, spoilt."""
        length = int.from_bytes(self._content[:8], "little")
        wrong = rng.choice((0, 1, length - 1, length + 1, len(self._content), 2**40, 2**63, 2**64 - 1))
        if rng.random() < 0.5:
            return f"header of {wrong} bytes", wrong.to_bytes(8, "little") + self._content[8:], False
        header = rng.choice(SPOILT_JSON)
        return (
            f"header {shown(header)}",
            len(header).to_bytes(8, "little") + header + self._content[8 + length :],
            False,
        )


class Checkpoints(TensorFile):
    """Checkpoints of GANs; one that is taken is asked for a sample and put into an environment."""

    def __init__(self, place: Path) -> None:
        super().__init__(place, write_gan(place / "gan.safetensors"), _use_gan)


class Policies:
    """Policies of every action type; one that is taken has to act."""

    def __init__(self, place: Path) -> None:
        self._files = [
            TensorFile(place, write_policy(place / f"{kind}.safetensors", kind), _use_policy) for kind in ACTION_TYPES
        ]

    def case(self, rng: random.Random) -> Case:
        return rng.choice(self._files).case(rng)


class Stages(TensorFile):
    """Weights of the stages of RAL."""

    def __init__(self, place: Path) -> None:
        module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        save_weights(place / "stage.safetensors", module)

        def use(path: Path) -> None:
            load_weights(path, module)
            require(
                all(value.isfinite().all() for value in module.state_dict().values()), "weights that are not finite"
            )

        super().__init__(place, place / "stage.safetensors", use)


def signed(tensors: dict[str, torch.Tensor], text: str) -> bytes:
    """A file with a right checksum whatever it holds, as somebody would write it who wants it to be read."""
    return save(tensors, metadata={"json": text, "sha256": digest_tensors(tensors, text)})


def _with(tensor: torch.Tensor, number: float) -> torch.Tensor:
    changed = tensor.clone()
    changed.view(-1)[0] = number
    return changed


def _use_gan(path: Path) -> None:
    generator, _, meta = load_gan(path)
    if not meta.is_image:
        generator(torch.zeros(2, meta.latent_size))
        return
    for env_id, options in (("GanLatentBandit-v0", {"codes": 5}), ("GanLatentBox-v0", {})):
        env = gym.make(
            f"gan_env:{env_id}", gan=path, disable_env_checker=True, reward="discriminator=1,contrast=1", **options
        )
        observation, _ = env.reset(seed=0)
        for _ in range(2):
            observation, reward, *_ = env.step(env.action_space.sample())
            require(np.isfinite(observation).all() and np.isfinite(reward), f"not finite: {observation}, {reward}")


def _use_policy(path: Path) -> None:
    policy = load_policy(path)
    observer = policy.spec.observer()
    actions, _ = policy.act(np.zeros((1, len(observer.names)), np.float32))
    require(np.isfinite(actions).all(), f"actions {actions}")
