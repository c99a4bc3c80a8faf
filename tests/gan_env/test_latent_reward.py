"""Every reward term of draws against known answers."""

import numpy as np
import pytest

from gan_backbones.calibration import Calibration
from gan_env.frozen_gan import Facts, Looks, parse_target
from gan_env.latent_reward import (
    PRESETS,
    TERMS,
    Draw,
    LatentRewardTerm,
    needs_of,
    parse_latent_reward,
    register_latent_reward,
    reward_terms,
)

COLUMNS = {"hat": slice(0, 2), "eyes": slice(2, 5), "noise": slice(5, 7)}
FREQUENCIES = np.array([0.8, 0.2, 0.5, 0.3, 0.2, 0.5, 0.5])


def draw(attributes, logits=(0.0,), thumbnails=((0.0, 0.0),), recent=(), recent_attributes=None, **facts):
    """One draw after some others."""
    shown = np.array(recent, np.float32).reshape(-1, 2)
    mean = np.zeros(7) if recent_attributes is None else np.array(recent_attributes)
    known = {
        "calibration": Calibration(2.0, 1.0),
        "columns": COLUMNS,
        "readable": ("hat", "eyes"),
        "frequencies": FREQUENCIES,
        "wanted": ((1,), (3, 4)),
        "typical_distance": 2.0,
    }
    looks = Looks(np.array(logits), np.array(thumbnails, np.float32), np.array([attributes], np.float32))
    memory = np.concatenate([shown, np.full((3 - len(shown), 2), 99, np.float32)])[None]
    drawn = (np.arange(3) < len(shown))[None]
    return Draw(looks, memory, drawn, mean[None], Facts(**known | facts))


COMMON = [1, 0, 1, 0, 0, 1, 0]
RARE = [0, 1, 0, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "one", "expected"),
    [
        ("discriminator", draw(COMMON, logits=[np.log(3)]), 0.75),
        ("discriminator", draw(COMMON, logits=[-1000.0]), 0.0),
        ("calibrated", draw(COMMON, logits=[(np.log(3) - 1) / 2]), 0.75),
        ("rare", draw(COMMON), 0.0),
        ("rare", draw(RARE), 1.0),
        ("rare", draw([0.5, 0.5, 1, 0, 0, 0, 1]), 0.375 / 1.35),  # half of 1 - 0.2 / 0.8 over 0.75 + 0.6
        ("balance", draw(COMMON), 1.0),
        ("balance", draw(COMMON, recent_attributes=COMMON), 0.0),
        ("balance", draw(RARE, recent_attributes=COMMON), 1.0),
        ("balance", draw([0.5, 0.5, 0, 1, 0, 1, 0], recent_attributes=COMMON), 0.75),
        ("diversity", draw(COMMON), 1.0),
        ("diversity", draw(COMMON, recent=[[0, 0], [5, 5]]), 0.0),
        ("diversity", draw(COMMON, recent=[[0.6, 0.8], [9, 9]]), 0.5),
        ("diversity", draw(COMMON, recent=[[30, 40]]), 1.0),
        ("contrast", draw(COMMON, thumbnails=[[0.6, -0.6]]), 0.6),
        ("contrast", draw(COMMON, thumbnails=[[-0.3, -0.3]]), 0.0),
        ("target", draw(RARE), 1.0),
        ("target", draw([0.5, 0.5, 0.2, 0.3, 0.5, 1, 0]), 0.4),
        ("target", draw(COMMON), 0.0),
    ],
)
def test_terms_have_their_values(name, one, expected):
    value = TERMS[name].compute(one)
    assert value.shape == (1,) and value.dtype == np.float64
    assert value[0] == pytest.approx(expected, abs=1e-6)


def test_a_reward_is_a_weighted_sum():
    weights = parse_latent_reward("discriminator=2,diversity=-0.5")
    terms = reward_terms(weights, draw(COMMON, recent=[[0.6, 0.8]]))
    assert {name: value.tolist() for name, value in terms.items()} == {"discriminator": [1.0], "diversity": [-0.25]}
    assert needs_of(weights) == {"history"}
    assert set(TERMS) <= set(PRESETS) and all(parse_latent_reward(name) == PRESETS[name] for name in PRESETS)


@pytest.mark.parametrize("wrong", ["gold", "rare=x", "rare=1,rare=2", "rare=inf", "", None, 3])
def test_wrong_rewards_are_refused(wrong):
    with pytest.raises(ValueError, match="reward"):
        parse_latent_reward(wrong)


def test_terms_can_be_added(monkeypatch):
    monkeypatch.setattr("gan_env.latent_reward._TERMS", table := dict(TERMS))
    register_latent_reward(LatentRewardTerm("flat", "the same for all", frozenset(), lambda one: one.looks.logits * 0))
    assert "flat" in table
    for term, message in (
        (LatentRewardTerm("flat", "", frozenset(), lambda one: one.looks.logits), "taken"),
        (LatentRewardTerm("two words", "", frozenset(), lambda one: one.looks.logits), "no identifier"),
        (LatentRewardTerm("fine", "", frozenset({"luck"}), lambda one: one.looks.logits), "needs 'luck'"),
    ):
        with pytest.raises(ValueError, match=message):
            register_latent_reward(term)


class Reader:
    """What a target is read against."""

    columns, accuracy = COLUMNS, {"hat": 0.9, "eyes": 0.8, "noise": 0.5}
    values = {"hat": ("no", "yes"), "eyes": ("a", "b", "c"), "noise": ("x", "y")}


def test_targets_name_columns():
    assert parse_target("hat=yes, eyes=b|c", Reader, ("hat", "eyes")) == ((1,), (3, 4))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("beard=long", "unknown attribute 'beard' in target 'beard=long'; known: hat, eyes, noise"),
        ("hat", "attribute 'hat' has no value ''; known: no, yes"),
        ("eyes=a|z", "attribute 'eyes' has no value 'z'; known: a, b, c"),
        ("noise=x", "attribute 'noise' is read right in 50% of held-out images only; readable: hat, eyes"),
    ],
)
def test_wrong_targets_are_refused(target, message):
    with pytest.raises(ValueError, match=message):
        parse_target(target, Reader, ("hat", "eyes"))
