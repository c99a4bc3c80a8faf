"""Pulling that was broken off and goes on ends as if it had never been, whoever pulls."""

import pytest

from agents.bandit_state import bandit_state
from agents.bandit_teams import TEAMS, make_team
from agents.bandit_training import make_bandit_env, pull
from agents.bandits import BANDITS, make_bandit
from agents.tree_file import read_tree, write_tree
from tests.agents.trees import differences

CODES, PULLS, STOPPED = 12, 72, 40


def make(name, terms):
    return make_bandit(name, CODES, 3) if name in BANDITS else make_team(name, "thompson", terms, CODES, 3)


@pytest.mark.parametrize("name", [*BANDITS, *TEAMS])
def test_pulling_goes_on_exactly(name, checkpoint, tmp_path):
    """In the middle of episodes, under noise, with a reward that looks back, through a file."""
    options = {"gan": str(checkpoint), "codes": CODES, "noise": 0.3, "pulls": 7, "observation": "last"}
    options["reward"] = "discriminator=1,diversity=0.5"
    path, told = tmp_path / "state.safetensors", []

    def make_both():
        envs = make_bandit_env(8, options)
        return envs, make(name, list(envs.core.weights))

    def after(pulls, state):
        if pulls == STOPPED:
            write_tree(path, state(), {})

    def end(envs, bandit, record):
        return {"record": vars(record), "bandit": bandit_state(bandit), "environments": envs.get_state()}

    envs, bandit = make_both()
    whole = end(envs, bandit, pull(envs, bandit, PULLS, seed=5, points=3, after=after))
    envs, bandit = make_both()
    saved, _ = read_tree(path)
    assert differences(whole["bandit"], saved["bandit"]), "it learned something after that"
    record = pull(envs, bandit, PULLS, seed=5, points=3, saved=saved, on_point=lambda one: told.append(one.at[-1]))
    assert differences(end(envs, bandit, record), whole) == []
    assert told == [48, 72] and record.at == [24, 48, 72], "no point is told twice"
