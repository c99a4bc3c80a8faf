"""Teams of bandits: who decides, who learns what, and what comes of it."""

import numpy as np
import pytest

from agents.bandit_teams import TEAMS, Alternating, Hierarchical, SharedReplay, Weighted, make_team
from agents.bandits import EpsilonGreedy

every_team = pytest.mark.parametrize("name", TEAMS)
FIRST, SECOND = np.array([1.0, 0.0, 0.7, 0.0]), np.array([0.0, 1.0, 0.7, 0.0])
"""Two objectives: each has an arm of its own, and the third arm is the best for both together."""


def members(**options):
    return {name: EpsilonGreedy(4, seed, anneal=500, **options) for seed, name in enumerate(("first", "second"))}


def play(team, pulls, batch=4):
    actions = []
    for _ in range(pulls // batch):
        chosen, _ = team.predict(np.zeros((batch, 1)))
        team.learn(chosen, FIRST[chosen] + SECOND[chosen], {"first": FIRST[chosen], "second": SECOND[chosen]})
        actions.append(chosen)
    return np.concatenate(actions)


@every_team
def test_each_learns_its_own_objective(name):
    team = make_team(name, "ema", ("first", "second"), 4, 0, member_options={"anneal": 500})
    actions = play(team, 4000)
    first, second = team.members.values()
    often = np.bincount(actions[-400:], minlength=4).argsort()
    if name == "weighted":
        assert often[-1] == 2, "the compromise"
    elif name == "hierarchical":
        assert often[-1] in (0, 1), "both are worth the same, and one of them is kept to"
    else:
        assert {*often[-2:]} == {0, 1}, "each member's own favourite"
        assert first.values.argmax() == 0 and second.values.argmax() == 1
    policy = team.probabilities()
    assert policy.sum() == pytest.approx(1) and policy.min() >= 0 and policy.shape == (4,)
    best, _ = team.predict(np.zeros((6, 1)), deterministic=True)
    assert set(best) <= {0, 1, 2}


@every_team
def test_equal_seeds_give_equal_actions(name):
    runs = [play(make_team(name, "ema", ("first", "second"), 4, seed), 200).tolist() for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_turns_are_taken():
    team = Alternating(members(epsilon_start=0.0, epsilon_end=0.0), 0, period=3)
    team.members["first"].learn(np.array([0]), np.array([9.0]))
    team.members["second"].learn(np.array([1]), np.array([9.0]))
    assert play(team, 12, batch=4).tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert team.probabilities().tolist() == [1, 0, 0, 0]


def test_the_chooser_learns_the_whole_reward_and_members_their_own_pulls():
    team = Hierarchical(members(), 0)
    seen = {"first": 0, "second": 0}
    for name, member in team.members.items():
        learn = member.learn

        def count(actions, rewards, name=name, learn=learn):
            seen[name] += len(actions)
            learn(actions, rewards)

        member.learn = count
    play(team, 400)
    assert sum(seen.values()) == 400 and min(seen.values()) > 0
    assert team.chooser.arms == 2


def test_a_replay_is_of_the_last_pulls_and_everybody_learns_all():
    team = SharedReplay(members(), 0, capacity=4)
    batches = []
    learn = team.members["first"].learn
    team.members["first"].learn = lambda actions, rewards: (batches.append(actions.tolist()), learn(actions, rewards))
    for arm in (0, 1, 2):
        actions = np.full(4, arm)
        team.learn(actions, np.zeros(4), {"first": FIRST[actions], "second": SECOND[actions]})
    assert batches == [[0] * 4, [0] * 4, [1] * 4, [1] * 4, [2] * 4, [2] * 4]


def test_a_weighted_team_of_averages_is_one_average_of_the_sum():
    team, one = Weighted(members(learning_rate=0.2), 0), EpsilonGreedy(4, 0, learning_rate=0.2)
    actions = np.random.default_rng(0).integers(4, size=50)
    team.learn(actions, np.zeros(50), {"first": FIRST[actions], "second": SECOND[actions]})
    one.learn(actions, FIRST[actions] + SECOND[actions])
    np.testing.assert_allclose(team.values, one.values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("committee", "ema", ("a", "b")), "unknown team 'committee'; known: weighted, hierarchical"),
        (("weighted", "ema", ("a",)), "a team needs a reward of at least two terms, not a"),
        (("weighted", "emu", ("a", "b")), "unknown bandit 'emu'"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_team(*arguments, 4, 0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("alternating", {"pace": 3}, "team 'alternating': .*pace"),
        ("alternating", {"period": 0}, "period must be a whole number of at least 1, got 0"),
        ("alternating", {"period": 2.5}, "period must be a whole number of at least 1, got 2.5"),
        ("shared_replay", {"capacity": 0}, "capacity must be at least 1, got 0"),
        ("shared_replay", {"capacity": 2.5}, "team 'shared_replay': "),
        ("weighted", {"anneal": 0}, "anneal must be at least 1, got 0"),
        ("weighted", {"epsilon": 1.5}, "within 0..1"),
        ("weighted", {"epsilon": 0.1, "epsilon_end": 0.5}, "to epsilon_end, not from 0.1 to 0.5"),
        ("hierarchical", {"chooser": "dice"}, "unknown bandit 'dice'"),
        ("hierarchical", {"pace": 3}, "bandit 'thompson': .*pace"),
    ],
)
def test_wrong_options_are_told(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_team(name, "ema", ("a", "b"), 4, 0, options)


@every_team
def test_a_team_needs_the_terms(name):
    team = make_team(name, "ema", ("a", "b"), 4, 0)
    actions, _ = team.predict(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="learns from the terms"):
        team.learn(actions, np.zeros(2))
