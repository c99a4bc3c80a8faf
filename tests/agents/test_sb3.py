"""Building models and choosing among their policies."""

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.evaluation import EpisodeRecord, Evaluator
from agents.presets import ALGORITHMS
from agents.sb3 import ChooseByValidation, build_model, make_training_env
from gan_env import SUITES, EnvConfig

SMALL = {"suite": "ring", "updates_per_step": 1, "decisions": 2}
INSTANCES = SUITES["ring"].instances("validation")[:4]


@pytest.fixture
def env():
    env = make_training_env(2, SMALL)
    yield env
    env.close()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_models_are_built_from_their_names(env, name):
    model = build_model(name, env, 3, {"learning_rate": 1e-3})
    assert type(model) is ALGORITHMS[name].cls and model.learning_rate == 1e-3 and model.seed == 3


def test_the_seed_decides_the_first_policy(env):
    one, same, other = (build_model("ppo", env, seed, {}).policy.state_dict() for seed in (1, 1, 2))
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_unknown_option_is_told(env, name):
    with pytest.raises(ValueError, match=f"algorithm '{name}': .*'learning_rat'") as caught:
        build_model(name, env, 0, {"learning_rat": 1e-3})
    assert "\n" not in str(caught.value)


def test_an_action_type_that_does_not_fit_is_told():
    env = make_training_env(1, SMALL | {"action_type": "continuous"})
    with pytest.raises(ValueError, match="algorithm 'dqn' needs action type discrete, not 'continuous'"):
        build_model("dqn", env, 0, {})
    env.close()


class Judge(Evaluator):
    """Gives the grades of a script, one list per trial."""

    def __init__(self, *trials):
        self.trials, self.seen = list(trials), []

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
    instances = evaluator.core.suite.instances("validation")[:3]
    model = build_model("dqn", env, 0, {"learning_starts": 4})
    updates = []
    choose = ChooseByValidation(evaluator, instances, [6], tmp_path / "policy.zip", updates.append)
    model.set_logger(Logger(None, []))
    model.learn(12, callback=choose)
    assert len(choose.history) == 2 and all(len(grades) == 3 for *_, grades in choose.history)
    assert sum(updates) == 2 * 3 * 2 and choose.best_path.exists()
    evaluator.close()
