"""Windows, the discriminator's side, the oracle and the stages before."""

import math

import pytest
import torch
from torch import nn

from agents.ral.critic import between, critic_loss, rewards_of_codes, squared_gradient_norms
from agents.ral.oracle import Oracle
from agents.ral.pretraining import train_prior, train_vqvae
from agents.ral.windows import ORDERS, Windows
from gan_backbones import LOSSES
from gan_backbones.patch_critic import PatchCritic, PatchCriticOptions
from gan_backbones.prior import CodePrior, PriorOptions
from gan_backbones.vqvae import VqVae, VqVaeOptions

MAP = ((4, 8),)


@pytest.mark.parametrize("order", ORDERS)
def test_a_quarter_of_the_map_is_free(order, rng):
    windows = Windows(0.5, 0.5, order)
    for step in range(6):
        free = windows.free(MAP, step, rng).view(4, 8)
        rows, columns = free.any(1).nonzero().flatten(), free.any(0).nonzero().flatten()
        assert free.sum() == 8
        assert (rows.diff() == 1).all() and (columns.diff() == 1).all() and len(rows) == 2


def test_orders_tile_the_map(rng):
    tiles = [Windows(0.5, 0.5, "raster").free(MAP, step, rng) for step in range(5)]
    assert torch.stack(tiles[:4]).sum(0).eq(1).all()
    assert tiles[0].view(4, 8)[:2, :4].all() and tiles[3].view(4, 8)[2:, 4:].all()
    assert torch.equal(tiles[4], tiles[0])
    backwards = [Windows(0.5, 0.5, "backwards").free(MAP, step, rng) for step in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(backwards, tiles[3::-1], strict=True))
    uneven = [Windows(0.4, 1, "raster").free(((5, 5),), step, rng) for step in range(3)]
    assert torch.stack(uneven).any(0).all()


def test_random_windows_reach_every_code_and_levels_agree(rng):
    windows = Windows(0.5, 0.5)
    seen = torch.stack([windows.free(((2, 2), (4, 4)), step, rng) for step in range(100)])
    assert seen.any(0).all()
    assert (seen[:, :4].sum(1) == 1).all() and (seen[:, 4:].sum(1) == 4).all()
    assert Windows().whole and Windows().free(MAP, 0, rng).all() and not windows.whole


@pytest.mark.parametrize("change", [{"height": 0}, {"width": 1.5}, {"order": "spiral"}])
def test_impossible_windows(change):
    with pytest.raises(ValueError, match="window"):
        Windows(**change)


def test_the_penalty_is_per_sample(rng):
    weights = torch.randn(3, 2, 4, 4, generator=rng)
    slopes = torch.tensor([1.0, 2.0, 5.0]).reshape(3, 1, 1, 1)

    def critic(x):  # a plane of another slope for each sample, its scores spread over two patches
        return (x * weights * slopes).flatten(1).sum(1)[:, None, None].expand(-1, 1, 2)

    norms = squared_gradient_norms(critic, torch.randn(3, 2, 4, 4, generator=rng))
    expected = (weights * slopes).square().flatten(1).sum(1)
    torch.testing.assert_close(norms, expected)


def test_the_penalty_has_a_gradient_and_points_lie_between(rng):
    critic = PatchCritic(2, 2, PatchCriticOptions(width=4), rng)
    real, fake = torch.zeros(6, 2, 4, 4), torch.ones(6, 2, 4, 4)
    points = between(real, fake, rng)
    assert (points >= 0).all() and (points <= 1).all()
    assert (points.flatten(1).std(1) == 0).all() and points[:, 0, 0, 0].unique().numel() == 6
    plain = critic_loss(critic, real, fake, LOSSES["wasserstein"], 0.0, rng)
    assert plain.item() == pytest.approx((critic(fake).mean() - critic(real).mean()).item())
    critic_loss(critic, real, fake, LOSSES["wasserstein"], 10.0, rng).backward()
    assert next(critic.parameters()).grad.abs().sum() > 0
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in critic.modules())


def test_rewards_of_two_levels():
    scores = torch.arange(16.0).reshape(1, 4, 4)
    rewards = rewards_of_codes(scores, ((2, 2), (4, 4)))
    assert rewards[0, :4].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(rewards[0, 4:], scores.flatten())


def test_the_oracle_samples_what_it_states(rng):
    oracle = Oracle(side=2, codes=2, seed=3)
    every = torch.cartesian_prod(*[torch.arange(2)] * 4)
    law = oracle.nll(every).sum(1).neg().exp()
    assert law.sum().item() == pytest.approx(1, abs=1e-12)
    drawn = oracle.sample(20_000, rng)
    shares = torch.bincount((drawn * torch.tensor([8, 4, 2, 1])).sum(1), minlength=16) / 20_000
    assert (shares - law).abs().max() < 4 * math.sqrt(0.25 / 20_000)
    assert law.max() > 2 * law.min()


def test_the_oracle_completes_what_is_given(rng):
    oracle = Oracle(side=4, codes=3)
    given = oracle.sample(5, rng)
    completed = oracle.sample(5, rng, given, prefix=7)
    assert torch.equal(completed[:, :7], given[:, :7])
    assert not torch.equal(completed, given)


def test_maximum_likelihood_nears_the_oracle_and_keeps_the_best(rng):
    oracle = Oracle(side=3, codes=3)
    codes, held_out = oracle.sample(2000, rng), oracle.sample(500, rng)
    prior = CodePrior(3, 9, PriorOptions(channels=16, layers=1, heads=2), rng)
    told = []
    fit = train_prior(prior, codes, held_out, 150, rng, lambda update, figures: told.append(figures))
    assert len(told) == 150
    checks = [figures["held_out_nll"] for figures in told if "held_out_nll" in figures]
    assert fit.held_out == min(checks) == pytest.approx(prior.nll(held_out).mean().item(), abs=1e-5)
    floor = oracle.nll(held_out).mean().item()
    assert floor - 0.03 < fit.held_out < (floor + math.log(3)) / 2


def test_the_autoencoder_learns_flat_pictures(rng):
    images = torch.randint(256, (64, 1, 1, 1), generator=rng, dtype=torch.uint8).expand(-1, 1, 16, 16).contiguous()
    model = VqVae(1, 16, VqVaeOptions(width=8, code_size=4, codes=16), rng)
    told = []
    train_vqvae(model, images, 120, rng, lambda _, figures: told.append(figures), batch_size=16, learning_rate=1e-2)
    assert told[-1]["error"] < 0.3 * told[0]["error"]
    assert {"commitment", "perplexity_0"} <= set(told[-1])
    assert not model.training
