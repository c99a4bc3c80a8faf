"""Dynamic embedded attention and the block around it: by hand, stacked against plain, and what they cost."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gan_backbones import initialise
from gan_backbones.layers import Dema, Gctdrn, dead_branches, fusion_weights
from gan_backbones.layers.dema import FLOOR
from tests.gan_backbones.layer_tools import close, normal, stack

CHANNELS, CONTEXT, REPLICAS, BATCH = 3, 5, 3, 4
SWITCHES = {
    "all": {},
    "static": {"dynamic": False},
    "local flow alone": {"global_flow": False},
    "global flow alone": {"local_flow": False},
}
every_form = pytest.mark.parametrize("lite", [True, False], ids=["lite", "dense"])


def make(kind, seed=0, channels=CHANNELS, **options):
    layer = kind(channels, CONTEXT, **options).double()
    initialise(layer, torch.Generator().manual_seed(seed))
    with torch.no_grad():  # no parameter at a value that hides mistakes
        for index, parameter in enumerate(layer.parameters()):
            parameter.add_(0.2 * normal(*parameter.shape, seed=100 * seed + index))
    return layer


@every_form
@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("kind", [Dema, Gctdrn])
def test_stacked_equals_plain(kind, switch, lite):
    layers = [make(kind, seed, lite=lite, **SWITCHES[switch]) for seed in range(REPLICAS)]
    stacked = stack(layers)
    maps, context = normal(REPLICAS, BATCH, CHANNELS, 4, 8), normal(REPLICAS, BATCH, CONTEXT, seed=1)
    singles = [maps[row].clone().requires_grad_() for row in range(REPLICAS)]
    together = maps.requires_grad_()
    out, handed_on = stacked(together, context)
    apart = [layer(x, c) for layer, x, c in zip(layers, singles, context, strict=True)]
    close(out, torch.stack([one for one, _ in apart]))
    if handed_on is not None:
        close(handed_on, torch.stack([vector for _, vector in apart]))
    weights = normal(*out.shape, seed=2)
    (out * weights).sum().backward()
    for (one, _), weight in zip(apart, weights, strict=True):
        (one * weight).sum().backward()
    close(together.grad, torch.stack([x.grad for x in singles]))
    for path, parameter in stacked.named_parameters():
        close(parameter.grad, torch.stack([layer.get_parameter(path).grad for layer in layers]))
        assert parameter.grad.abs().sum() > 0, path
    for path, buffer in stacked.named_buffers():
        close(buffer, torch.stack([layer.get_buffer(path) for layer in layers]))


def test_dema_by_hand():
    """Sample by sample and pixel by pixel from the definitions, the convolutions by their composed kernels."""
    layer, x = make(Dema, lite=True), normal(2, CHANNELS, 8, 8)
    out, embedding = layer(x)
    for sample, result, vector in zip(x, out, embedding, strict=True):
        weights = FLOOR + (1 - 4 * FLOOR) * layer.judge(sample.mean((1, 2))).softmax(0)
        local, fused = sample, 0
        for weight, step in zip(weights[:3], layer.local.steps, strict=True):
            local = F.conv2d(local, step.weight, padding=1, groups=CHANNELS)
            fused = fused + weight * local
        mixed = torch.einsum("oc,chw->ohw", layer.mix.weight[:, :, 0, 0], fused) + layer.mix.bias[:, None, None]
        scores = torch.einsum("tc,chw->thw", layer.context.scores.weight, sample)
        tokens = torch.stack([(score.exp() / score.exp().sum() * sample).sum((1, 2)) for score in scores])
        hidden = layer.context.inward(tokens.flatten()).relu()
        vectors = layer.context.outward(hidden).view(4, CHANNELS)
        close(vector, hidden)
        for row, column in ((0, 0), (3, 5)):
            shares = scores[:, row, column].softmax(0)
            expected = mixed[:, row, column] + weights[3] * sum(s * v for s, v in zip(shares, vectors, strict=True))
            close(result[:, row, column], expected)


@pytest.mark.parametrize("field", [0, 1, 2])
def test_the_local_flow_sees_three_five_and_seven_pixels(field):
    layer, x = make(Dema, lite=True), normal(1, CHANNELS, 11, 11).requires_grad_()
    layer.local(x)[field][0, :, 5, 5].sum().backward()
    seen = x.grad[0].abs().sum(0) > 0
    expected = torch.zeros(11, 11, dtype=torch.bool)
    expected[4 - field : 7 + field, 4 - field : 7 + field] = True
    assert torch.equal(seen, expected)


def test_the_global_flow_reaches_every_pixel_and_tells_them_apart():
    layer, x = make(Dema, local_flow=False), normal(1, CHANNELS, 12, 12).requires_grad_()
    out, _ = layer(x)
    out[0, :, 0, 0].sum().backward()
    assert (x.grad[0].abs().sum(0) > 0).all()
    assert float(out.detach().std((-2, -1)).min()) > 1e-3, "one vector for all pixels would be too coarse"


def test_weights_depend_on_the_sample_and_never_vanish():
    layer, x = make(Dema), normal(BATCH, CHANNELS, 4, 4)
    weights = layer._weights(x)
    close(weights.sum(-1), torch.ones(BATCH, dtype=torch.float64))
    assert not torch.allclose(weights[0], weights[1])
    close(layer._weights(x[:1]), weights[:1])
    with torch.no_grad():
        layer.judge[-1].bias.copy_(torch.tensor([1e3, 0, 0, 0]))  # a judge that has made up its mind
    layer(x)
    close(layer.fusion_weights, torch.tensor([1 - 3 * FLOOR, FLOOR, FLOOR, FLOOR], dtype=torch.float64))
    layer(x)[0].square().sum().backward()
    assert all(step.weight.grad.abs().sum() > 0 for step in layer.local.steps)
    assert [line.split(" is dead")[0] for line in dead_branches(layer)] == [
        ": branch 5x5",
        ": branch 7x7",
        ": branch global",
    ]


def test_fusion_weights_are_kept_in_training_alone():
    block, x, context = make(Gctdrn), normal(BATCH, CHANNELS, 4, 4), normal(BATCH, CONTEXT)
    assert not dead_branches(block)
    before = block.dema.fusion_weights.clone()
    close(before, torch.full((4,), 0.25, dtype=torch.float64))
    block.eval()(x, context)
    assert torch.equal(block.dema.fusion_weights, before)
    block.train()(x, context)
    table = fusion_weights(block)
    assert list(table) == ["dema"] and list(table["dema"]) == ["3x3", "5x5", "7x7", "global"]
    close(torch.stack(list(table["dema"].values())), block.dema._weights(block.norm(x).relu()).detach().mean(0))
    assert not any(weight.requires_grad for weight in table["dema"].values())
    together = fusion_weights(stack([copy.deepcopy(block), copy.deepcopy(block)]))
    assert together["dema"]["5x5"].shape == (2,)
    block.dema.reset_parameters(torch.Generator())
    close(block.dema.fusion_weights, before)


@every_form
@pytest.mark.parametrize("switch", list(SWITCHES)[1:])
def test_every_switch_changes_the_output(switch, lite):
    whole, x, context = make(Gctdrn, lite=lite), normal(2, CHANNELS, 4, 4), normal(2, CONTEXT)
    part = Gctdrn(CHANNELS, CONTEXT, lite=lite, **SWITCHES[switch]).double()
    kept = part.state_dict().keys() & whole.state_dict().keys() - {"dema.fusion_weights"}
    judged = {name for name in kept if name.startswith("dema.judge.2")}  # one row a branch
    part.load_state_dict({name: whole.state_dict()[name] for name in kept - judged}, strict=False)
    assert not torch.allclose(whole(x, context)[0], part(x, context)[0])


def test_the_block_adds_its_input_and_hands_the_context_on():
    block, x, context = make(Gctdrn), normal(2, CHANNELS, 4, 4), normal(2, CONTEXT)
    hidden = block.norm(x).relu()
    fused, embedding = block.dema(hidden, block.connection(context))
    out, handed_on = block(x, context)
    close(out, (hidden + fused).relu())
    close(handed_on, context + embedding)
    changed, _ = block(x, context + 1)
    assert not torch.allclose(out, changed), "what earlier blocks hand on matters"
    alone = make(Gctdrn, global_flow=False)
    assert torch.equal(alone(x, context)[1], context)


def test_without_any_flow_nothing_is_left():
    with pytest.raises(ValueError, match="at least one of local_flow and global_flow"):
        Dema(3, 4, local_flow=False, global_flow=False)


def attention_flops(pixels, width):
    """Four projections, and two products of every pixel with every other."""
    return 4 * 2 * pixels * width**2 + 2 * 2 * pixels**2 * width


def flops(module, *inputs):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


@every_form
def test_cost_is_linear_in_pixels(lite):
    """Eight times the pixels between three resolutions; what is left at no pixels is the MLPs' share."""
    layer = Dema(16, 32, lite=lite)
    initialise(layer, torch.Generator().manual_seed(0))
    costs = [flops(layer, torch.zeros(1, 16, side, side)) for side in (16, 32, 64)]
    per_pixel = [(costs[1] - costs[0]) / 768, (costs[2] - costs[1]) / 3072]
    assert per_pixel[0] == pytest.approx(per_pixel[1], rel=1e-9)
    assert 0 <= costs[0] - 256 * per_pixel[0] < 0.05 * costs[2]


def test_lite_costs_a_twentieth_of_self_attention():
    """64 channels, 64x64 pixels."""
    width, pixels = 64, 64 * 64
    lite = Dema(width, 2 * width, lite=True)
    initialise(lite, torch.Generator().manual_seed(0))
    own = flops(lite, torch.zeros(1, width, 64, 64))
    assert own < 0.05 * attention_flops(pixels, width)


def test_the_count_of_self_attention_is_torchs():
    width, tokens = 64, torch.zeros(1, 64, 64).requires_grad_()
    attention = nn.MultiheadAttention(width, 4, batch_first=True)
    counted = flops(lambda x: attention(x, x, x, need_weights=False), tokens)
    assert counted == pytest.approx(attention_flops(64, width), rel=0.01)
