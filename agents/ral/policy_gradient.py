"""The mathematics of reinforced adversarial learning; no network, no optimizer.

The objective of one sampled map x of T codes, with scores r_s(x) of its patches, is

    J = E_x [ sum_s r_s(x) + sum_t (a H_t - b KL_t) ],

H_t the entropy of the policy's distribution of code t given x_<t, and KL_t its divergence from the pretrained prior's.
Ak et al., arXiv 2007.09923, use the first sum alone. Since H_t and KL_t are known exactly given x_<t, their own
gradient is taken directly, and only what earlier codes do to them passes through the score function (Williams 1992):

    grad J = E_x [ sum_t ( grad log p(x_t | x_<t) (g_t - baseline_t) + grad (a H_t - b KL_t) ) ],

g_t the return of code t: the scores that are credited to it, and a H_s - b KL_s of all s > t.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Credit = Literal["to_go", "image"]
CREDITS: tuple[str, ...] = get_args(Credit)


def discounted_to_go(rewards: Tensor, discount: float) -> Tensor:
    """``g_t = sum_(s >= t) discount^(s - t) r_s`` along the last axis, any shape."""
    if discount == 1:
        return rewards.flip(-1).cumsum(-1).flip(-1)
    length = rewards.shape[-1]
    steps = torch.arange(length, device=rewards.device, dtype=rewards.dtype)
    powers = (discount ** (steps[:, None] - steps[None, :])).tril()  # (s, t): discount^(s - t) where s >= t
    return rewards @ powers


def credited_scores(scores: Tensor, credit: Credit, discount: float) -> Tensor:
    """The scores that each code answers for: ``(B, T) -> (B, T)``.

    ``to_go``: those of its own patch and of all later ones, the latter discounted: little variance, and blind to
    what a code does to the patches before it that overlap it. ``image``: the sum of all, whatever the discount; with
    it the gradient is exact for every discriminator (with ``to_go`` for one whose scores look back only, at discount
    1).
    """
    if credit == "image":
        return scores.sum(-1, keepdim=True).expand_as(scores)
    return discounted_to_go(scores, discount)


def leave_one_out(returns: Tensor) -> Tensor:
    """A baseline: for each code, the mean return at its place over the rest of the batch, ``(B, T) -> (B, T)``.

    A map's own return has no part in it, so that the gradient stays unbiased (Kool et al. 2019, "Buy 4 REINFORCE
    samples, get a baseline for free"). A batch of one has a baseline of 0.
    """
    count = len(returns)
    return (returns.sum(0) - returns) / max(count - 1, 1)


def entropy_and_divergence(logits: Tensor, reference_logits: Tensor) -> tuple[Tensor, Tensor]:
    """The policy's entropy and its Kullback-Leibler divergence from the reference, nats: ``(B, T, K) -> (B, T)``."""
    log_policy, log_reference = logits.log_softmax(-1), reference_logits.log_softmax(-1)
    policy = log_policy.exp()
    return -(policy * log_policy).sum(-1), (policy * (log_policy - log_reference)).sum(-1)


def surrogate(log_probs: Tensor, returns: Tensor, baseline: Tensor, regular: Tensor, free: Tensor) -> Tensor:
    """What to maximise: per map, its gradient is an unbiased estimate of grad J.

    Args:
        log_probs: ``(B, T)``, of the codes that were sampled.
        returns: ``(B, T)``, the scores credited to each code; the regular terms of later codes are added here.
        baseline: ``(B, T)`` or broadcastable, subtracted from the returns; must not depend on the map's own codes
            from t on.
        regular: ``(B, T)``, ``a H_t - b KL_t`` with gradients.
        free: ``(T,)`` bool, the codes that were sampled; the others are given and have no part in anything.

    Returns:
        ``(B,)``, sums over the free codes.
    """
    advantage = with_later(returns, regular, free).sub(baseline).detach()
    return ((log_probs * advantage + regular) * free).sum(-1)


def with_later(returns: Tensor, regular: Tensor, free: Tensor) -> Tensor:
    """``returns`` plus the regular terms of all later free codes, ``(B, T)``, no gradients."""
    own = (regular * free).detach()
    return returns.detach() + discounted_to_go(own, 1.0) - own


def log_probability(logits: Tensor, codes: Tensor) -> Tensor:
    """Of each code under the logits that predict it, in nats: ``(B, T, K), (B, T) -> (B, T)``."""
    return -F.cross_entropy(logits.mT, codes, reduction="none")
