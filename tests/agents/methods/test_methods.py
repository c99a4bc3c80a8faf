"""Every method of the registry, on a tiny suite: within its budget, within the rules of its table, repeatable."""

import dataclasses
import math

import numpy as np
import pytest

from agents import presets
from agents.evaluation import Evaluator, finals, with_rates
from agents.kinds import ELSEWHERE, KINDS
from agents.methods import FREE, METHODS, RESCUE, TABLES, Context, default_budget, find_method
from agents.methods.learned import START_FACTOR
from agents.methods.method import VALIDATION_SHARE, updates_of
from agents.methods.references import SETTINGS, static_settings
from agents.predictors import NoopPredictor
from agents.presets import ALGORITHMS
from gan_env import SUITES, Suite, instances
from gan_env.knobs import DEFAULT_MOVES, KNOBS

BRIEF = {"learning_starts": 4, "batch_size": 8, "gradient_steps": 1, "n_steps": 2, "n_epochs": 1}


@pytest.fixture
def brief(monkeypatch):
    """Presets with which every algorithm learns soon and briefly."""

    def get_preset(algorithm, suite):
        preset = presets.get_preset(algorithm, suite)
        arguments = {name: BRIEF.get(name, value) for name, value in preset.algorithm.items()}
        return dataclasses.replace(preset, num_envs=2, validations=2, algorithm=arguments)

    monkeypatch.setattr("agents.methods.learned.get_preset", get_preset)


def played(name, context):
    """The method prepared and played on the test instances; the GAN updates of both; what was told of ends."""
    updates, ended = [], []
    method = find_method(name)
    prepared = method.prepare(dataclasses.replace(context, on_step=updates.append))
    preparing = sum(updates)
    records = prepared.play(context.test, updates.append, lambda index, core, row: ended.append(index))
    return method, prepared, records, preparing, sum(updates) - preparing, ended


@pytest.mark.filterwarnings("ignore::UserWarning")  # of rollouts that no minibatch divides
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_to_its_budget_and_its_table(name, table, context, brief):
    cell = context(table=table)
    method, prepared, records, preparing, playing, ended = played(name, cell)
    once = sum(one.decisions * one.updates_per_step for one in cell.test)

    assert sorted(set(ended)) == [0, 1, 2] and len(ended) == 3
    assert prepared.updates <= cell.budget
    if method.kind == "population":
        assert preparing == 0 and prepared.updates == playing - once > 0
    else:
        assert prepared.updates == preparing and playing == method.plays * once
        assert (preparing > 0) == method.tuned
    assert preparing + playing <= method.expected_updates(cell)
    assert [updates for updates, _ in prepared.curve] == sorted(updates for updates, _ in prepared.curve)
    assert (len(prepared.curve) > 0) == (method.tuned and method.kind != "population")
    if prepared.curve:
        assert prepared.curve[-1][0] == prepared.updates

    for record, instance in zip(records, cell.test, strict=True):
        assert record.instance.seed == instance.seed and record.decisions == 3
        assert 0 < record.final <= 10 and math.isfinite(record.final_proxy)
        own_start = (record.instance.lr_g, record.instance.lr_d)
        if table == RESCUE and name != "oracle":
            assert own_start == (instance.lr_g, instance.lr_d)
            start = [math.log10(getattr(instance, knob, KNOBS[knob].default)) for knob in prepared.config.knobs]
            moves = np.diff(np.vstack([start, record.log10_knobs]), axis=0)
            assert np.abs(moves).max() <= math.log10(DEFAULT_MOVES[1]) + 1e-6
        elif method.kind != "reference":
            assert own_start != (instance.lr_g, instance.lr_d)


@pytest.mark.parametrize("name", ["best_static", "ada", "pbt", "random", "a2c"])
def test_the_seed_decides_everything(name, context, brief):
    one, same, other = (played(name, context(seed=seed))[2] for seed in (1, 1, 2))
    assert one == same and one != other


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if not method.seeded and name != "oracle"])
def test_what_says_so_is_the_same_for_every_seed(name, context):
    one, other = (played(name, context(seed=seed))[2] for seed in (0, 7))
    assert one == other


def test_the_oracle_is_the_best_of_its_settings(context):
    cell = context()
    _, _, records, *_ = played("oracle", cell)
    settings = static_settings(cell.resolved_suite.tasks[0].start_ranges)
    assert len(set(settings)) == SETTINGS
    logs = np.log10(settings)
    assert logs.min() >= -5 - 1e-9 and logs.max() <= -1.5 + 1e-9 and np.ptp(logs, axis=0).min() > 3
    evaluator = Evaluator(cell.config(), 3)
    noop = NoopPredictor(evaluator.codec)
    table = np.array([finals(evaluator.evaluate(noop, with_rates(cell.test, *pair))) for pair in settings])
    evaluator.close()
    np.testing.assert_allclose(finals(records), table.min(axis=0), rtol=1e-5)


