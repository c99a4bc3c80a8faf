"""What the tests of layers share."""

import copy

import torch
from torch import nn


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stack(layers):
    """One layer whose parameters and buffers have a leading replica axis."""
    stacked = copy.deepcopy(layers[0])
    for path, module in stacked.named_modules():
        twins = [layer.get_submodule(path) for layer in layers]
        for name in module._parameters:
            if module._parameters[name] is not None:
                module._parameters[name] = nn.Parameter(torch.stack([twin._parameters[name] for twin in twins]).data)
        for name in module._buffers:
            module._buffers[name] = torch.stack([twin._buffers[name] for twin in twins])
    return stacked


def close(actual, expected, tolerance=1e-10):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)
