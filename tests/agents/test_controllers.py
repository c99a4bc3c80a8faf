"""Rules and trained policies by name: what each does, derived a second time."""

import inspect
import json
import math

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.apfl import Apfl
from agents.controllers import ALIASES, find_controller
from agents.evaluation import Evaluator, with_rates
from agents.policies.export import export_policy
from agents.presets import ALGORITHMS
from agents.rules import RULES
from agents.sb3 import make_model
from agents.schedules import SHAPES, Course, Schedule
from agents.trained import load_policy
from gan_env import ActionCodec, EnvConfig, GanBalanceEnv
from gan_env.spaces import action_space

OPTIONS = {"suite": "ring", "updates_per_step": 2, "decisions": 8}
NAMES = ("real_accuracy", "fake_accuracy", "budget_left", "lr_g_relative", "lr_d_relative")
CODEC, TARGETS = (ActionCodec(action_type, ("lr_g", "lr_d")) for action_type in ("continuous", "target"))
HALF_DECADES = 2 / math.log10(CODEC.moves[1])  # large moves per unit of a relative position


def see(perceived, positions):
    """Observations ``(n, 5)`` of accuracies ``(n, 2)`` and knobs ``(n, 2)``, these in large moves from the start."""
    return np.concatenate([perceived, np.ones((len(perceived), 1)), positions / HALF_DECADES], axis=1)


def play(apfl, effects, decisions, start=(-0.5, 0.2), drift=0.0):
    """A plant on which moves add to the accuracies: observations, actions and the last state; one row."""
    perceived, positions, state = np.array([start]), np.zeros((1, 2)), None
    seen, moves = [], []
    for decision in range(decisions):
        seen.append(perceived[0])
        action, state = apfl.predict(see(perceived, positions), state, np.array([decision == 0]))
        moves.append(action[0])
        if decision:  # before the first step there is nothing to see
            perceived = perceived + action @ effects + drift
        positions = positions + action
    return np.array(seen), np.array(moves), state


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("observation", ["default", "default+quality"])
def test_every_rule_plays_whole_episodes(rule, observation):
    controller = find_controller(rule)
    config = EnvConfig(**OPTIONS, observation=observation, **controller.settings)
    evaluator = Evaluator(config, 3)
    instances = with_rates(evaluator.suite.instances("test")[:4], 1e-3, 1e-3)
    records, again = (evaluator.evaluate(controller.build(config), instances) for _ in range(2))
    evaluator.close()
    assert records == again and set(RULES[rule].knobs) <= set(config.knobs)
    for record in records:
        assert record.decisions == 8 and math.isfinite(record.final)
        assert all(abs(number) <= 1 for action in record.actions for number in action)
        assert any(np.ptp(path) > 0 for path in zip(*record.log10_knobs, strict=True)) == (rule != "noop")


@pytest.mark.parametrize("alias", ALIASES)
def test_another_name_is_the_same_rule(alias):
    assert alias not in RULES
    named, same = find_controller(alias), find_controller(ALIASES[alias])
    assert named.settings == same.settings and named.build == same.build


def test_cosine_is_followed_from_any_start():
    controller = find_controller("cosine")
    config = EnvConfig(**OPTIONS, knobs=("lr_d", "fm_weight", "lr_g"), **controller.settings)
    env = GanBalanceEnv(**{name: getattr(config, name) for name in (*OPTIONS, "knobs", "action_type", "moves")})
    schedule = controller.build(config)
    start = with_rates(env.core.suite.instances("test")[:1], 2e-3, 5e-4)[0]
    observation, info = env.reset(options={"instance": start})
    fm_weight = info["knobs"]["fm_weight"]
    for decision in range(8):
        action, _ = schedule.predict(observation[None])
        observation, _, _, _, info = env.step(action[0])
        t = decision / 8
        share = 0.01 + 0.99 * (t / 0.05 if t < 0.05 else (1 + math.cos(math.pi * (t - 0.05) / 0.95)) / 2)
        assert info["knobs"]["lr_g"] == pytest.approx(2e-3 * share, rel=1e-4)
        assert info["knobs"]["lr_d"] == pytest.approx(5e-4 * share, rel=1e-4)
        assert info["knobs"]["fm_weight"] == pytest.approx(fm_weight)
    env.close()


