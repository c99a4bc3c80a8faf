"""The names of methods."""

import pytest

from agents.variants import at_home, split_names, split_variant


def test_names_are_split_outside_of_brackets():
    assert split_names("noop, dqn[knobs=lr_g,lr_d,fm_weight;reward=terminal],ppo") == [
        "noop",
        "dqn[knobs=lr_g,lr_d,fm_weight;reward=terminal]",
        "ppo",
    ]
    for bad, message in (("a,b,a", "'a' twice"), ("a,,b", "an empty name")):
        with pytest.raises(ValueError, match=message):
            split_names(bad)


@pytest.mark.parametrize(
    ("name", "base", "options", "home"),
    [
        ("ppo", "ppo", [], "ppo"),
        ("ppo[suite=ring]", "ppo", ["suite=ring"], "ppo"),
        ("ppo[history=1;suite=ring]", "ppo", ["history=1", "suite=ring"], "ppo[history=1]"),
        ("ppo[suite=ring;moves=(1.5,2.0)]", "ppo", ["suite=ring", "moves=(1.5,2.0)"], "ppo[moves=(1.5,2.0)]"),
        ("ppo[", "ppo[", [], "ppo["),
    ],
)
def test_a_variant_is_taken_apart(name, base, options, home):
    assert split_variant(name) == (base, options)
    assert at_home(name) == home
