"""What ``train_agent.py --algo bandit`` makes of its options."""

import dataclasses

import numpy as np
import pytest

from agents.bandit_settings import BanditSettings
from agents.bandit_teams import TEAMS
from agents.bandits import EpsilonGreedy

TERMS = ["discriminator", "diversity", "contrast"]
PULLS, BATCH, CODES = 4800, 16, 10


@pytest.fixture
def settings_of(load_script):
    """``settings_of(*algo_options, **options)``: of a command line with a reward of three terms."""
    given = load_script("train_agent").Options(
        algo="bandit", total_timesteps=PULLS, reward=",".join(f"{term}=1" for term in TERMS)
    )

    def make(*algo_options, **options):
        return BanditSettings.of(dataclasses.asdict(dataclasses.replace(given, algo_options=algo_options, **options)))

    return make


def play(bandit, pulls):
    """Every term pays another arm."""
    for _ in range(pulls // BATCH):
        actions, _ = bandit.predict(np.zeros((BATCH, 1)))
        terms = {term: (actions == arm).astype(float) for arm, term in enumerate(TERMS)}
        bandit.learn(actions, np.sum(list(terms.values()), axis=0), terms)


def test_a_bandit_anneals_over_half_of_its_pulls(settings_of):
    bandit = settings_of().bandit(CODES, TERMS, seed=0)
    play(bandit, PULLS // 4)
    assert bandit.epsilon == pytest.approx(0.51)
    play(bandit, PULLS // 4)
    assert bandit.epsilon == pytest.approx(0.02)
    assert settings_of("anneal=77").learner_options == {"anneal": 77}
    assert settings_of("learner=thompson").learner_options == {}, "who knows no such option is given none"


@pytest.mark.parametrize("name", TEAMS)
def test_every_member_of_a_team_anneals_over_half_of_what_it_learns_from(name, settings_of):
    team = settings_of(f"team={name}").bandit(CODES, TERMS, seed=0)
    explorers = [*team.members.values(), *([team] if name == "weighted" else [])]
    assert all(isinstance(member, EpsilonGreedy) for member in team.members.values())
    play(team, PULLS // 4)
    if name != "hierarchical":  # whose members are used unevenly
        assert [one.epsilon for one in explorers] == pytest.approx([0.51] * len(explorers))
    play(team, PULLS - PULLS // 4)
    shares = [one.epsilon for one in explorers]
    assert (min if name == "hierarchical" else max)(shares) == pytest.approx(0.02)
    assert settings_of(f"team={name}", "anneal=77").learner_options == {"anneal": 77}


def test_who_chooses_among_members_anneals_too(settings_of):
    team = settings_of("team=hierarchical", "team_chooser=ema").bandit(CODES, TERMS, seed=0)
    play(team, PULLS // 2)
    assert team.chooser.epsilon == pytest.approx(0.02)


def test_a_team_takes_its_options_and_they_are_recorded(settings_of):
    settings = settings_of("team=alternating", "team_period=3", "learning_rate=0.2", "anneal=5")
    recorded = {"learner": "ema", "team": "alternating", "team_period": 3, "learning_rate": 0.2, "anneal": 5}
    assert settings.algorithm == recorded
    team = settings.bandit(CODES, TERMS, seed=0)
    turns = [team.probabilities().tolist()]
    for _ in range(6):
        actions, _ = team.predict(np.zeros((1, 1)))
        team.learn(actions, np.ones(1), dict.fromkeys(TERMS, np.ones(1)))
        turns.append(team.probabilities().tolist())
    assert turns[3] == [1 / CODES] * CODES != turns[2], "the second member, who has learned nothing, after three pulls"
    weighted = settings_of("team=weighted", "team_anneal=50", "team_epsilon=0.5")
    assert weighted.team_options == {"anneal": 50, "epsilon": 0.5}
    chosen = settings_of("team=hierarchical", "team_chooser=gradient", "team_learning_rate=0.5")
    assert chosen.team_options == {"chooser": "gradient", "learning_rate": 0.5}


@pytest.mark.parametrize("options", [{"data": "digits"}, {"env": ("gan=x", "data=digits")}], ids=["data", "env"])
def test_data_are_one_value_for_rewards_and_grades(options, settings_of):
    settings = settings_of(**{"env": ("gan=x",), **options})
    assert settings.data == settings.environment["data"] == "digits"
    assert settings_of(env=("gan=x",)).data is None, "the checkpoint's own"
    assert settings_of(env=("gan=x", "data=digits"), data="digits").data == "digits"
