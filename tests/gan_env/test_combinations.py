"""Whatever the registries hold fits together: a sample of all combinations in which every entry comes up repeatedly."""

import itertools

import numpy as np
import pytest

from gan_backbones import BACKBONES, LOSSES, OPTIONAL_KNOBS
from gan_backbones.data import DATA_SETS
from gan_env import GanBalanceEnv
from gan_env.knobs import ACTION_TYPES
from gan_env.observation import groups
from gan_env.reward import TERMS
from tests.gan_backbones.populations import knobs_for

COUNT = 56
FITTING = {True: [name for name in BACKBONES if name != "mlp"], False: ["mlp"]}
"""Backbones for points (they have no resolutions) and for images."""


def sample():
    """Each dimension runs through a shuffled order of its own, again and again, so that no entry is missed."""
    rng = np.random.default_rng(0)
    dimensions = {
        "data": list(DATA_SETS),
        "loss": list(LOSSES),
        "extra": [(), *((name,) for name in OPTIONAL_KNOBS), OPTIONAL_KNOBS],
        "action_type": list(ACTION_TYPES),
        "observation": ["default", *(f"default+{group}" for group in groups()[1:]), "+".join(groups())],
        "reward": [f"{term}=1" for term in TERMS],
        "constant": [True, False],
    }
    columns = {
        name: itertools.chain.from_iterable(iter(lambda values=values: list(rng.permutation(len(values))), None))
        for name, values in dimensions.items()
    }
    for index in range(COUNT):
        chosen = {name: dimensions[name][next(column)] for name, column in columns.items()}
        images = DATA_SETS[chosen["data"]].resolutions is not None
        backbone = FITTING[images][index % len(FITTING[images])]
        extra = tuple(name for name in chosen["extra"] if name in knobs_for(backbone))
        yield {**chosen, "extra": extra, "backbone": backbone, "images": images}


COMBINATIONS = list(sample())


def test_every_entry_comes_up():
    assert {one["data"] for one in COMBINATIONS} == set(DATA_SETS)
    assert {one["backbone"] for one in COMBINATIONS} == set(BACKBONES)
    for name, table in (("loss", LOSSES), ("action_type", ACTION_TYPES)):
        for backbone in BACKBONES:
            assert {one[name] for one in COMBINATIONS if one["backbone"] == backbone} == set(table)
    assert {name for one in COMBINATIONS for name in one["extra"]} == set(OPTIONAL_KNOBS)


@pytest.mark.parametrize("one", COMBINATIONS, ids=lambda one: "-".join(str(one[name]) for name in ("data", "loss")))
def test_it_steps_and_repeats_itself(one):
    quality = one["observation"].endswith("quality") or "quality" in one["reward"]
    extra = () if one["constant"] else one["extra"]
    env = GanBalanceEnv(
        suite="faces" if one["images"] else "ring",
        data=one["data"],
        resolution=16 if one["images"] else None,
        backbone=one["backbone"],
        backbone_options={"latent_size": 4, "width": 2} if one["images"] else {"latent_size": 4, "width": 8},
        loss=one["loss"],
        knobs=("lr_g", "lr_d", *extra),
        constants={} if not one["constant"] else dict.fromkeys(one["extra"], 1.0),
        action_type=one["action_type"],
        observation="default+absolute" if one["images"] and quality else one["observation"],
        reward="stability=1" if one["images"] and quality else one["reward"],  # a proxy takes half a minute to make
        measure_quality=quality and not one["images"],
        batch_size=4,
        updates_per_step=2,
        decisions=3,
    )
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(3)]

    def play():
        observation, _ = env.reset(seed=5)
        trace = [observation]
        for action in actions:
            observation, reward, terminated, truncated, _ = env.step(action)
            trace.append(np.append(observation, reward))
            assert env.observation_space.contains(observation) and np.isfinite(reward) and not truncated
            if terminated:
                break
        assert terminated
        return trace

    first, second = play(), play()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    env.close()