def test_courses_at_their_marks():
    marks = np.array([0.0, 0.1, 0.2, 0.4, 0.6, 1.0])
    cosine = 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    heights = {"cosine": [cosine, 0.55, 0.1], "linear": [0.775, 0.55, 0.1], "constant": [1.0, 1.0, 1.0]}
    assert set(heights) == set(SHAPES)
    for shape, falling in heights.items():
        course = Course(shape, (0.1, 1.0), warm_up=0.2)
        np.testing.assert_allclose(course(marks).T, [[0.1, 0.55, 1.0, *falling], [1.0] * 6])
    np.testing.assert_allclose(Course("cosine", [0.01])(np.array([0.0, 1.0])), [[1.0], [0.01]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"floors": {"lr_g": 0.0}}, "floors"),
        ({"warm_up": 1.0}, "warm_up"),
        ({"shape": "square"}, "unknown shape 'square' of a schedule; known: constant, linear, cosine"),
        ({"floors": {"fm_weight": 0.5}}, "'fm_weight'.*not among the knobs lr_g, lr_d"),
        ({"peaks": {"lr_g": 1e-3, "lr_d": 1e-3}}, "does not show 'lr_g_absolute'"),
        ({"codec": ActionCodec("discrete", ("lr_g", "lr_d")), "peaks": {"lr_g": 1e-3}}, "needs action type 'cont"),
        ({"codec": TARGETS}, "needs action type 'continuous', not 'target'"),
        ({"codec": TARGETS, "peaks": {"lr_g": 1e-3}}, "names lr_g, with peaks of lr_g; the knobs are lr_g, lr_d"),
    ],
)
def test_schedules_that_make_no_sense_are_told(changes, message):
    with pytest.raises(ValueError, match=message):
        Schedule(NAMES, **{"codec": CODEC, "shape": "cosine", "floors": {"lr_g": 0.1}} | changes)


@pytest.mark.parametrize(("action_type", "observation"), [("target", "default"), ("continuous", "absolute")])
def test_a_schedule_with_peaks_approaches_them_from_any_start_by_moves_within_the_bounds(action_type, observation):
    config = EnvConfig(**OPTIONS, knobs=("lr_d", "lr_g"), action_type=action_type, observation=observation)
    peaks = {"lr_g": 3e-3, "lr_d": 1e-3}
    schedule = Schedule(
        config.observer().names, config.codec(), "linear", floors=dict.fromkeys(peaks, 0.5), peaks=peaks
    )
    assert schedule.first_rates == pytest.approx((3e-3, 1e-3))
    evaluator = Evaluator(config, 2)
    instances = with_rates(evaluator.suite.instances("test")[:2], 2e-5, 2e-3)
    for record in evaluator.evaluate(schedule, instances):
        path, position = [], np.log10([2e-3, 2e-5])
        for decision in range(8):
            wanted = np.log10([1e-3, 3e-3]) + math.log10(0.5 + 0.5 * (1 - decision / 8))
            position = position + np.clip(wanted - position, -math.log10(5), math.log10(5))
            path.append(position)
        np.testing.assert_allclose(record.log10_knobs, path, atol=1e-5)
        assert record.log10_knobs[0][1] == pytest.approx(math.log10(1e-4)), "the first move is as large as it may be"
    evaluator.close()


@pytest.mark.parametrize(
    "effects",
    [((-0.1, -0.4), (0.3, 0.2)), ((0.2, 0.3), (-0.4, -0.1))],
    ids=["as believed", "the other way round"],
)
@pytest.mark.parametrize("target", [0.6, 0.3])
def test_apfl_reaches_its_targets_on_a_plant_that_it_has_to_learn(effects, target):
    apfl = Apfl(NAMES, CODEC, target=target)
    apfl.smoothing = 0.0
    seen, _, state = play(apfl, np.array(effects), 60, drift=0.05)
    np.testing.assert_allclose(seen[-10:], target, atol=0.15)
    np.testing.assert_allclose(apfl.effects(state)[0], [*effects, (0.05, 0.05)], atol=0.06)


def test_apfl_learns_by_least_squares_with_forgetting():
    """Against the weighted normal equations, solved at once; the last drawn evidence counts most."""
    apfl, rng = Apfl(NAMES, CODEC), np.random.default_rng(0)
    perceived, positions = rng.uniform(-1, 1, (7, 2)), np.cumsum(rng.uniform(-1, 1, (7, 2)), axis=0)
    state = None
    for decision in range(7):
        _, state = apfl.predict(see(perceived[[decision]], positions[[decision]]), state, np.array([decision == 0]))
    smooth = [perceived[1]]
    for one in perceived[2:]:
        smooth.append(apfl.smoothing * smooth[-1] + (1 - apfl.smoothing) * one)
    changes, causes = np.diff(smooth, axis=0), np.column_stack([np.diff(positions[1:], axis=0), np.ones(5)])
    weights = apfl.forgetting ** np.arange(5)[::-1]
    prior = apfl.forgetting**5 * np.eye(3)
    believed = np.array([[-0.3, -0.3], [0.3, 0.3], [0.0, 0.0]])
    expected = np.linalg.solve((causes.T * weights) @ causes + prior, (causes.T * weights) @ changes + prior @ believed)
    np.testing.assert_allclose(apfl.effects(state)[0], expected, atol=1e-6)


