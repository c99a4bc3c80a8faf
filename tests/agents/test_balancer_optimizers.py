"""What a balancer makes of optimizers of different classes: the size of their steps, and what their rates mean."""

import functools
import math
import warnings

import numpy as np
import pytest
import torch
from torch import optim

from agents.balancer import Balancer
from gan_env.knobs import ACTION_TYPES, NAMING_VALUES
from tests.agents.deployed import Loop, always, run, varied

OPTIMIZERS = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
    "sgd": optim.SGD,
    "sgd, momentum": functools.partial(optim.SGD, momentum=0.9),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_update_ratios_are_those_of_the_last_steps(make):
    loop = Loop(make)
    balancer = Balancer(varied(history=1)).attach(*loop.optimizers, total_updates=100, decisions=4)
    for _ in range(3):
        run(balancer, loop, 24)
        before = [torch.nn.utils.parameters_to_vector(one.parameters()) for one in (loop.generator, loop.discriminator)]
        before = [weights.detach().clone() for weights in before]
        run(balancer, loop, 1)
        for name, old, network in zip("gd", before, (loop.generator, loop.discriminator), strict=True):
            new = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
            expected = (math.log10((new - old).norm() / new.norm()) + 2.5) / 1.5
            found = balancer.observation[balancer._observer.names.index(f"update_ratio_{name}")]
            assert found == pytest.approx(np.clip(expected, -2, 2), abs=2e-2)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_decision_after_every_update_has_measured_it(make):
    loop = Loop(make)
    balancer = Balancer(varied(history=1)).attach(*loop.optimizers, total_updates=6, decisions=6)
    names = [f"update_ratio_{player}" for player in "gd"]
    for _ in range(5):
        run(balancer, loop, 1)
        assert all(balancer.observation[balancer._observer.names.index(name)] > -2 for name in names)
    run(balancer, loop, 1)
    assert not any(one.watching for one in balancer.optimizers), "nothing is measured for nobody"


class Accumulating(Loop):
    """Its optimizers step once in so many updates."""

    def __init__(self, every, make):
        super().__init__(make)
        self.every, self.updates, self.moved = every, 0, {}
        for optimizer in self.optimizers:
            optimizer.zero_grad = lambda: None
            optimizer.step = functools.partial(self.maybe, optimizer, optimizer.step)

    def maybe(self, optimizer, step):
        if self.updates % self.every == self.every - 1:
            weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            before = torch.nn.utils.parameters_to_vector(weights).detach().clone()
            step()
            after = torch.nn.utils.parameters_to_vector(weights).detach()
            self.moved[optimizer] = (after - before).norm(), after.norm()
            for weight in weights:
                weight.grad = None

    def step(self):
        told = super().step()
        self.updates += 1
        return told


@pytest.mark.parametrize("make", [optim.SGD, optim.RMSprop], ids=["sgd", "rmsprop"])
@pytest.mark.parametrize("every", [1, 32, 64])
def test_with_accumulation_the_last_step_before_a_decision_is_measured(every, make):
    loop = Accumulating(every, make)
    balancer = Balancer(always(0, history=1)).attach(*loop.optimizers, total_updates=500, decisions=10)
    for decision in range(1, 10):
        run(balancer, loop, 50)
        for name, optimizer in zip("gd", loop.optimizers, strict=True):
            found = balancer.observation[balancer._observer.names.index(f"update_ratio_{name}")]
            if 50 * decision < every:
                assert found == -2, "there was no step yet"
                continue
            moved, weights = loop.moved[optimizer]
            expected = (math.log10(moved / weights) + 2.5) / 1.5
            assert found == pytest.approx(np.clip(expected, -2, 2), abs=1e-4) and found > -2


def test_few_steps_are_measured_where_decisions_are_rare():
    loop = Accumulating(4, optim.SGD)
    balancer = Balancer(always(0)).attach(*loop.optimizers, total_updates=2000, decisions=2)
    watched = 0
    for _ in range(1000):
        balancer.update(*loop.step())
        watched += balancer.optimizers[0].watching
    assert 0 < watched <= 50


@pytest.mark.parametrize("action_type", ACTION_TYPES)
def test_named_rates_are_refused_beside_a_scheduler(action_type):
    loop = Loop()
    policy = varied(action_type=action_type)
    if action_type not in NAMING_VALUES:
        Balancer(policy).attach(*loop.optimizers, total_updates=9, beside_scheduler=True)
        return
    with pytest.raises(ValueError, match=f"^action type '{action_type}' names rates; beside a scheduler .*$"):
        Balancer(policy).attach(*loop.optimizers, total_updates=9, beside_scheduler=True)
    assert loop.rates == (1e-3, 1e-3) and not loop.optimizer_g._optimizer_step_pre_hooks


@pytest.mark.parametrize("action_type", ["continuous", *NAMING_VALUES])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_named_rates_are_those_of_adam(action_type, make):
    loop = Loop(make)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Balancer(varied(action_type=action_type)).attach(*loop.optimizers, total_updates=9)
    foreign = isinstance(loop.optimizer_g, optim.SGD) and action_type in NAMING_VALUES
    assert [str(one.message) for one in told] == foreign * [
        f"action type '{action_type}' names rates, those of Adam; SGD may need others"
    ]
    assert all(one.filename == __file__ for one in told)
