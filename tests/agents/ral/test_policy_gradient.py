"""The score-function gradient against the exact one, by enumeration of every 2 x 2 map of 3 codes."""

import copy

import pytest
import torch

from agents.ral.policy_gradient import (
    credited_scores,
    discounted_to_go,
    entropy_and_divergence,
    leave_one_out,
    log_probability,
    surrogate,
    with_later,
)
from gan_backbones.prior import CodePrior, PriorOptions

CODES, LENGTH = 3, 4
MAPS = torch.cartesian_prod(*[torch.arange(CODES)] * LENGTH)  # (81, 4)
WHOLE = torch.ones(LENGTH, dtype=torch.bool)
HALF = torch.tensor([False, True, False, True])
ENTROPY, LEASH = 0.3, 0.7


@pytest.fixture
def prior(rng):
    model = CodePrior(CODES, LENGTH, PriorOptions(channels=8, layers=1, heads=2), rng).double()
    with torch.no_grad():
        model.head.weight.normal_(0, 1, generator=rng)
    return model


@pytest.fixture
def reference(prior, rng):
    model = copy.deepcopy(prior).requires_grad_(False)
    model.head.weight.add_(torch.randn(model.head.weight.shape, generator=rng, dtype=torch.float64))
    return model


@pytest.fixture
def scores(rng):
    """Any numbers: every patch sees the whole map."""
    return torch.randn(len(MAPS), LENGTH, generator=rng, dtype=torch.float64)


@pytest.fixture
def causal_scores(rng):
    """The score of a patch depends on the codes up to its own."""
    table = torch.randn(LENGTH, CODES**LENGTH, generator=rng, dtype=torch.float64)
    columns = []
    for place in range(LENGTH):
        known = MAPS.clone()
        known[:, place + 1 :] = 0
        columns.append(table[place][(known * CODES ** torch.arange(LENGTH)).sum(1)])
    return torch.stack(columns, 1)


def pieces(prior, reference):
    logits = prior(MAPS)
    entropy, divergence = entropy_and_divergence(logits, reference(MAPS))
    return log_probability(logits, MAPS), ENTROPY * entropy - LEASH * divergence


def chances(log_probs, free, given):
    """Probability of every map when the codes that are not free are those of ``given``, ``(81,)``."""
    possible = (given == MAPS)[:, ~free].all(1)
    return (log_probs * free).sum(1).exp() * possible


def gradient(value, prior):
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(prior.parameters()))])


def exact(prior, reference, scores, free, given):
    log_probs, regular = pieces(prior, reference)
    return gradient((chances(log_probs, free, given) * (scores.sum(1) + (regular * free).sum(1))).sum(), prior)


@pytest.mark.parametrize("free", [WHOLE, HALF], ids=["whole", "partial"])
@pytest.mark.parametrize("credit", ["image", "to_go"])
def test_the_expected_gradient_is_the_exact_one(free, credit, prior, reference, scores, causal_scores, rng):
    used = scores if credit == "image" else causal_scores
    given = MAPS[40]
    log_probs, regular = pieces(prior, reference)
    returns = credited_scores(used, credit, 1.0)
    baseline = torch.randn(LENGTH, generator=rng, dtype=torch.float64)
    terms = surrogate(log_probs, returns, baseline, regular, free)
    estimate = gradient((chances(log_probs, free, given).detach() * terms).sum(), prior)
    truth = exact(prior, reference, used, free, given)
    assert truth.norm() > 0.1
    torch.testing.assert_close(estimate, truth, rtol=0, atol=1e-12)


def test_a_score_that_looks_ahead_needs_the_credit_of_the_image(prior, reference, scores):
    log_probs, regular = pieces(prior, reference)
    terms = surrogate(log_probs, credited_scores(scores, "to_go", 1.0), torch.zeros(LENGTH), regular, WHOLE)
    estimate = gradient((chances(log_probs, WHOLE, MAPS[0]).detach() * terms).sum(), prior)
    assert (estimate - exact(prior, reference, scores, WHOLE, MAPS[0])).norm() > 0.01


def test_the_baseline_of_the_rest_of_the_batch_leaves_no_bias_and_lowers_the_variance(prior, reference, scores):
    log_probs, regular = pieces(prior, reference)
    returns = credited_scores(scores + 3, "image", 1.0)
    weights = chances(log_probs, WHOLE, MAPS[0]).detach()
    pairs = torch.cartesian_prod(torch.arange(81), torch.arange(81))  # every batch of two maps
    later = with_later(returns, regular, WHOLE)
    baselines = torch.stack([leave_one_out(later[pair]) for pair in pairs])  # (6561, 2, 4)
    terms = surrogate(log_probs[pairs], returns[pairs], baselines, regular[pairs], WHOLE).mean(1)
    estimate = gradient((weights[pairs].prod(1) * terms).sum(), prior)
    torch.testing.assert_close(estimate, exact(prior, reference, scores + 3, WHOLE, MAPS[0]), rtol=0, atol=1e-11)
    with_baseline = (weights[pairs].prod(1)[:, None] * (later[pairs] - baselines)[:, 0].square()).sum()
    without = (weights[:, None] * later.square()).sum()
    assert with_baseline < 0.7 * without


def test_discounted_sums_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    assert discounted_to_go(rewards, 0.5).tolist() == [[3.0, 4.0, 4.0]]
    assert discounted_to_go(rewards, 1.0).tolist() == [[7.0, 6.0, 4.0]]
    assert discounted_to_go(rewards, 0.0).tolist() == rewards.tolist()
    assert credited_scores(rewards, "image", 0.5).tolist() == [[7.0, 7.0, 7.0]]


def test_the_baseline_by_hand():
    returns = torch.tensor([[1.0], [2.0], [6.0]])
    assert leave_one_out(returns).tolist() == [[4.0], [3.5], [1.5]]
    assert leave_one_out(returns[:1]).tolist() == [[0.0]]


def test_entropy_and_divergence_by_hand():
    even, certain = torch.zeros(1, 1, 2), torch.tensor([[[0.75, 0.25]]]).log()
    entropy, divergence = entropy_and_divergence(certain, even)
    assert entropy.item() == pytest.approx(0.5623351, abs=1e-6)
    assert divergence.item() == pytest.approx(0.6931472 - 0.5623351, abs=1e-6)
    assert entropy_and_divergence(even, even)[1].item() == 0
