"""Bandits over K arms, in NumPy: any number of pulls at once, with the mathematics of one after the other.

Each answers Stable-Baselines3's ``predict()`` and learns by ``learn(actions, rewards)``. The arms are the codes of
``GanLatentBandit-v0``, and nothing here knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agents.annealing import Annealing

Values = NDArray[np.float64]
Arms = NDArray[np.int64]

_POLICY_DRAWS = 256  # by which the policy of a sampler of posteriors is told


class Bandit(Protocol):
    """What chooses among ``arms`` arms and learns from what they give."""

    arms: int

    @property
    def values(self) -> Values:
        """``(arms,)``: what each arm is thought to be worth, at present."""
        ...

    def probabilities(self) -> Values:
        """``(arms,)``: how probable each arm is to be the next choice; asking changes nothing."""
        ...

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        """One arm per observation ``(n, ...)``; the one with the largest value where ``deterministic``."""
        ...

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        """Take in n pulls, in order; ``terms`` are the parts of the rewards, by name, which single bandits leave."""
        ...


class EpsilonGreedy:
    """An exponential moving average per arm, and the largest but for random pulls.

    ``Q(a) <- (1 - learning_rate) Q(a) + learning_rate r`` (Sutton and Barto 2018, equation 2.5), from 0. Such an
    average remembers its 0 for many pulls, and whoever was lucky early stays on top; with ``bias_correction`` it is
    divided by the share of it that rewards make up (ibid., exercise 2.7). The share of random pulls falls linearly from
    ``epsilon_start`` to ``epsilon_end`` over ``anneal`` pulls. Equal values are tossed for.
    """

    def __init__(
        self,
        arms: int,
        seed: int,
        *,
        learning_rate: float = 0.1,
        bias_correction: bool = True,
        epsilon_start: float = 1.0,
        epsilon_end: float = 0.02,
        anneal: int = 10_000,
    ) -> None:
        _require(0 < learning_rate <= 1, "learning_rate must lie in (0, 1]", learning_rate)
        self.arms, self._rate, self._corrects = arms, learning_rate, bias_correction
        self._annealing = Annealing(epsilon_start, epsilon_end, anneal)
        self._rng = np.random.default_rng(seed)
        self._averages, self._forgotten = np.zeros(arms), np.ones(arms)
        self._values = np.zeros(arms)
        self.pulls = 0

    @property
    def values(self) -> Values:
        return self._values

    @property
    def epsilon(self) -> float:
        """Share of random pulls at present."""
        return self._annealing.share(self.pulls)

    def probabilities(self) -> Values:
        best = self._values == self._values.max()
        return self.epsilon / self.arms + (1 - self.epsilon) * best / best.sum()

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        count = len(observation)
        if deterministic:
            return np.full(count, self._values.argmax()), state
        best = np.flatnonzero(self._values == self._values.max())
        chosen = best[self._rng.integers(len(best), size=count)]
        explores = self._rng.random(count) < self.epsilon
        return np.where(explores, self._rng.integers(self.arms, size=count), chosen), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        order = np.argsort(actions, kind="stable")
        ordered = actions[order]
        first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        counts = np.diff(np.r_[first, len(ordered)])
        still_to_come = np.repeat(first + counts, counts) - 1 - np.arange(len(ordered))  # pulls of the same arm
        keep = 1 - self._rate
        gained = self._rate * np.add.reduceat(keep**still_to_come * rewards[order], first)
        arms, faded = ordered[first], keep**counts
        self._averages[arms] = faded * self._averages[arms] + gained
        self._forgotten[arms] *= faded
        shares = 1 - self._forgotten[arms] if self._corrects else 1.0
        self._values[arms] = self._averages[arms] / shares
        self.pulls += len(actions)


class Ucb1:
    """UCB1 (Auer et al. 2002, figure 1): the arm of largest ``mean + scale sqrt(2 ln t / n)``; each once at first.

    Several pulls at once count as made when they are decided, with rewards that are still on their way (Desautels et
    al., arXiv 1206.6402, section 4.1). Rewards are meant to lie in [0, ``scale``].
    """

    def __init__(self, arms: int, seed: int, *, scale: float = 1.0) -> None:
        _require(scale > 0, "scale must be above 0", scale)
        self.arms, self._scale = arms, scale
        self._order = np.random.default_rng(seed).permutation(arms)  # in which arms are tried first
        self._sums, self._counts = np.zeros(arms), np.zeros(arms)

    @property
    def values(self) -> Values:
        return self._sums / np.maximum(self._counts, 1)

    def probabilities(self) -> Values:
        chosen = np.zeros(self.arms)
        chosen[self._decide(1)] = 1
        return chosen

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        if deterministic:
            return np.full(len(observation), self.values.argmax()), state
        return self._decide(len(observation)), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        self._sums += np.bincount(actions, rewards, self.arms)
        self._counts += np.bincount(actions, minlength=self.arms)

    def _decide(self, count: int) -> Arms:
        untried = self._order[self._counts[self._order] == 0][:count]
        chosen = [*untried.tolist()]
        if len(chosen) == count:
            return np.array(chosen, np.int64)
        counts = self._counts + np.bincount(untried, minlength=self.arms)
        means, total = self.values, counts.sum()
        means[untried] = means[self._counts > 0].mean() if self._counts.any() else 0.0
        index = means + self._scale * np.sqrt(2 * np.log(max(total, 1)) / counts)
        for made in range(count - len(chosen)):
            arm = int(index.argmax())
            chosen.append(arm)
            counts[arm] += 1
            # The others' bonuses grow by the logarithm alone: over one batch, by next to nothing.
            index[arm] = means[arm] + self._scale * np.sqrt(2 * np.log(total + made + 1) / counts[arm])
        return np.array(chosen, np.int64)


class Thompson:
    """Thompson sampling with Gaussian arms (Agrawal and Goyal, arXiv 1209.3353, section 2.2).

    Each arm's mean has the prior N(``prior_mean``, ``prior_std``^2); the variance of the noise is pooled over all arms'
    pulls, with ``noise_std`` as one pull's worth of prior. Every pull draws all means and takes the largest.

    The entropy of this policy has no floor: an arm is tried as often as it may be the best, and what is left to learn
    shrinks with every pull, under noise like 1 / sqrt(n), without it at once. It stays above 0 as far as a float can
    tell. Where rewards drift, nothing here forgets; a moving average does.
    """

    def __init__(
        self, arms: int, seed: int, *, prior_mean: float = 0.5, prior_std: float = 0.5, noise_std: float = 0.1
    ) -> None:
        _require(min(prior_std, noise_std) > 0, "prior_std and noise_std must be above 0", (prior_std, noise_std))
        self.arms = arms
        self._prior_mean, self._prior_precision, self._noise = prior_mean, prior_std**-2, noise_std**2
        self._rng = torch.Generator().manual_seed(seed)  # several times as fast as NumPy's in Gaussians
        self._sums, self._counts, self._squares = np.zeros(arms), np.zeros(arms), 0.0

    @property
    def values(self) -> Values:
        return self._posterior()[0]

    def probabilities(self) -> Values:
        # Counting who is largest would call everything 0 that is rarer than one draw. Instead, the chance of each arm
        # to exceed the others' largest draw, averaged over draws (Rao and Blackwell).
        mean, precision = self._posterior()
        draws = self._draw(torch.Generator().manual_seed(0), _POLICY_DRAWS)
        rivals = np.repeat(draws.max(1, keepdims=True), self.arms, axis=1).astype(np.float64)
        rows, best = np.arange(len(draws)), draws.argmax(1)
        draws[rows, best] = -np.inf
        rivals[rows, best] = draws.max(1)
        # erfc keeps its digits in the tail, where torch.special.ndtr is 0.
        chances = torch.special.erfc(torch.from_numpy((rivals - mean) * (precision / 2) ** 0.5)).mean(0).numpy()
        return np.asarray(chances / chances.sum())

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        if deterministic:
            return np.full(len(observation), self.values.argmax()), state
        return self._draw(self._rng, len(observation)).argmax(1), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        self._sums += np.bincount(actions, rewards, self.arms)
        self._counts += np.bincount(actions, minlength=self.arms)
        self._squares += float(rewards @ rewards)

    @property
    def noise_variance(self) -> float:
        """Of one pull: within arms, pooled."""
        pulled = self._counts > 0
        between = float((self._sums[pulled] ** 2 / self._counts[pulled]).sum())
        freedom = float(self._counts.sum() - pulled.sum())
        return (max(self._squares - between, 0.0) + self._noise) / (freedom + 1)

    def _posterior(self) -> tuple[Values, Values]:
        noise = self.noise_variance
        precision = self._prior_precision + self._counts / noise
        return (self._prior_precision * self._prior_mean + self._sums / noise) / precision, precision

    def _draw(self, rng: torch.Generator, count: int) -> NDArray[np.float32]:
        mean, precision = self._posterior()
        draws: NDArray[np.float32] = torch.randn((count, self.arms), generator=rng).numpy()
        draws *= (precision**-0.5).astype(np.float32)
        draws += mean.astype(np.float32)
        return draws


class GradientBandit:
    """Softmax over preferences, climbed by their gradient (Sutton and Barto 2018, equation 2.12), with entropy.

    ``H += learning_rate ((r - mean reward)(1[a] - pi) + entropy_weight * gradient of the entropy)``; n pulls at once
    are n such steps from one policy. The gradient of the entropy is ``-pi (log pi + entropy)``. Many arms are each
    pulled seldom and have to be learned from few rewards: the default ``learning_rate`` is a twentieth of the root of
    their number.
    """

    def __init__(
        self, arms: int, seed: int, *, learning_rate: float | None = None, entropy_weight: float = 1e-3
    ) -> None:
        _require(learning_rate is None or learning_rate > 0, "learning_rate must be above 0", learning_rate)
        _require(entropy_weight >= 0, "entropy_weight must be at least 0", entropy_weight)
        self.arms, self._entropy_weight = arms, entropy_weight
        self._rate = 0.05 * arms**0.5 if learning_rate is None else learning_rate
        self._rng = np.random.default_rng(seed)
        self._preferences = np.zeros(arms)
        self._total, self._pulls = 0.0, 0

    @property
    def values(self) -> Values:
        return self._preferences

    def probabilities(self) -> Values:
        weights = np.exp(self._preferences - self._preferences.max())
        return weights / weights.sum()

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        if deterministic:
            return np.full(len(observation), self._preferences.argmax()), state
        cumulated = np.cumsum(self.probabilities())
        uniform = self._rng.random(len(observation)) * cumulated[-1]
        return np.searchsorted(cumulated, uniform, side="right").clip(max=self.arms - 1), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        policy = self.probabilities()
        baseline = self._total / self._pulls if self._pulls else float(rewards.mean())
        self._total += float(rewards.sum())
        self._pulls += len(rewards)
        excess = rewards - baseline
        ascent = np.bincount(actions, excess, self.arms) - policy * excess.sum()
        logs = np.log(np.maximum(policy, 1e-300))
        ascent -= len(rewards) * self._entropy_weight * policy * (logs - policy @ logs)
        self._preferences += self._rate * ascent


BANDITS: Mapping[str, Callable[..., Bandit]] = {
    "ema": EpsilonGreedy,
    "ucb1": Ucb1,
    "thompson": Thompson,
    "gradient": GradientBandit,
}
"""By the name on the command line; each is made by ``make(arms, seed, **options)``."""


def make_bandit(name: str, arms: int, seed: int, options: Mapping[str, Any] | None = None) -> Bandit:
    """The bandit ``name``. Raises ``ValueError``, in one line, for an unknown name or option, or a wrong value."""
    if name not in BANDITS:
        raise ValueError(f"unknown bandit {name!r}; known: {', '.join(BANDITS)}")
    try:
        return BANDITS[name](arms, seed, **dict(options or {}))
    except TypeError as error:
        raise ValueError(f"bandit {name!r}: {error}") from None


def best_arms(values: Values, count: int) -> Arms:
    """``(count,)``: the arms of the largest ``values``, the largest first; of equal ones, the first in number first."""
    return np.argsort(-values, kind="stable")[:count]


def entropy(probabilities: Values) -> float:
    """Shannon entropy in nats: 0 for certainty, ``ln K`` for K equal chances."""
    positive = probabilities[probabilities > 0]
    return float((positive * -np.log(positive)).sum())


def choice_entropy(choices: Arms, arms: int) -> float:
    """Entropy of how often each arm was chosen, in nats; at most the logarithm of the number of choices."""
    return entropy(np.bincount(choices, minlength=arms) / max(1, len(choices)))


def _require(fits: bool, rule: str, value: object) -> None:
    if not fits:
        raise ValueError(f"{rule}, got {value}")
