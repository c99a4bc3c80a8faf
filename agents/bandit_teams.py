"""Several bandits with an objective each, that share the pulls of one environment.

An objective is a term of the environment's reward, which comes with every pull (``info["reward_terms"]``); the terms
are weighted there. A team is a :class:`~agents.bandits.Bandit` like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.annealing import Annealing
from agents.bandits import Arms, Bandit, Values, make_bandit


class Team(Protocol):
    """A class of teams, as :data:`TEAMS` holds them."""

    def __call__(self, *arguments: Any, **options: Any) -> Bandit:
        """``make(members, seed, **options)``"""
        ...

    def lessons(self, members: int) -> float:
        """Pulls that one of ``members`` learns from, for each pull of the team; on average over the members."""
        ...


class _Team:
    """Members by objective; a team says who decides each of n pulls, and who learns from it."""

    def __init__(self, members: Mapping[str, Bandit]) -> None:
        self.members = dict(members)
        self.arms = next(iter(self.members.values())).arms
        self._deciders = np.zeros(0, np.int64)

    @property
    def values(self) -> Values:
        """What an arm is worth to all members together."""
        return np.sum([member.values for member in self.members.values()], axis=0)

    def _decide(self, deciders: Arms) -> Arms:
        """The arms that the members number ``deciders`` choose, ``(n,)``."""
        self._deciders = deciders
        actions = np.zeros(len(deciders), np.int64)
        for index, member in enumerate(self.members.values()):
            rows = np.flatnonzero(deciders == index)
            if len(rows):
                actions[rows], _ = member.predict(rows)
        return actions

    def _learn_own(self, actions: Arms, terms: Mapping[str, Values]) -> None:
        """Each member learns its objective from the pulls that it decided."""
        for index, (name, member) in enumerate(self.members.items()):
            own = self._deciders == index
            if own.any():
                member.learn(actions[own], terms[name][own])

    def _mixture(self, shares: Values) -> Values:
        policies = [member.probabilities() for member in self.members.values()]
        return np.sum([share * policy for share, policy in zip(shares, policies, strict=True)], axis=0)


class Weighted(_Team):
    """One choice for all: the arm of the largest sum of the members' values, but for a share of random pulls.

    Every member learns from every pull. ``epsilon`` falls linearly to ``epsilon_end`` over ``anneal`` pulls. With
    moving averages this is one of them on the whole reward; the members may differ in kind and in pace.
    """

    def __init__(
        self,
        members: Mapping[str, Bandit],
        seed: int,
        *,
        epsilon: float = 1.0,
        epsilon_end: float = 0.02,
        anneal: int = 10_000,
    ) -> None:
        super().__init__(members)
        self._annealing, self._pulls = Annealing(epsilon, epsilon_end, anneal), 0
        self._rng = np.random.default_rng(seed)

    @staticmethod
    def lessons(members: int) -> float:
        return 1

    @property
    def epsilon(self) -> float:
        """Share of random pulls at present."""
        return self._annealing.share(self._pulls)

    def probabilities(self) -> Values:
        policy = np.full(self.arms, self.epsilon / self.arms)
        policy[self.values.argmax()] += 1 - self.epsilon
        return policy

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        count = len(observation)
        best = np.full(count, self.values.argmax())
        if deterministic:
            return best, state
        explores = self._rng.random(count) < self.epsilon
        return np.where(explores, self._rng.integers(self.arms, size=count), best), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        for name, member in self.members.items():
            member.learn(actions, _given(terms)[name])
        self._pulls += len(actions)


class Hierarchical(_Team):
    """A bandit over the members chooses who decides, and learns the whole reward; each member learns its own pulls.

    ``options`` are those of the bandit that chooses, whose name is ``chooser``.
    """

    def __init__(self, members: Mapping[str, Bandit], seed: int, *, chooser: str = "thompson", **options: Any) -> None:
        super().__init__(members)
        self.chooser = make_bandit(chooser, len(self.members), seed, options)

    @staticmethod
    def lessons(members: int) -> float:
        return 1 / members

    def probabilities(self) -> Values:
        return self._mixture(self.chooser.probabilities())

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        if deterministic:
            member = list(self.members.values())[int(self.chooser.values.argmax())]
            return member.predict(observation, deterministic=True)
        return self._decide(self.chooser.predict(observation)[0]), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        self.chooser.learn(self._deciders, rewards)
        self._learn_own(actions, _given(terms))


class Alternating(_Team):
    """The members take turns of ``period`` pulls; each learns its own pulls."""

    def __init__(self, members: Mapping[str, Bandit], seed: int, *, period: int = 100) -> None:
        if not isinstance(period, int) or period < 1:
            raise ValueError(f"period must be a whole number of at least 1, got {period!r}")
        super().__init__(members)
        self._period, self._pulls = period, 0

    @staticmethod
    def lessons(members: int) -> float:
        return 1 / members

    def probabilities(self) -> Values:
        return self._mixture(np.eye(len(self.members))[self._pulls // self._period % len(self.members)])

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        turns = (self._pulls + np.arange(len(observation))) // self._period % len(self.members)
        if deterministic:
            best = np.array([int(member.values.argmax()) for member in self.members.values()])
            return best[turns], state
        return self._decide(turns), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        self._learn_own(actions, _given(terms))
        self._pulls += len(actions)


class SharedReplay(_Team):
    """Any member may decide, all with one chance; all learn from every pull, and from as many past ones, drawn anew.

    The past is the last ``capacity`` pulls, whoever decided them. This is for moving averages and preferences; a bandit
    that counts takes what is replayed for new pulls, and grows too sure.
    """

    def __init__(self, members: Mapping[str, Bandit], seed: int, *, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        super().__init__(members)
        self._rng = np.random.default_rng(seed)
        self._actions = np.zeros(capacity, np.int64)
        self._terms = {name: np.zeros(capacity) for name in self.members}
        self._pulls = 0

    @staticmethod
    def lessons(members: int) -> float:
        return 2

    def probabilities(self) -> Values:
        return self._mixture(np.full(len(self.members), 1 / len(self.members)))

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Arms, Any]:
        deciders = self._rng.integers(len(self.members), size=len(observation))
        if deterministic:
            best = np.array([int(member.values.argmax()) for member in self.members.values()])
            return best[deciders], state
        return self._decide(deciders), state

    def learn(self, actions: Arms, rewards: Values, terms: Mapping[str, Values] | None = None) -> None:
        capacity, given = len(self._actions), _given(terms)
        places = (self._pulls + np.arange(len(actions))) % capacity
        self._actions[places] = actions
        self._pulls += len(actions)
        past = self._rng.integers(min(self._pulls, capacity), size=len(actions))
        for name, member in self.members.items():
            self._terms[name][places] = given[name]
            member.learn(actions, given[name])
            member.learn(self._actions[past], self._terms[name][past])


TEAMS: Mapping[str, Team] = {
    "weighted": Weighted,
    "hierarchical": Hierarchical,
    "alternating": Alternating,
    "shared_replay": SharedReplay,
}
"""By the name on the command line; each is made by ``make(members, seed, **options)``."""


def make_team(
    name: str,
    member: str,
    objectives: Sequence[str],
    arms: int,
    seed: int,
    options: Mapping[str, Any] | None = None,
    member_options: Mapping[str, Any] | None = None,
) -> Bandit:
    """A team of one bandit of kind ``member`` for each objective.

    Raises ``ValueError``, in one line, for an unknown name or option, and for fewer than two objectives.
    """
    if name not in TEAMS:
        raise ValueError(f"unknown team {name!r}; known: {', '.join(TEAMS)}")
    if len(objectives) < 2:
        raise ValueError(f"a team needs a reward of at least two terms, not {', '.join(objectives)}")
    members = {
        objective: make_bandit(member, arms, seed + index + 1, member_options)
        for index, objective in enumerate(objectives)
    }
    try:
        return TEAMS[name](members, seed, **dict(options or {}))
    except TypeError as error:
        raise ValueError(f"team {name!r}: {error}") from None


def _given(terms: Mapping[str, Values] | None) -> Mapping[str, Values]:
    if terms is None:
        raise ValueError("a team learns from the terms of the reward; give them beside it")
    return terms
