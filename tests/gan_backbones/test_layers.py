"""Layers against PyTorch's own, and the stacked form against the plain one."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan_backbones.layers import (
    BatchNorm2d,
    Conv2d,
    DownConv2d,
    Linear,
    SpectralNorm,
    UpConv2d,
    correlate,
    scatter,
)
from tests.gan_backbones.layer_tools import close, normal, stack

REPLICAS, BATCH = 3, 5

LAYERS = {
    "linear": (lambda: Linear(6, 4), (6,)),
    "linear without bias": (lambda: Linear(6, 4, bias=False), (6,)),
    "linear, normal start": (lambda: Linear(6, 4, init_std=0.02), (6,)),
    "linear, spectral norm": (lambda: Linear(6, 4, spectral_norm=True), (6,)),
    "batch norm": (lambda: BatchNorm2d(3), (3, 4, 4)),
    "down": (lambda: DownConv2d(3, 2), (3, 8, 8)),
    "down without bias": (lambda: DownConv2d(3, 2, bias=False), (3, 8, 8)),
    "down, spectral norm": (lambda: DownConv2d(3, 4, spectral_norm=True), (3, 4, 8)),
    "up": (lambda: UpConv2d(3, 2), (3, 4, 4)),
    "up without bias": (lambda: UpConv2d(3, 2, bias=False), (3, 2, 4)),
    "dense": (lambda: Conv2d(3, 2, 3), (3, 4, 5)),
    "dense, 5 pixels": (lambda: Conv2d(3, 2, 5, bias=False), (3, 4, 4)),
    "depthwise": (lambda: Conv2d(3, 3, 3, depthwise=True), (3, 4, 5)),
    "depthwise, 7 pixels": (lambda: Conv2d(3, 3, 7, depthwise=True, bias=False), (3, 4, 4)),
    "pointwise": (lambda: Conv2d(3, 2, 1), (3, 4, 5)),
    "pointwise without bias": (lambda: Conv2d(3, 2, 1, bias=False), (3, 4, 4)),
}


def plain_layers(name):
    """Different copies of a layer, no parameter left at a value that hides mistakes."""
    layers = []
    for seed in range(REPLICAS):
        layer = LAYERS[name][0]().double()
        layer.reset_parameters(torch.Generator().manual_seed(seed))
        with torch.no_grad():
            for index, parameter in enumerate(layer.parameters()):
                parameter.add_(0.1 * normal(*parameter.shape, seed=10 * seed + index))
        layers.append(layer)
    return layers


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_stacked_equals_plain(name, training):
    layers = plain_layers(name)
    for layer in layers:  # buffers away from their first values
        layer(normal(BATCH, *LAYERS[name][1], seed=50))
    stacked = stack(layers)
    for layer in (*layers, stacked):
        layer.train(training)
    inputs = normal(REPLICAS, BATCH, *LAYERS[name][1], seed=99).requires_grad_()
    singles = [x.detach().requires_grad_() for x in inputs]

    together = stacked(inputs)
    apart = [layer(x) for layer, x in zip(layers, singles, strict=True)]
    close(together, torch.stack(apart))

    weights = normal(*together.shape, seed=7)
    (together * weights).sum().backward()
    for output, weight in zip(apart, weights, strict=True):
        (output * weight).sum().backward()
    close(inputs.grad, torch.stack([x.grad for x in singles]))
    for path, parameter in stacked.named_parameters():
        close(parameter.grad, torch.stack([layer.get_parameter(path).grad for layer in layers]))
    for path, buffer in stacked.named_buffers():
        close(buffer, torch.stack([layer.get_buffer(path) for layer in layers]))


@pytest.mark.parametrize("name", LAYERS)
def test_reset_depends_on_the_generator_alone(name):
    first, second, other = (LAYERS[name][0]() for _ in range(3))
    second(torch.zeros(BATCH, *LAYERS[name][1]))  # buffers that have moved are reset, too
    for layer, seed in ((first, 1), (second, 1), (other, 2)):
        layer.reset_parameters(torch.Generator().manual_seed(seed))
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert not torch.equal(first.weight, other.weight)


@pytest.mark.parametrize("name", LAYERS)
def test_evaluation_mode_leaves_buffers_unchanged(name):
    layers = plain_layers(name)
    for layer in (layers[0], stack(layers)):
        before = copy.deepcopy(list(layer.buffers()))
        shape = (*layer.weight.shape[:1], BATCH) if layer.weight.dim() > layers[0].weight.dim() else (BATCH,)
        inputs = 3 + normal(*shape, *LAYERS[name][1])
        layer.eval()(inputs)
        assert all(torch.equal(a, b) for a, b in zip(before, layer.buffers(), strict=True))
        layer.train()(inputs)
        assert all(not torch.equal(a, b) for a, b in zip(before, layer.buffers(), strict=True))


def test_linear_starts_like_torch():
    layer = Linear(50, 400)
    layer.reset_parameters(torch.Generator().manual_seed(0))
    bound = 50**-0.5
    for parameter in (layer.weight.detach(), layer.bias.detach()):
        assert parameter.abs().max() <= bound
        assert parameter.abs().max() > 0.95 * bound
        assert abs(float(parameter.mean())) < 0.15 * bound
    normal_layer = Linear(50, 400, init_std=0.02)
    normal_layer.reset_parameters(torch.Generator().manual_seed(0))
    assert float(normal_layer.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert torch.equal(normal_layer.bias, torch.zeros(400))


@pytest.mark.parametrize("bias", [True, False])
def test_stacked_down_convolution_is_conv2d(bias):
    layer, inputs = DownConv2d(3, 2, bias=bias).double(), normal(REPLICAS, BATCH, 3, 6, 8)
    layer.weight = nn.Parameter(normal(REPLICAS, 2, 3, 4, 4, seed=1))
    if bias:
        layer.bias = nn.Parameter(normal(REPLICAS, 2, seed=2))
    expected = [
        F.conv2d(inputs[i], layer.weight[i], layer.bias[i] if bias else None, stride=2, padding=1)
        for i in range(REPLICAS)
    ]
    close(layer(inputs), torch.stack(expected))


@pytest.mark.parametrize("bias", [True, False])
def test_stacked_up_convolution_is_conv_transpose2d(bias):
    layer, inputs = UpConv2d(3, 2, bias=bias).double(), normal(REPLICAS, BATCH, 3, 3, 4)
    layer.weight = nn.Parameter(normal(REPLICAS, 3, 2, 4, 4, seed=1))
    if bias:
        layer.bias = nn.Parameter(normal(REPLICAS, 2, seed=2))
    expected = [
        F.conv_transpose2d(inputs[i], layer.weight[i], layer.bias[i] if bias else None, stride=2, padding=1)
        for i in range(REPLICAS)
    ]
    close(layer(inputs), torch.stack(expected))


@pytest.mark.parametrize(("kernel", "depthwise"), [(1, False), (3, False), (5, False), (3, True), (7, True)])
def test_convolutions_of_the_same_size_differentiate_twice(kernel, depthwise):
    layer = Conv2d(2, 2, kernel, depthwise=depthwise).double()
    shape = layer.weight.shape
    for replicas in ((), (2,)):
        layer.weight, layer.bias = nn.Parameter(normal(*replicas, *shape, seed=1)), nn.Parameter(normal(*replicas, 2))
        inputs = normal(*replicas, 1, 2, 2, 3, seed=2).requires_grad_()
        assert torch.autograd.gradcheck(layer, inputs)
        assert torch.autograd.gradgradcheck(lambda x: layer(x).square(), inputs)


@pytest.mark.parametrize("replicas", [1, 2])
def test_convolutions_of_the_same_size_leave_channels_last_in_memory(replicas):
    layer = Conv2d(4, 4, 3, depthwise=True, bias=False)
    layer.weight = nn.Parameter(normal(replicas, *layer.weight.shape).float())
    batch_last = normal(replicas, 4, 6, 6, 3).movedim(-1, 1).float()
    merged = layer(batch_last).transpose(0, 1).flatten(1, 2)
    assert merged.is_contiguous(memory_format=torch.channels_last) and not merged.is_contiguous()


def test_a_convolution_keeps_the_scale_and_refuses_what_it_cannot_do():
    for layer in (Conv2d(48, 300, 3), Conv2d(300, 300, 3, depthwise=True), Conv2d(400, 300, 1)):
        layer.reset_parameters(torch.Generator().manual_seed(0))
        inputs = normal(2, layer.weight.shape[1] * layer.groups, 8, 8).float()
        assert float(layer(inputs).detach()[..., 1:-1, 1:-1].std()) == pytest.approx(1.0, abs=0.1)
        assert not layer.bias.any()
    with pytest.raises(ValueError, match="needs an odd kernel, not 4"):
        Conv2d(2, 2, 4)
    with pytest.raises(ValueError, match="keeps its channels; 2 in, 3 out"):
        Conv2d(2, 3, 3, depthwise=True)


MEMORY_ORDERS = {"channels first": (0, 1, 2, 3, 4), "channels last": (0, 1, 4, 2, 3), "batch last": (0, 4, 1, 2, 3)}


@pytest.mark.parametrize("shape", [(2, 3, 2, 4, 6), (2, 1, 2, 4, 4), (1, 3, 1, 4, 4), (2, 2, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("order", MEMORY_ORDERS)
def test_products_are_the_convolutions_whatever_the_memory_order(order, shape):
    axes = MEMORY_ORDERS[order]
    inputs = normal(*(shape[axis] for axis in axes)).permute([axes.index(axis) for axis in range(5)])
    assert inputs.shape == shape
    replicas, _, channels = shape[:3]
    kernels = normal(replicas, 4, channels, 4, 4, seed=1)
    expected = [F.conv2d(x, kernel, stride=2, padding=1) for x, kernel in zip(inputs, kernels, strict=True)]
    close(correlate(inputs, kernels), torch.stack(expected))
    kernels = normal(replicas, channels, 4, 4, 4, seed=1)
    expected = [F.conv_transpose2d(x, kernel, stride=2, padding=1) for x, kernel in zip(inputs, kernels, strict=True)]
    close(scatter(inputs, kernels), torch.stack(expected))


@pytest.mark.parametrize(("function", "shape"), [(correlate, (2, 2, 1, 4, 4)), (scatter, (2, 1, 2, 1, 2))])
def test_first_and_second_derivatives_of_the_products(function, shape):
    x = normal(*shape).requires_grad_()
    kernels = normal(2, 2, 1, 4, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(function, (x, kernels))
    assert torch.autograd.gradgradcheck(function, (x, kernels))


def test_spectral_norm_finds_the_largest_singular_value():
    layer = DownConv2d(3, 5, spectral_norm=True).double()
    layer.reset_parameters(torch.Generator().manual_seed(0))
    for _ in range(500):
        weight = layer.effective_weight()
    values = torch.linalg.svdvals(layer.weight.flatten(1))
    close(weight * values[0], layer.weight, 1e-8)
    close(torch.linalg.svdvals(weight.flatten(1))[0], torch.ones((), dtype=torch.float64), 1e-8)


def test_spectral_norm_of_a_known_matrix():
    norm = SpectralNorm(2).double()
    norm.u.copy_(torch.tensor([1.0, 0.0]))
    weight = torch.tensor([[3.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    close(norm(weight), weight / 3)
    norm.u.copy_(torch.tensor([math.sqrt(0.5), math.sqrt(0.5)]))
    norm(weight)
    close(norm.u, torch.tensor([9.0, 4.0], dtype=torch.float64) / math.hypot(9, 4))  # one iteration: W W^T u


def test_spectral_norm_starts_close():
    layer = Linear(40, 30, spectral_norm=True, init_std=0.02).double()
    layer.reset_parameters(torch.Generator().manual_seed(0))
    weight = layer.spectral_norm.eval()(layer.weight).detach()
    assert float(torch.linalg.svdvals(weight)[0]) == pytest.approx(1.0, abs=0.02)


def test_spectral_norm_gradient_holds_its_vectors_fixed():
    """With u and v constant, the gradient is (G - <G, W / sigma> u v^T) / sigma (arXiv 1802.05957, equation 10)."""
    norm = SpectralNorm(3).double()
    norm.u.copy_(F.normalize(normal(3), dim=0))
    weight, direction = normal(3, 4, seed=1).requires_grad_(), normal(3, 4, seed=2)
    matrix = weight.detach()
    v = F.normalize(matrix.mT @ norm.u, dim=0)
    u = F.normalize(matrix @ v, dim=0)
    sigma = u @ matrix @ v
    normalised = norm(weight)
    close(normalised, matrix / sigma)
    (normalised * direction).sum().backward()
    close(weight.grad, (direction - (direction * matrix / sigma).sum() * torch.outer(u, v)) / sigma)


def test_batch_norm_equals_torch():
    ours, theirs = BatchNorm2d(3).double(), nn.BatchNorm2d(3).double()
    ours.reset_parameters(torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours.bias.copy_(normal(3))
        theirs.weight.copy_(ours.weight)
        theirs.bias.copy_(ours.bias)
    stacked = stack([ours, ours])
    for step in range(3):
        inputs = 2 + 3 * normal(BATCH, 3, 2, 4, seed=step)
        expected = theirs(inputs)
        close(ours(inputs), expected)
        close(stacked(torch.stack([inputs, inputs]))[1], expected)
    close(ours.running_mean, theirs.running_mean)
    close(ours.running_var, theirs.running_var)
    inputs = normal(BATCH, 3, 2, 4, seed=9)
    expected = theirs.eval()(inputs)
    close(ours.eval()(inputs), expected)
    close(stacked.eval()(torch.stack([inputs, inputs]))[1], expected)
