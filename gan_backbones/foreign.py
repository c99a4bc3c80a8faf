"""GAN pairs of ordinary PyTorch modules, written elsewhere: checked once, then trained like any other backbone."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_backbones.backbone import Backbone, Discriminator, GanPair, global_seed, register_backbone

BuildFunction = Callable[[tuple[int, ...]], tuple[nn.Module, nn.Module]]
_PROBE = 4  # samples; more than one, so that batch norm has a variance


@dataclass(frozen=True)
class NoOptions:
    """Such pairs take no options."""


def register_gan(
    name: str, build: BuildFunction, *, latent_size: int, example_shape: tuple[int, ...] = (3, 32, 32)
) -> None:
    """Make a pair of PyTorch modules a backbone by the name ``name``.

    ``build(sample_shape)`` returns a fresh generator and a fresh discriminator, initialised as their author wants,
    and is called once for every episode. The generator maps ``(batch, latent_size)`` to ``(batch, *sample_shape)``,
    images in [-1, 1]; the discriminator maps these to one logit per sample, positive for real. A discriminator with
    methods ``features`` and ``classify`` (:class:`~gan_backbones.backbone.Discriminator`) is asked for its features
    where a regulariser compares them; of any other, the logit is the one feature.

    The pair is built and tried here for ``example_shape``, and later once for every other shape. ``ValueError`` says
    in one line what is wrong: a shape, values that are not finite or out of range, a parameter without a gradient,
    weights or outputs that differ between two runs from the same seed, such as those of dropout.
    """
    checked: set[tuple[int, ...]] = set()

    def build_pair(sample_shape: tuple[int, ...], options: NoOptions) -> GanPair:
        if sample_shape not in checked:
            with global_seed(0):  # a pair that draws from torch's generator shall not move the caller's
                check_gan(name, build, latent_size, sample_shape)
            checked.add(sample_shape)
        rebuild = functools.partial(_build, build, sample_shape)
        with global_seed(0):
            generator, discriminator = rebuild()
        return GanPair(generator, discriminator, latent_size, stackable=False, rebuild=rebuild)

    build_pair(tuple(example_shape), NoOptions())
    register_backbone(Backbone(name, NoOptions, build_pair))


class PlainDiscriminator(nn.Module):
    """A module that gives logits of any shape with one number per sample, as a :class:`Discriminator`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def features(self, samples: Tensor) -> Tensor:
        """``(batch, *sample_shape) -> (batch, 1)``: the logit."""
        logits: Tensor = self.module(samples)
        return logits.reshape(len(samples), 1)

    def classify(self, features: Tensor) -> Tensor:
        return features.squeeze(-1)

    def forward(self, samples: Tensor) -> Tensor:
        return self.classify(self.features(samples))


def check_gan(name: str, build: BuildFunction, latent_size: int, sample_shape: tuple[int, ...]) -> None:
    """Build and try a pair; ``ValueError`` in one line where the population could not train it as it is."""

    def fail(reason: str) -> ValueError:
        return ValueError(f"backbone {name!r} for samples of shape {sample_shape}: {reason}")

    pairs = []
    for _ in range(2):
        with global_seed(1):
            try:
                pairs.append(_build(build, sample_shape))
            except (TypeError, RuntimeError, AttributeError) as error:
                raise fail(f"build failed: {error}") from error
    for one, other in zip(*pairs, strict=True):
        parameters = dict(one.named_parameters())
        frozen = [key for key, parameter in parameters.items() if not parameter.requires_grad]
        if not parameters or frozen:
            raise fail(f"{frozen[0]} is frozen; make it a buffer" if frozen else "both networks need parameters")
        for key, value in one.state_dict().items():
            if not torch.equal(value, other.state_dict()[key]):
                raise fail(f"{key} differs between two builds from one seed; draw weights from torch's own generator")

    generator, discriminator = pairs[0]
    latents = torch.randn(_PROBE, latent_size, generator=torch.Generator().manual_seed(2))
    try:
        samples = generator(latents)
    except (TypeError, RuntimeError) as error:
        raise fail(f"the generator does not take latents of shape {tuple(latents.shape)}: {error}") from error
    if not isinstance(samples, Tensor) or tuple(samples.shape) != (_PROBE, *sample_shape):
        raise fail(f"the generator gave {getattr(samples, 'shape', samples)!r} for {_PROBE} latents")
    if not samples.isfinite().all() or (len(sample_shape) == 3 and samples.abs().max() > 1 + 1e-6):
        raise fail("the generator's images must be finite and lie in [-1, 1]; let it end with tanh")
    try:
        logits = discriminator(samples)
    except (TypeError, RuntimeError) as error:
        raise fail(f"the discriminator must give one logit per sample: {error}") from error
    if tuple(logits.shape) != (_PROBE,) or not logits.isfinite().all():
        raise fail(f"the discriminator must give one finite logit per sample, not shape {tuple(logits.shape)}")
    for what, network in (("generator", generator), ("discriminator", discriminator)):
        names, leaves = zip(*network.named_parameters(), strict=True)
        gradients = torch.autograd.grad(logits.sum(), leaves, retain_graph=True, allow_unused=True)
        idle = [key for key, gradient in zip(names, gradients, strict=True) if gradient is None]
        if idle:
            raise fail(f"parameter {idle[0]} of the {what} gets no gradient; remove it or use it")

    generator, discriminator = pairs[1]
    outputs = []
    for _ in range(2):
        with torch.no_grad():
            fresh = copy.deepcopy(generator)(latents)
            outputs.append((fresh, copy.deepcopy(discriminator)(fresh)))
    if any(not torch.equal(one, other) for one, other in zip(*outputs, strict=True)):
        raise fail("a forward pass draws random numbers (dropout, noise); rows could not be reproduced")
    samples, together = outputs[0]
    with torch.no_grad():
        halves = [copy.deepcopy(discriminator)(half) for half in samples.chunk(2)]
    if not torch.allclose(torch.cat(halves), together, rtol=1e-3, atol=1e-4):
        raise fail(
            "the discriminator's verdict on a sample depends on the others of its batch (batch norm?); real and "
            "generated samples are judged as one batch, so use instance or group norm"
        )


def _build(build: BuildFunction, sample_shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    generator, discriminator = build(sample_shape)
    answers = isinstance(discriminator, Discriminator)
    return generator, discriminator if answers else PlainDiscriminator(discriminator)