def test_the_learners_train_near_the_pair_that_they_start_from(context, brief):
    _, prepared, records, *_ = played("a2c", context(table=FREE))
    pair = prepared.notes["start"]
    for limits, rate in zip(prepared.config.start_ranges, pair, strict=True):
        np.testing.assert_allclose(limits, [max(1e-6, rate / START_FACTOR), min(0.1, rate * START_FACTOR)])
    assert all((record.instance.lr_g, record.instance.lr_d) == pair for record in records)
    assert 0 < prepared.notes["start_updates"] <= 100 < prepared.updates


def test_a_variant_changes_the_environment_alone(context, brief):
    _, plain, *_ = played("a2c", context())
    _, varied, *_ = played("a2c[reward=terminal;knobs=lr_g,lr_d,fm_weight;moves=(2.0,3.0)]", context())
    expected = {"reward": "terminal", "knobs": ("lr_g", "lr_d", "fm_weight"), "moves": (2.0, 3.0)}
    assert varied.config == dataclasses.replace(plain.config, **expected) and plain.config.reward == "default"
    assert find_method("fsco").kind == "learned"
    _, fsco, *_ = played("fsco", context())
    assert fsco.config.reward == "loss_gap" and fsco.config.action_type == "continuous"


@pytest.mark.parametrize("name", ["best_static", "best_schedule", "taught_ppo"])
def test_a_variant_with_more_knobs_searches_for_their_values(name, context, brief):
    _, prepared, records, *_ = played(f"{name}[knobs=lr_g,lr_d,r1_weight]", context(budget=800))
    assert prepared.config.knobs == ("lr_g", "lr_d", "r1_weight")
    values = prepared.notes.get("teacher", prepared.notes.get("values"))
    assert {"lr_g", "lr_d", "r1_weight"} <= values.keys()
    if name == "best_static":
        wanted = np.log10(values["r1_weight"])
        at_the_end = [record.log10_knobs[-1][2] for record in records]
        # A target is approached by at most the large move, five times, at each of three decisions.
        np.testing.assert_allclose(at_the_end, np.clip(wanted, -1 - 3 * np.log10(5), -1 + 3 * np.log10(5)), atol=1e-6)


@pytest.fixture
def elsewhere(tiny_suite, monkeypatch):
    """Name of a suite like the tiny one, but of other data."""
    task = dataclasses.replace(SUITES[tiny_suite].tasks[0], data="grid")
    suite = Suite("elsewhere", "for tests", (task,), held_out={"validation": 2, "test": 3})
    monkeypatch.setitem(instances._SUITES, suite.name, suite)
    return suite.name


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["best_static", "student_ppo"])
def test_what_is_prepared_elsewhere_is_played_here(name, context, elsewhere, brief, monkeypatch):
    prepared_on = []
    evaluate = Evaluator.evaluate

    def watched(self, predictor, instances, *rest, **more):
        prepared_on.extend(one.data for one in instances)
        return evaluate(self, predictor, instances, *rest, **more)

    monkeypatch.setattr(Evaluator, "evaluate", watched)
    method, prepared, records, *_ = played(f"{name}[suite={elsewhere}]", context(budget=800))
    assert method.kind == ELSEWHERE and method.suite == elsewhere and elsewhere in method.description
    here = context()
    assert prepared.config.suite == here.suite and [record.instance for record in records] == list(here.test)
    assert prepared_on[-3:] == ["ring"] * 3 and set(prepared_on[:-3]) == {"grid"}
    # The same as what that suite's own cell prepares.
    _, own, *_ = played(name, context(suite=elsewhere, budget=800))
    assert (own.notes, own.updates, own.curve) == (prepared.notes, prepared.updates, prepared.curve)


@pytest.mark.parametrize("preparing", ["ring", "mixed", "transfer-faces"])
def test_nothing_is_prepared_elsewhere_on_what_it_is_tested_on(preparing, context):
    method = find_method(f"student_ppo[suite={preparing}]")
    for act in (method.check, method.prepare):
        with pytest.raises(ValueError, match=f"{preparing} holds ring, on which suite tiny tests"):
            act(context(budget=800))