def test_apfl_counters_a_discriminator_that_wins():
    apfl = Apfl(NAMES, CODEC)
    state = None
    for decision in range(2):
        action, state = apfl.predict(see(np.array([[1.0, 1.0], [-0.2, -0.2]]), np.zeros((2, 2))), state)
        assert (state["decisions"] == decision).all()
    winning, losing = action
    assert winning[0] > 0 > winning[1] and losing[0] < 0 < losing[1]


def test_apfl_keeps_rows_apart_and_forgets_at_a_new_episode():
    apfl, rng = Apfl(NAMES, CODEC), np.random.default_rng(1)
    perceived, positions = rng.uniform(-1, 1, (6, 3, 2)), rng.uniform(-1, 1, (6, 3, 2))
    begins = np.zeros((6, 3), dtype=bool)
    begins[0], begins[3, 1] = True, True

    def actions(rows):
        state, chosen = None, []
        for decision in range(6):
            observation = see(perceived[decision][rows], positions[decision][rows])
            action, state = apfl.predict(observation, state, begins[decision][rows])
            chosen.append(action)
        return np.array(chosen)

    together = actions([0, 1, 2])
    for row in range(3):
        np.testing.assert_allclose(together[:, [row]], actions([row]), atol=1e-6)
    fresh, state = [], None
    for decision in range(3, 6):
        action, state = apfl.predict(see(perceived[decision][[1]], positions[decision][[1]]), state)
        fresh.append(action)
    np.testing.assert_allclose(together[3:, [1]], fresh, atol=1e-6)


def test_rules_name_what_they_miss():
    with pytest.raises(ValueError, match="does not show 'fake_accuracy'"):
        Apfl(("real_accuracy",), CODEC)
    for name, rule in RULES.items():
        if name != "noop":
            with pytest.raises(ValueError, match="needs action type 'continuous'"):
                rule.build(EnvConfig(suite="ring", knobs=rule.knobs))


class Spaces(gym.Env):
    """Nothing but the spaces of an environment."""

    def __init__(self, action_type):
        config = EnvConfig(**OPTIONS, action_type=action_type)
        self.action_space = action_space(config.codec())
        self.observation_space = gym.spaces.Box(-5.0, 5.0, (len(config.observer().names),), np.float32)


PLAIN = [(name, algorithm.action_types[0], {}) for name, algorithm in ALGORITHMS.items()]
STATE_DEPENDENT = [
    (name, "continuous", {"use_sde": True})
    for name, algorithm in ALGORITHMS.items()
    if "use_sde" in inspect.signature(algorithm.cls).parameters and "continuous" in algorithm.action_types
]
"""Those that can explore by noise that depends on the state."""


@pytest.mark.parametrize(("algorithm", "action_type", "options"), PLAIN + STATE_DEPENDENT)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of sizes that no training follows
def test_a_saved_policy_decides_as_before(algorithm, action_type, options, tmp_path):
    options = options | {"policy_kwargs": {"net_arch": [8, 4]}}
    model = make_model(algorithm, DummyVecEnv([lambda: Spaces(action_type)]), 0, options)
    model.save(tmp_path / "policy.zip")
    environment = {"action_type": action_type, "moves": [1.5, 5.0], "observation": "default", "history": 3}
    settings = {
        "options": {"algo": algorithm},
        "algorithm": options,
        "environment": environment | {"knobs": ["lr_g", "lr_d", "fm_weight"], "reward": "default"},
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    controller = find_controller(str(tmp_path))
    config = EnvConfig(**OPTIONS, **controller.settings)
    policy = controller.build(config)
    observations = np.random.default_rng(0).uniform(-1, 1, (6, len(config.observer().names))).astype(np.float32)
    expected, _ = model.predict(observations, deterministic=True)
    actions, _ = policy.predict(observations, deterministic=True)
    np.testing.assert_allclose(actions, expected, rtol=1e-5)
    deployed, _ = export_policy(policy, config).act(observations)
    np.testing.assert_allclose(deployed, expected, rtol=1e-4, atol=1e-6)


def test_what_is_no_controller_is_told_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"unknown controller 'cosinus'; known: noop, .*, apfl, none, or a run folder"):
        find_controller("cosinus")
    with pytest.raises(ValueError, match="is no run folder"):
        find_controller(str(tmp_path))
    space, actions = gym.spaces.Box(-1.0, 1.0, (3,), np.float32), gym.spaces.Discrete(9)
    (tmp_path / "policy.zip").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="unknown algorithm 'dqm'"):
        load_policy("dqm", tmp_path / "policy.zip", space, actions, {})
    for path in (tmp_path / "policy.zip", tmp_path / "nowhere.zip"):
        with pytest.raises(ValueError, match="cannot load policy") as caught:
            load_policy("dqn", path, space, actions, {})
        assert "\n" not in str(caught.value)
