"""Parameters as one matrix: views share its storage, rows keep to themselves."""

import pytest
import torch

from gan_backbones import BACKBONES, build, initialise
from gan_backbones.flat import FlatParameters, flatten_gradients

COUNT = 3


@pytest.fixture
def flat(tiny_backbone, backbone):
    """Three rows, each written from a freshly initialised discriminator, and those plain modules."""
    shape, options, _ = tiny_backbone(backbone)
    template = build(backbone, shape, **options).discriminator
    flat = FlatParameters(template, COUNT, torch.device("cpu"), torch.float64)
    modules = []
    for row in range(COUNT):
        module = build(backbone, shape, **options).discriminator
        initialise(module, torch.Generator().manual_seed(row))
        flat.write_row(row, module)
        modules.append(module.double())
    return flat, modules, shape


@pytest.mark.parametrize("backbone", BACKBONES)
def test_rows_hold_all_parameters_and_buffers(flat, backbone):
    flat, modules, _ = flat
    for row, module in enumerate(modules):
        expected = torch.cat([parameter.detach().flatten() for parameter in module.parameters()])
        assert torch.equal(flat.matrix[row], expected)
        buffers = dict(module.named_buffers())
        assert buffers.keys() == flat.buffers.keys()
        assert all(torch.equal(flat.buffers[name][row], buffers[name]) for name in buffers)
    assert len(flat.tensors()) == 1 + len(flat.buffers)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_bound_modules_compute_what_the_plain_ones_do(flat, backbone, rng):
    flat, modules, shape = flat
    samples = torch.randn(COUNT, 4, *shape, generator=rng, dtype=torch.float64)
    expected = torch.stack([module.eval()(x) for module, x in zip(modules, samples, strict=True)])
    stacked = flat.bind(slice(0, COUNT), stacked=True).eval()
    torch.testing.assert_close(stacked(samples), expected)
    part = flat.bind(slice(1, COUNT), stacked=True).eval()
    torch.testing.assert_close(part(samples[1:]), expected[1:])
    for row in range(COUNT):
        plain = flat.bind(slice(row, row + 1), stacked=False).eval()
        torch.testing.assert_close(plain(samples[row]), expected[row])


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_bound_parameters_are_views_of_the_matrix(flat, backbone, stacked):
    flat, _, _ = flat
    rows = slice(0, COUNT) if stacked else slice(1, 2)
    module = flat.bind(rows, stacked=stacked)
    flat.matrix.copy_(torch.arange(flat.matrix.numel(), dtype=torch.float64).view_as(flat.matrix))
    for buffer in flat.buffers.values():
        buffer.fill_(7.0)
    joined = flatten_gradients([parameter.data for parameter in module.parameters()], rows.stop - rows.start)
    assert torch.equal(joined, flat.matrix[rows])
    assert all(torch.equal(buffer, torch.full_like(buffer, 7.0)) for buffer in module.buffers())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    untouched = [row for row in range(COUNT) if not rows.start <= row < rows.stop]
    assert not flat.matrix[rows].any() and flat.matrix[untouched].any(1).all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_write_row_touches_only_its_row(flat, backbone):
    flat, modules, _ = flat
    before = [tensor.clone() for tensor in flat.tensors()]
    flat.write_row(1, modules[2])
    for old, new in zip(before, flat.tensors(), strict=True):
        assert torch.equal(new[[0, 2]], old[[0, 2]])
        assert torch.equal(new[1], old[2])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_gradients_are_flattened_in_the_order_of_the_matrix(flat, backbone):
    """The gradient of half the squared norm of all parameters is the matrix itself."""
    flat, _, _ = flat
    leaves = list(flat.bind(slice(0, COUNT), stacked=True).parameters())
    energy = sum(leaf.square().sum() / 2 for leaf in leaves)
    assert torch.equal(flatten_gradients(torch.autograd.grad(energy, leaves), COUNT), flat.matrix)


def test_a_view_has_a_version_of_its_own():
    """Another thread's step on its own rows must not count as a change of these (autograd would refuse)."""
    template = build("mlp", (2,), latent_size=2, width=3).generator
    flat = FlatParameters(template, 2, torch.device("cpu"), torch.float64)
    module = flat.bind(slice(0, 1), stacked=True)

    def gradients(meanwhile):
        loss = module(torch.ones(1, 4, 2, dtype=torch.float64)).square().sum()
        meanwhile()
        return torch.autograd.grad(loss, list(module.parameters()))

    alone, disturbed = gradients(lambda: None), gradients(lambda: flat.matrix[1:].add_(1.0))
    assert all(torch.equal(one, other) for one, other in zip(alone, disturbed, strict=True))
