"""Training that was stopped and goes on ends as if it had never stopped, to the bit, whatever the algorithm."""

import dataclasses
import signal
from pathlib import Path

import pytest
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.checkpoint import Checkpoints
from agents.interruption import Interrupted
from agents.learner_state import learner_state
from agents.presets import ALGORITHMS, get_preset
from agents.seen_features import SeenFeatures
from agents.training import PolicyTraining
from gan_env import SUITES, EnvConfig, Suite, instances
from tests.agents.trees import differences

STEPS, VALIDATIONS = 40, 3
BRIEF = {
    "learning_starts": 10,
    "batch_size": 5,
    "gradient_steps": 1,
    "n_epochs": 2,
    "buffer_size": 24,  # so that it is full, and written over, before the stop
    "policy_kwargs": {"net_arch": [8]},
}
ROLLOUT = 5
OWN = {
    "qrdqn": {"policy_kwargs": {"net_arch": [8], "n_quantiles": 4}},
    "recurrentppo": {"policy_kwargs": {"net_arch": [8], "lstm_hidden_size": 4}},
}
CASES = {name: (name, {}) for name in ALGORITHMS} | {
    "ppo with a falling rate": ("ppo", {"learning_rate": "lin_1e-3", "action_type": "continuous"}),
    "ppo with state-dependent noise": ("ppo", {"use_sde": True, "action_type": "continuous"}),
    "sac with state-dependent noise": ("sac", {"use_sde": True}),
}


STOPS = {True: (4, 30), False: (15, 28)}
"""By whether the algorithm is on-policy: the boundary to stop at, and its step; the first trial is over there."""


class StopAt:
    """An interruption that comes at the boundary of this number."""

    def __init__(self, boundary: int) -> None:
        self.left = boundary

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left == 0

    def check(self) -> None:
        if self.left == 0:
            raise Interrupted(signal.SIGTERM)


class Rows(KVWriter):
    """What is logged, without the time it took."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def write(self, key_values, key_excluded, step=0) -> None:
        self.rows.append({"step": step} | {k: v for k, v in key_values.items() if not k.startswith("time/")})

    def close(self) -> None: ...


@pytest.fixture
def make(monkeypatch, tmp_path: Path):
    """``make(case)``: a training of few steps on hardly anything, and its checkpoints."""
    task = dataclasses.replace(
        SUITES["ring"].tasks[0], updates_per_step=1, decisions=4, proxy_samples=32, grade_samples=64, batch_size=8
    )
    suite = Suite("tiny", "for tests", (task,), held_out={"validation": 2, "test": 2})
    monkeypatch.setitem(instances._SUITES, suite.name, suite)
    made = []

    def make(case: str, folder: str, **options):
        name, changes = CASES[case]
        preset = get_preset(name, "tiny")
        algorithm = (
            {key: BRIEF.get(key, value) for key, value in preset.algorithm.items()} | OWN.get(name, {}) | changes
        )
        if "n_epochs" in preset.algorithm or name in ("a2c", "trpo"):
            algorithm["n_steps"] = ROLLOUT
        action_type = algorithm.pop("action_type", ALGORITHMS[name].action_types[0])
        config = EnvConfig(suite="tiny", workers=1, progress=False, **dict(preset.env) | {"action_type": action_type})
        training = PolicyTraining(name, config, 2, 3, algorithm)
        made.append(training)
        settings = training.settings(STEPS, VALIDATIONS)
        return training, Checkpoints(tmp_path / folder, settings, **options)

    yield make
    for training in made:
        training.close()


def record_of(training: PolicyTraining) -> SeenFeatures:
    return SeenFeatures(training.evaluator.config.observer(), training.env.num_envs, training.kinds)


def finished(training: PolicyTraining, best: Path, rows: Rows, **options) -> dict:
    """All that is left of a training that came to its end."""
    seen = record_of(training)
    trials = training.learn(STEPS, VALIDATIONS, best, callbacks=[seen], outputs=[rows], **options)
    state = learner_state(training.model)
    del state["elapsed_ns"], state["logged"]
    for episode in state["episodes"]:
        del episode["t"]
    test = training.evaluator.suite.instances("test")
    records = training.evaluator.evaluate(training.model, test)
    return {
        "trials": [vars(trial) for trial in trials],
        "updates": training.updates,
        "learner": state,
        "records": [dataclasses.asdict(record) for record in records],
        "features": seen.get_state(),
    }


@pytest.mark.parametrize("case", CASES)
def test_stopped_and_resumed_is_as_unbroken(case, make, tmp_path) -> None:
    unbroken, rows = Rows(), Rows()
    training, _ = make(case, "none")
    expected = finished(training, tmp_path / "unbroken.zip", unbroken)

    best, (boundary, step) = tmp_path / "resumed.zip", STOPS[isinstance(training.model, OnPolicyAlgorithm)]
    training, checkpoints = make(case, "checkpoints", every=1e9)
    stop = StopAt(boundary)
    with pytest.raises(Interrupted):
        training.learn(
            STEPS,
            VALIDATIONS,
            best,
            callbacks=[record_of(training)],
            outputs=[rows],
            checkpoints=checkpoints,
            interruption=stop,
        )

    # The other checkpoints that are saved on the way must not change anything, nor what else was drawn before.
    training, checkpoints = make(case, "checkpoints", every=0)
    saved = checkpoints.load(pytest.fail)
    assert saved.step == step
    training.model.action_space.sample()
    result = finished(training, best, rows, checkpoints=checkpoints, saved=saved)
    assert differences(result, expected) == []
    assert differences(rows.rows, unbroken.rows) == []

    # All is over but the grading: the last checkpoint gives the trained policy without another step.
    training, checkpoints = make(case, "checkpoints")
    best.unlink()
    saved = checkpoints.load(pytest.fail)
    trials = training.learn(
        STEPS, VALIDATIONS, best, callbacks=[record_of(training)], checkpoints=checkpoints, saved=saved
    )
    assert [vars(trial) for trial in trials] == expected["trials"]
    assert differences(training.model.get_parameters(), expected["learner"]["parameters"]) == []
    assert best.is_file()
