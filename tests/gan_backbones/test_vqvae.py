"""The autoencoder of codes."""

import pytest
import torch

from gan_backbones.patch_critic import PatchCritic, PatchCriticOptions
from gan_backbones.vqvae import VqVae, VqVaeOptions, code_perplexity

SMALL = {"width": 16, "code_size": 4, "codes": 12}


def images(rng, count=16, channels=1, side=16):
    """Flat squares of few greys: easy to code."""
    return (
        (torch.randint(4, (count, channels, 2, 2), generator=rng).float() / 1.5 - 1)
        .repeat_interleave(side // 2, 2)
        .repeat_interleave(side // 2, 3)
    )


@pytest.mark.parametrize(("levels", "maps"), [(1, ((4, 4),)), (2, ((2, 2), (4, 4)))])
def test_codes_and_images_have_the_stated_shapes(levels, maps, rng):
    model = VqVae(1, 16, VqVaeOptions(levels=levels, **SMALL), rng)
    assert model.maps == maps
    made = model(images(rng), rng)
    assert made.images.shape == (16, 1, 16, 16)
    assert made.images.abs().max() <= 1
    assert made.codes.shape == (16, model.length)
    assert 0 <= made.codes.min() <= made.codes.max() < 12


@pytest.mark.parametrize("levels", [1, 2])
def test_decoding_the_codes_is_the_reconstruction(levels, rng):
    model = VqVae(1, 16, VqVaeOptions(levels=levels, **SMALL), rng)
    model(images(rng), rng)
    model.eval()
    batch = images(rng)
    made = model(batch, rng)
    assert torch.equal(model.encode(batch), made.codes)
    torch.testing.assert_close(model.decode(made.codes), made.images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("levels", [1, 2])
def test_it_learns_and_uses_its_codes(levels, rng):
    model = VqVae(1, 16, VqVaeOptions(levels=levels, **SMALL), rng)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    errors = []
    for _ in range(80):
        batch = images(rng)
        made = model(batch, rng)
        error = (made.images - batch).square().mean()
        optimizer.zero_grad()
        (error + 0.25 * made.commitment).backward()
        optimizer.step()
        errors.append(error.item())
    assert sum(errors[-5:]) < 0.2 * sum(errors[:5])
    assert code_perplexity(made.codes, 12) > 3


def test_the_codebook_moves_in_training_alone_and_dead_codes_begin_again(rng):
    model = VqVae(1, 16, VqVaeOptions(**SMALL), rng)
    batch = images(rng)
    model(batch, rng)
    quantiser = model.quantisers[0]
    quantiser.codebook = torch.full((12, 4), 50.0)  # nothing is near
    model.eval()
    model(batch, rng)
    assert (quantiser.codebook == 50).all()
    model.train()
    for _ in range(60):
        model(batch, rng)
    assert quantiser.codebook.abs().max() < 25


def test_everything_random_comes_from_the_generator():
    def run():
        generator = torch.Generator().manual_seed(5)
        model = VqVae(1, 16, VqVaeOptions(levels=2, **SMALL), generator)
        batch = images(generator)
        return model(batch, generator).images, model.quantisers[0].codebook.clone()

    first = run()
    torch.rand(3)
    before = torch.get_rng_state()
    for ours, theirs in zip(first, run(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(before, torch.get_rng_state())


def test_gradients_of_decoding_reach_the_decoder_alone(rng):
    model = VqVae(1, 16, VqVaeOptions(levels=2, **SMALL), rng)
    codes = model(images(rng), rng).codes
    model.decode(codes).sum().backward()
    reached = {id(p) for p in model.parameters() if p.grad is not None}
    assert reached == {id(p) for p in model.decoder_parameters()}


def test_perplexity_of_known_uses():
    assert code_perplexity(torch.zeros(10, dtype=torch.int64), 8) == 1
    assert code_perplexity(torch.arange(8), 8) == pytest.approx(8)
    assert code_perplexity(torch.tensor([0, 0, 1, 1]), 8) == pytest.approx(2)


@pytest.mark.parametrize("change", [{"levels": 3}, {"downsampling": 3}, {"codes": 0}])
def test_impossible_sizes(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        VqVaeOptions(**change)


def test_a_resolution_that_does_not_divide_and_encoding_in_training(rng):
    with pytest.raises(ValueError, match="multiple of 8"):
        VqVae(1, 20, VqVaeOptions(levels=2), rng)
    with pytest.raises(ValueError, match="evaluation mode"):
        VqVae(1, 16, VqVaeOptions(**SMALL), rng).encode(images(rng))


@pytest.mark.parametrize("downsampling", [1, 2, 4])
def test_the_patch_critic_gives_one_score_per_code_and_no_sample_sees_another(downsampling, rng):
    critic = PatchCritic(3, downsampling, PatchCriticOptions(width=8), rng)
    batch = torch.randn(5, 3, 4 * downsampling, 4 * downsampling, generator=rng)
    scores = critic(batch)
    assert scores.shape == (5, 4, 4)
    torch.testing.assert_close(critic(batch[2:3]), scores[2:3])


def test_the_patch_critic_refuses_an_impossible_size(rng):
    with pytest.raises(ValueError, match="power of two"):
        PatchCritic(3, 3, PatchCriticOptions(), rng)
