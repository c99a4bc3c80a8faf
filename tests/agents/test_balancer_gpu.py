"""The balancer beside a GAN on a GPU; marked, and run where there is one."""

import functools
import warnings

import numpy as np
import pytest
import torch
from torch import nn, optim

from agents.balancer import Balancer
from tests.agents.deployed import varied

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
OPTIMIZERS = {
    "adam": optim.Adam,
    "fused": functools.partial(optim.Adam, fused=True),
    "capturable": functools.partial(optim.Adam, capturable=True),
    "sgd": optim.SGD,
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_host_waits_at_decisions_alone(make):
    networks = [nn.Linear(4, 1, device="cuda") for _ in range(2)]
    optimizers = [make(network.parameters(), lr=1e-3) for network in networks]
    balancer = Balancer(varied()).attach(*optimizers, total_updates=100, decisions=2)
    for network, optimizer in zip(networks, optimizers, strict=True):
        network(torch.randn(8, 4, device="cuda")).sum().backward()
        optimizer.step()
    losses, logits = torch.randn(2, device="cuda"), torch.randn(2, 8, device="cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(49):
            balancer.update(*losses, *logits)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    before = balancer.observation
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            balancer.update(*losses, *logits)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert len([one for one in waits if "synchronizing" in str(one.message)]) == 1
    assert not np.array_equal(balancer.observation, before) and np.isfinite(balancer.observation).all()
