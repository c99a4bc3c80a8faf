"""The causal transformer over code maps."""

import math

import pytest
import torch

from gan_backbones.prior import CodePrior, PriorOptions, batched_nll, bits_per_dimension, choose_codes

SMALL = PriorOptions(channels=16, layers=2, heads=2)


@pytest.fixture
def prior(rng):
    """Five codes, maps of 4 x 3, every weight random."""
    model = CodePrior(5, 12, SMALL, rng)
    with torch.no_grad():
        model.head.weight.normal_(0, 1, generator=rng)
    return model


def sequences(rng, count=6):
    return torch.randint(5, (count, 12), generator=rng)


def test_a_fresh_prior_needs_log2_of_the_codes_in_bits(rng):
    fresh = CodePrior(8, 12, SMALL, rng)
    codes = torch.randint(8, (4, 12), generator=rng)
    assert bits_per_dimension(fresh.nll(codes)) == pytest.approx(3, abs=1e-6)


def test_the_likelihood_sums_to_one_over_all_maps(rng):
    model = CodePrior(3, 4, SMALL, rng).double()
    with torch.no_grad():
        model.head.weight.normal_(0, 1, generator=rng)
    every = torch.cartesian_prod(*[torch.arange(3)] * 4)
    assert model.nll(every).sum(1).neg().exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_code_changes_only_what_comes_after_it(prior, rng):
    codes = sequences(rng, 1)
    other = codes.clone()
    other[:, 5] = (other[:, 5] + 1) % 5
    difference = (prior(codes) - prior(other)).abs().amax((0, 2))
    assert (difference[:6] == 0).all()
    assert (difference[6:] > 1e-6).all()


def test_reading_in_pieces_with_a_cache_is_reading_at_once(prior, rng):
    prior.double()
    codes = sequences(rng)
    read = torch.cat([torch.full((6, 1), 5), codes[:, :-1]], 1)
    cache = prior.new_cache(6)
    pieces = [prior.predict(part, cache) for part in read.split([1, 4, 1, 6], 1)]
    torch.testing.assert_close(torch.cat(pieces, 1), prior(codes), rtol=0, atol=1e-12)


@pytest.mark.parametrize("partial", [False, True])
def test_cached_sampling_equals_uncached_token_for_token(prior, rng, partial):
    options = {}
    if partial:
        free = torch.zeros(12, dtype=torch.bool)
        free[[2, 3, 7, 10]] = True
        options = {"given": sequences(rng, 64), "free": free}
    seeds = [torch.Generator().manual_seed(3) for _ in range(2)]
    cached = prior.sample(64, seeds[0], **options)
    assert torch.equal(cached, prior.sample(64, seeds[1], cached=False, **options))
    assert torch.equal(seeds[0].get_state(), seeds[1].get_state())
    if partial:
        assert torch.equal(cached[:, ~free], options["given"][:, ~free])
        assert not torch.equal(cached, options["given"])


def test_samples_follow_the_stated_likelihood(rng):
    model = CodePrior(3, 2, SMALL, rng)
    with torch.no_grad():
        model.head.weight.normal_(0, 1, generator=rng)
    every = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    drawn = model.sample(20_000, rng)
    shares = torch.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=9) / 20_000
    expected = model.nll(every).sum(1).neg().exp()
    assert (shares - expected).abs().max() < 4 * math.sqrt(0.25 / 20_000)
    sharp = model.sample(20_000, rng, temperature=0.5)
    shares = torch.bincount(sharp[:, 0] * 3 + sharp[:, 1], minlength=9) / 20_000
    expected = model.nll(every, temperature=0.5).sum(1).neg().exp()
    assert (shares - expected).abs().max() < 4 * math.sqrt(0.25 / 20_000)


def test_temperature_sharpens(prior):
    likelihoods = [
        prior.nll(prior.sample(256, torch.Generator().manual_seed(0), temperature=t)).mean() for t in (0.3, 1, 3)
    ]
    assert likelihoods[0] < likelihoods[1] < likelihoods[2]


def test_codes_by_inversion():
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log().expand(5, 3)
    assert choose_codes(logits, torch.tensor([0.0, 0.19, 0.21, 0.69, 0.9999999])).tolist() == [0, 0, 1, 1, 2]
    impossible = torch.tensor([[-torch.inf, 0.0]])
    assert choose_codes(impossible, torch.tensor([0.0])).tolist() == [1]


def test_nothing_global_is_read_or_moved(rng):
    state = torch.get_rng_state()
    first = CodePrior(5, 12, SMALL, torch.Generator().manual_seed(1))
    torch.manual_seed(77)
    second = CodePrior(5, 12, SMALL, torch.Generator().manual_seed(1))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    after = torch.get_rng_state()
    first.sample(3, rng)
    assert torch.equal(after, torch.get_rng_state())
    torch.set_rng_state(state)


def test_batches_do_not_matter(prior, rng):
    codes = sequences(rng, 7)
    torch.testing.assert_close(batched_nll(prior.nll, codes, 3), prior.nll(codes).detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p, g: PriorOptions(channels=10, heads=4), "multiple of heads"),
        (lambda p, g: PriorOptions(layers=0), "layers"),
        (lambda p, g: CodePrior(0, 4, SMALL, g), "at least 1"),
        (lambda p, g: p.sample(2, g, temperature=0), "temperature"),
        (lambda p, g: p.sample(2, g, free=torch.ones(12, dtype=torch.bool)), "go together"),
        (lambda p, g: p.sample(2, g, given=torch.zeros(2, 3), free=torch.ones(12, dtype=torch.bool)), "given and free"),
    ],
)
def test_mistakes_are_told(prior, rng, call, words):
    with pytest.raises(ValueError, match=words):
        call(prior, rng)
