"""Building models and choosing among their policies."""

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.evaluation import EpisodeRecord, Evaluator
from agents.presets import ALGORITHMS, get_preset
from agents.sb3 import ChooseByValidation, build_model, make_training_env
from gan_env import SUITES, EnvConfig
from gan_env.knobs import ACTION_TYPES

SMALL = {"suite": "ring", "updates_per_step": 1, "decisions": 2}
INSTANCES = SUITES["ring"].instances("validation")[:4]


@pytest.fixture
def env():
    env = make_training_env(2, SMALL)
    yield env
    env.close()


@pytest.fixture
def env_for():
    """env_for(name, **options) -> two small environments with the first action type that the algorithm takes."""
    made = []

    def env_for(name, **options):
        made.append(make_training_env(2, SMALL | {"action_type": ALGORITHMS[name].action_types[0]} | options))
        return made[-1]

    yield env_for
    for env in made:
        env.close()


def few(name):
    """Arguments with which every algorithm learns soon and briefly."""
    brief = {"learning_starts": 4, "batch_size": 4, "gradient_steps": 1, "n_steps": 2, "n_epochs": 1}
    return {key: brief.get(key, value) for key, value in get_preset(name, "ring").algorithm.items()}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_models_are_built_from_their_names(env_for, name):
    for action_type in ALGORITHMS[name].action_types:
        model = build_model(name, env_for(name, action_type=action_type), 3, {"learning_rate": 1e-3})
        assert type(model) is ALGORITHMS[name].cls and model.learning_rate == 1e-3 and model.seed == 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["dqn", "qrdqn"])
def test_targets_are_updated_at_every_step_without_a_warning(env_for, name):
    """An interval of 1 transition, of which two environments make two at once."""
    assert build_model(name, env_for(name), 0, few(name)).target_update_interval == 2
    assert build_model(name, env_for(name), 0, {"target_update_interval": 100}).target_update_interval == 100
    with pytest.raises(ValueError, match=name):
        build_model(name, env_for(name), 0, {"target_update_interval": "often"})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_options_stay_as_they_were(env_for, name):
    """Stable-Baselines3 writes into ``policy_kwargs``, which the presets share."""
    options = few(name)
    before = repr(options)
    build_model(name, env_for(name), 0, options)
    assert repr(options) == before


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_best_policy_of_any_algorithm_is_kept_and_put_back(env_for, name, tmp_path):
    model = build_model(name, env_for(name), 0, few(name))
    model.set_logger(Logger(None, []))
    choose = ChooseByValidation(Judge([1.0] * 4, [2.0] * 4), INSTANCES, [16], tmp_path / "policy.zip")
    last = {}

    class Last(BaseCallback):
        """The weights after the last step, before anything is put back."""

        def _on_step(self):
            last.update({key: value.clone() for key, value in self.model.policy.state_dict().items()})
            return True

    model.learn(40, callback=[choose, Last()])
    assert [iqm for _, iqm, _ in choose.history] == [1.0, 2.0]
    best = model.policy.state_dict()
    assert any((best[key] != last[key]).any() for key in best), "learning went on after the best one"
    loaded = ALGORITHMS[name].cls.load(choose.best_path, device="cpu").policy.state_dict()
    assert set(loaded) == set(best) and all((best[key] == loaded[key]).all() for key in best)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if "action_noise" in get_preset(name, "ring").algorithm])
def test_noise_is_given_as_a_standard_deviation(env_for, name):
    env = env_for(name, knobs="lr_g,lr_d")
    noise = build_model(name, env, 0, {"action_noise": 0.3}).action_noise
    draws = np.stack([noise() for _ in range(2000)])
    assert draws.shape == (2000, 2)
    np.testing.assert_allclose([*draws.mean(0), *draws.std(0)], [0, 0, 0.3, 0.3], atol=0.03)
    assert build_model(name, env, 0, {"action_noise": None}).action_noise is None
    for bad in (0, -1.0, float("nan"), True, "much"):
        with pytest.raises(ValueError, match="action_noise must be a standard deviation above 0, not"):
            build_model(name, env, 0, {"action_noise": bad})


