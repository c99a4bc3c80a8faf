"""What the tests of the balancer share: policies of known behaviour, and a GAN loop as its users write theirs."""

import copy
import dataclasses

import torch
import torch.nn.functional as F

from agents.balancer import Balancer
from agents.policies.network import Layer
from agents.policies.policy import Policy, PolicySpec
from gan_env.knobs import RATE_KNOBS, ActionCodec
from gan_env.observation import Observer, feature_table

WIDE = (-1e9, 1e9)


def spec(action_type="discrete", knobs=RATE_KNOBS, groups=("default",), history=3, decisions=5, **changes):
    """Of a policy with one linear layer."""
    codec = ActionCodec(action_type, knobs)
    inputs = len(Observer(knobs, groups, history, 1).names)
    outputs = sum(codec.choices) or len(knobs)
    made = PolicySpec(
        knobs=knobs,
        groups=groups,
        history=history,
        action_type=action_type,
        moves=codec.moves,
        decisions=decisions,
        layers=(Layer("linear", (inputs, outputs)),),
        seen={feature.name: WIDE for feature in feature_table(knobs, groups)},
    )
    return dataclasses.replace(made, **changes)


def always(action, **options):
    """A policy that takes one action whatever it sees: an index, or the continuous values."""
    made = spec(**options)
    inputs, outputs = made.layers[0].sizes
    bias = F.one_hot(torch.tensor(action), outputs).float() if isinstance(action, int) else torch.tensor(action)
    return Policy(made, {"layers.0.weight": torch.zeros(outputs, inputs), "layers.0.bias": bias})


def varied(seed=0, **options):
    """A policy whose actions depend on what it sees."""
    made = spec(**options)
    inputs, outputs = made.layers[0].sizes
    rng = torch.Generator().manual_seed(seed)
    weights = {"layers.0.weight": (outputs, inputs), "layers.0.bias": (outputs,)}
    return Policy(made, {name: torch.randn(shape, generator=rng) for name, shape in weights.items()})


class Loop:
    """A small GAN on noise."""

    def __init__(self, optimizer=torch.optim.Adam, lr_g=1e-3, lr_d=1e-3, **options):
        torch.manual_seed(0)
        self.generator = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        self.discriminator = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        self.optimizer_g = optimizer(self.generator.parameters(), lr=lr_g, **options)
        self.optimizer_d = optimizer(self.discriminator.parameters(), lr=lr_d, **options)
        self.rng = torch.Generator().manual_seed(1)

    @property
    def optimizers(self):
        return self.optimizer_g, self.optimizer_d

    @property
    def rates(self):
        return tuple(one.param_groups[0]["lr"] for one in self.optimizers)

    def step(self, real=None, latents=None):
        """One update; gives the arguments of ``Balancer.update``."""
        real = torch.randn(16, 2, generator=self.rng) + 1 if real is None else real
        fake = self.generator(torch.randn(16, 2, generator=self.rng) if latents is None else latents)
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake.detach())
        loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        self.optimizer_d.zero_grad()
        loss_d.backward()
        self.optimizer_d.step()
        loss_g = F.softplus(-self.discriminator(fake)).mean()
        self.optimizer_g.zero_grad()
        loss_g.backward()
        self.optimizer_g.step()
        return loss_g, loss_d, real_logits, fake_logits


def adopted(generator, discriminator, lr_g, lr_d):
    """A loop around two given networks, copied, with Adam as the environments have it."""
    loop = Loop()
    loop.generator, loop.discriminator = (copy.deepcopy(one).train() for one in (generator, discriminator))
    for network in (loop.generator, loop.discriminator):
        network.requires_grad_(True)
    loop.optimizer_g = torch.optim.Adam(loop.generator.parameters(), lr=lr_g, betas=(0.5, 0.999))
    loop.optimizer_d = torch.optim.Adam(loop.discriminator.parameters(), lr=lr_d, betas=(0.5, 0.999))
    return loop


def run(balancer, loop, updates):
    """Knobs after each update."""
    trace = []
    for _ in range(updates):
        balancer.update(*loop.step())
        trace.append(tuple(balancer.knobs.values()))
    return trace


def steer(seed):
    """Knobs after each of 12 updates on data of this seed, under a policy that looks at them."""
    loop = Loop()
    loop.rng.manual_seed(seed)
    balancer = Balancer(varied(action_type="continuous"))
    return run(balancer.attach(*loop.optimizers, total_updates=12, decisions=6), loop, 12)
