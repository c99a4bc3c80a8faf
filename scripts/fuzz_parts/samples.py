"""Small files that are right, to be spoilt."""

from __future__ import annotations

from pathlib import Path

import torch

from agents.policies.network import Layer
from agents.policies.policy import Policy, PolicySpec
from gan_backbones import GanMeta, build, save_gan
from gan_backbones.backbone import initialise
from gan_env.knobs import RATE_KNOBS, ActionCodec
from gan_env.observation import Observer, feature_table

GAN_SHAPE, GAN_OPTIONS = (1, 16, 16), {"latent_size": 4, "width": 2}


def write_gan(path: Path) -> Path:
    """A convolutional GAN of digits that nobody trained."""
    pair = build("dcgan", GAN_SHAPE, **GAN_OPTIONS)
    for index, network in enumerate((pair.generator, pair.discriminator)):
        initialise(network, torch.Generator().manual_seed(index))
    save_gan(path, pair.generator, pair.discriminator, GanMeta("dcgan", GAN_OPTIONS, GAN_SHAPE, 4, {"data": "digits"}))
    return path


def write_policy(path: Path, action_type: str) -> Path:
    """A policy of two linear layers."""
    codec = ActionCodec(action_type, RATE_KNOBS)
    features = feature_table(RATE_KNOBS, ("default",))
    inputs = len(Observer(RATE_KNOBS, ("default",), 3, 1).names)
    outputs = sum(codec.choices) or len(RATE_KNOBS)
    spec = PolicySpec(
        knobs=RATE_KNOBS,
        groups=("default",),
        history=3,
        action_type=action_type,
        moves=codec.moves,
        decisions=5,
        layers=(Layer("linear", (inputs, 4)), Layer("tanh"), Layer("linear", (4, outputs))),
        seen={feature.name: (-1.0, 1.0) for feature in features},
    )
    rng = torch.Generator().manual_seed(0)
    shapes = {"0.weight": (4, inputs), "0.bias": (4,), "2.weight": (outputs, 4), "2.bias": (outputs,)}
    weights = {f"layers.{name}": torch.randn(shape, generator=rng) for name, shape in shapes.items()}
    Policy(spec, weights).save(path)
    return path