def test_one_set_of_images_has_several_names():
    method = find_method("student_ppo[suite=transfer-faces]")
    with pytest.raises(ValueError, match="transfer-faces holds digits, on which suite digits tests"):
        method.check(Context("digits", "rescue", 0, 320_000))
    with pytest.raises(ValueError, match="transfer-photos holds glyphs, on which suite faces tests"):
        find_method("ppo[suite=transfer-photos]").check(Context("faces", "rescue", 0, 320_000, {"data": "glyphs"}))


def test_the_registry_is_complete():
    assert set(ALGORITHMS) < set(METHODS) and {method.kind for method in METHODS.values()} == set(KINDS) - {ELSEWHERE}
    assert {"noop", "random", "oracle", "constant", "ttur", "linear", "cosine", "r3gan", "fsco", "pbt"} < set(METHODS)
    assert {"best_static", "best_schedule", "ada", "gap_aware", "loss_ratio", "update_ratio", "apfl"} < set(METHODS)
    assert default_budget("ring") > 0 and default_budget("mixed") == default_budget("faces")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ppp", "unknown method 'ppp'; known: noop, random"),
        ("ppp[reward=terminal]", "unknown method 'ppp'"),
        ("noop[reward=terminal]", "method 'noop' has no variants; these do: dqn, ppo, .*best_static, best_schedule"),
        ("best_static[reward=terminal]", "unknown option 'reward'; known: knobs, suite"),
        ("best_schedule[knobs=lr_g]", "lr_d is missing"),
        ("ppo[reward=gold]", "unknown reward 'gold'"),
        ("ppo[colour=3]", "unknown option 'colour'; known: action_type"),
        ("ppo[reward]", "takes NAME=VALUE"),
        ("ppo[suite=rings]", "unknown suite 'rings'"),
        ("best_static[suite=3]", "suite must be a name, not 3"),
        ("pbt[suite=ring]", "method 'pbt' has no variants"),
        ("dqn[action_type=continuous]", "'dqn' needs action type discrete"),
    ],
)
def test_unknown_methods_are_told_in_one_line(name, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[")) as caught:
        find_method(name)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["ada", "best_static", "pbt", "a2c"])
@pytest.mark.parametrize("table", TABLES)
def test_a_budget_that_is_too_small_is_told(name, table, context, brief):
    for attempt in (find_method(name).check, find_method(name).prepare):
        with pytest.raises(ValueError, match=r"a budget of .* GAN updates") as caught:
            attempt(context(table=table, budget=12))
        assert "\n" not in str(caught.value)


def test_who_must_be_tried_twice_is_where_once_can_be_paid(context):
    cell = context()
    once = updates_of(cell.validation)
    assert [cell.validations(5, int(share * once / VALIDATION_SHARE)) for share in (1, 2.5, 9)] == [1, 2, 5]
    assert [cell.validations(5, int(share * once / VALIDATION_SHARE), twice=True) for share in (1, 2.5, 9)] == [2, 2, 5]
    with pytest.raises(ValueError, match=r"instances once takes .* may take 25%"):
        cell.validations(5, int(0.9 * once / VALIDATION_SHARE), twice=True)


@pytest.mark.parametrize("name", [name for name, algorithm in ALGORITHMS.items() if algorithm.taught])
def test_a_budget_that_does_not_pay_for_learning_is_told_before_a_teacher_is_sought(name, context, brief):
    spent = []
    with pytest.raises(ValueError, match=r"a budget of .* GAN updates is too small"):
        find_method(name).prepare(context(budget=100, on_step=spent.append))
    assert not spent


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [name for name, algorithm in ALGORITHMS.items() if algorithm.taught])
def test_a_cell_that_goes_on_keeps_its_teacher(name, context, brief, monkeypatch, tmp_path):
    cell = context(budget=800, checkpoints=tmp_path / "checkpoints")
    first = find_method(name).prepare(cell)
    monkeypatch.setattr("agents.methods.learned.find_schedule", None)
    again = find_method(name).prepare(cell)
    assert (again.notes, again.updates, again.curve) == (first.notes, first.updates, first.curve)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", [*METHODS, "student_ppo[suite=grid]"])
def test_whether_a_budget_suffices_is_known_before_it_is_spent(name, table, context, brief):
    spent = []
    method = find_method(name)
    if method.tuned:
        with pytest.raises(ValueError, match=r"a budget of .* GAN updates"):
            method.check(context(table=table, budget=12, on_step=spent.append))
    method.check(context(table=table, budget=400 if method.suite is None else 500_000, on_step=spent.append))
    assert not spent