def test_the_seed_decides_the_first_policy(env):
    one, same, other = (build_model("ppo", env, seed, {}).policy.state_dict() for seed in (1, 1, 2))
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_unknown_option_is_told(env_for, name):
    with pytest.raises(ValueError, match=f"algorithm '{name}': .*'learning_rat'") as caught:
        build_model(name, env_for(name), 0, {"learning_rat": 1e-3})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "action_type"),
    [(name, kind) for name in ALGORITHMS for kind in ACTION_TYPES if kind not in ALGORITHMS[name].action_types],
)
def test_an_action_type_that_does_not_fit_is_told(env_for, name, action_type):
    needed = " or ".join(ALGORITHMS[name].action_types)
    with pytest.raises(ValueError, match=f"algorithm '{name}' needs action type {needed}, not '{action_type}'"):
        build_model(name, env_for(name, action_type=action_type), 0, {})


class Judge(Evaluator):
    """Gives the grades of a script, one list per trial."""

    def __init__(self, *trials):
        self.trials, self.seen, self.suite = list(trials), [], SUITES["ring"]

    def evaluate(self, predictor, instances, on_step=None):
        self.seen.append((predictor, tuple(instances)))
        return [
            EpisodeRecord(instance, final, False, 2, 0.0, 1.0, (0.0, 0.0), ((-3.0, -3.0),) * 2)
            for instance, final in zip(instances, self.trials.pop(0), strict=True)
        ]


class Notes(BaseCallback):
    """The policy's last weights after every step."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def _on_step(self):
        self.weights.append(self.model.policy.state_dict()["action_net.weight"].clone())
        return True


def learn(env, judge, at, path):
    model = build_model("ppo", env, 0, {"n_steps": 2, "batch_size": 4, "n_epochs": 1, "learning_rate": 0.1})
    model.set_logger(Logger(None, []))
    choose, notes = ChooseByValidation(judge, INSTANCES, at, path), Notes()
    model.learn(12, callback=[notes, choose])
    return model, choose, notes.weights


def test_the_last_policy_is_always_tried(env, tmp_path):
    """After the last update, which comes after the last step."""
    judge = Judge([4.0] * 4, [3.0] * 4, [2.0] * 4)
    model, choose, _ = learn(env, judge, [4, 8], tmp_path / "policy.zip")
    assert [step for step, _, _ in choose.history] == [4, 8, 12]
    assert all(predictor is model and instances == INSTANCES for predictor, instances in judge.seen)
    loaded = PPO.load(choose.best_path, device="cpu").policy.state_dict()
    assert all((value == loaded[name]).all() for name, value in model.policy.state_dict().items())


def test_it_is_tried_once_when_nothing_else_is_asked_for(env, tmp_path):
    _, choose, _ = learn(env, Judge([4.0] * 4), [], tmp_path / "policy.zip")
    assert [step for step, _, _ in choose.history] == [12]


def test_the_best_by_interquartile_mean_is_kept(env, tmp_path):
    # The IQM forgives one bad run in four, the mean would not.
    trials = ([9.0, 9.0, 9.0, 9.0], [1.0, 1.0, 1.0, 1000.0], [2.0, 2.0, 2.0, 2.0])
    model, choose, weights = learn(env, Judge(*trials), [4, 8], tmp_path / "policy.zip")
    assert [iqm for _, iqm, _ in choose.history] == [9.0, 1.0, 2.0]
    assert [grades for _, _, grades in choose.history] == [list(trial) for trial in trials]
    kept = PPO.load(choose.best_path, device="cpu").policy.state_dict()["action_net.weight"]
    assert np.array_equal(kept, weights[3]), "the policy of step 8: two rows, four steps"
    assert not np.array_equal(weights[3], weights[-1])
    assert np.array_equal(kept, model.policy.state_dict()["action_net.weight"]), "and is put back into the model"


def test_a_real_evaluator_fits(env, tmp_path):
    evaluator = Evaluator(EnvConfig(**SMALL), 2)
    instances = evaluator.suite.instances("validation")[:3]
    model = build_model("dqn", env, 0, {"learning_starts": 4})
    updates = []
    choose = ChooseByValidation(evaluator, instances, [6], tmp_path / "policy.zip", updates.append)
    model.set_logger(Logger(None, []))
    model.learn(12, callback=choose)
    assert len(choose.history) == 2 and all(len(grades) == 3 for *_, grades in choose.history)
    assert sum(updates) == 2 * 3 * 2 and choose.best_path.exists()
    evaluator.close()
