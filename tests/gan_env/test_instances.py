"""Suites: their training distribution and their fixed, held-out lists."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from gan_backbones import BACKBONES, LOSSES
from gan_backbones.data import DATA_SETS
from gan_env import EnvConfig
from gan_env.core import BalanceCore
from gan_env.instances import SPLITS, SUITES, Suite, get_suite, register_suite

every_suite = pytest.mark.parametrize("name", SUITES)
ROOT = Path(__file__).parents[2]
TORCH_SEED_BITS = 32
"""PyTorch's CPU generator (mt19937) reads no more bits of a seed."""


@every_suite
def test_held_out_lists_are_fixed(name):
    suite = get_suite(name)
    for split in suite.held_out:
        instances = suite.instances(split)
        assert instances == suite.instances(split)
        assert len(instances) == len(set(instances)) == suite.held_out[split] >= 30
    longer = dataclasses.replace(suite, held_out={"test": 40})
    shorter = dataclasses.replace(suite, held_out={"test": 10})
    assert longer.instances("test")[:10] == shorter.instances("test")


def test_held_out_lists_are_those_that_were_published():
    """A change of these makes every published table incomparable."""
    first = SUITES["ring"].instances("test")[0]
    assert (first.seed, round(first.lr_g, 9), round(first.lr_d, 9)) == (2432005073, 0.00673355, 0.000592704)


@every_suite
def test_splits_are_disjoint_for_the_generators_that_they_seed(name):
    suite, rng = get_suite(name), np.random.default_rng(0)
    seeds = {"train": {suite.sample(rng).seed for _ in range(2000)}}
    seeds |= {split: {instance.seed for instance in suite.instances(split)} for split in suite.held_out}
    assert set(seeds) == set(SPLITS)
    largest = 2**TORCH_SEED_BITS - 1
    # Whatever is drawn: the extremes of each split, as the generator sees them, leave room between the splits.
    ranges = sorted((min(values) & largest, max(values) & largest) for values in seeds.values())
    assert all(low_end < high_start for (_, low_end), (high_start, _) in itertools.pairwise(ranges))
    assert all(0 <= seed <= largest for values in seeds.values() for seed in values)


@every_suite
def test_starting_rates_are_log_uniform_and_independent(name):
    suite, rng = get_suite(name), np.random.default_rng(0)
    (start_range,) = {limits for task in suite.tasks for limits in task.start_ranges}
    rates = np.log10([(i.lr_g, i.lr_d) for i in (suite.sample(rng) for _ in range(4000))])
    low, high = np.log10(start_range)
    assert rates.min() >= low and rates.max() <= high
    positions = (rates - low) / (high - low)
    # Uniform in [0, 1]: standard errors of the mean, the variance and the correlation are 0.005, 0.0012 and 0.016.
    np.testing.assert_allclose(positions.mean(0), 0.5, atol=0.02)
    np.testing.assert_allclose(positions.var(0), 1 / 12, atol=0.005)
    assert abs(np.corrcoef(positions.T)[0, 1]) < 0.07
    assert positions.min() < 0.01 and positions.max() > 0.99


@every_suite
def test_a_draw_depends_on_its_generator_alone(name):
    suite = get_suite(name)
    one, same, other = (suite.sample(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same and one != other


@every_suite
def test_instances_say_what_their_task_says(name):
    suite, rng = get_suite(name), np.random.default_rng(0)
    for split in SPLITS:
        tasks = {(task.data, task.population_key()): task for task in suite.tasks_of(split)}
        assert len(tasks) == len(suite.tasks_of(split)), "data set and population tell an instance's task"
        drawn = [suite.sample(rng, split) for _ in range(100)]
        assert {(instance.data, instance.population_key()) for instance in drawn} == set(tasks)
        for instance in drawn:
            task = tasks[instance.data, instance.population_key()]
            plain = json.loads(json.dumps(instance.to_dict()))
            assert plain["backbone_options"] == dict(task.backbone_options)
            assert plain["constants"] == dict(task.constants) and instance.betas == task.betas
            for field in ("resolution", "backbone", "loss", "batch_size", "updates_per_step", "decisions"):
                assert plain[field] == getattr(task, field)
            assert instance.population_key() == task.population_key()
    for task in suite.all_tasks():
        assert task.data in DATA_SETS and task.backbone in BACKBONES and task.loss in LOSSES
        assert task.worst_grade > 0 and task.worst_proxy > 0 and task.noop_grade > 0 and 0 < task.noop_tenth < 1


@every_suite
def test_tasks_that_share_a_population_are_measured_alike(name):
    kinds = {}
    for task in get_suite(name).all_tasks():
        measured = (task.proxy_samples, task.grade_samples, task.worst_proxy, task.worst_grade)
        assert kinds.setdefault(task.population_key(), measured) == measured


def test_what_doing_nothing_reaches_is_what_was_measured():
    record = json.loads((ROOT / "docs" / "results" / "noop-grades.json").read_text())
    tasks = dict.fromkeys(task for suite in SUITES.values() for task in suite.all_tasks())
    names = [task.title for task in tasks]
    assert set(record) == set(names)
    for name, task in zip(names, tasks, strict=True):
        assert len(record[name]["grades"]) == 64
        assert record[name]["median"] == pytest.approx(np.median(record[name]["grades"]))
        assert task.noop_grade == pytest.approx(record[name]["median"], rel=1e-3)
        tenth = np.quantile(record[name]["grades"], 0.1) / record[name]["median"]
        assert task.noop_tenth == pytest.approx(tenth, rel=1e-2)


def test_a_transfer_suite_is_tested_on_what_it_never_trained_on():
    names = [name for name in SUITES if name.startswith("transfer-")]
    assert len(names) == 5
    for name in names:
        suite = get_suite(name)
        (test,) = {instance.data for instance in suite.instances("test")}
        seen = {instance.data for instance in suite.instances("validation")} | {task.data for task in suite.tasks}
        assert test not in seen and len(seen) == 4


def test_a_draw_can_be_confined_to_some_tasks():
    suite, rng = get_suite("mixed"), np.random.default_rng(0)
    drawn = {suite.sample(rng, accept=lambda task: task.backbone == "dcgan").data for _ in range(40)}
    assert drawn == {task.data for task in suite.tasks} - {"ring"}


def test_suites_differ_in_their_held_out_seeds():
    seeds = [{instance.seed for instance in suite.instances("test")} for suite in SUITES.values()]
    assert len(set.union(*seeds)) == sum(map(len, seeds))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="unknown suite 'rings'; known: ring, grid, faces"):
        get_suite("rings")
    with pytest.raises(ValueError, match="split must be one of validation, test, not 'train'"):
        get_suite("ring").instances("train")
    with pytest.raises(ValueError, match="suite 'empty' has no tasks"):
        register_suite(Suite("empty", "nothing", ()))
    with pytest.raises(ValueError, match="suite 'ring' is registered already"):
        register_suite(SUITES["ring"])


def test_what_a_task_fixes_holds_unless_the_agent_or_the_user_says_otherwise():
    task = dataclasses.replace(get_suite("ring").tasks[0], constants=(("gp_weight", 10.0),))

    def fixed(**options):
        config = EnvConfig(suite="ring", measure_quality=False, reward="stability", **options)
        core = BalanceCore(config, 2, task)
        return {name: values.tolist() for name, values in core.constants.items()}

    assert fixed() == {"gp_weight": [10.0, 10.0]}
    assert fixed(constants={"gp_weight": 3.0}) == {"gp_weight": [3.0, 3.0]}
    assert fixed(knobs=("lr_g", "lr_d", "gp_weight")) == {}
