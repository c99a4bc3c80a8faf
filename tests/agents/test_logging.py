"""What a training run shows, read back from what it wrote."""

import json
import math

import numpy as np
import pytest
from stable_baselines3.common.logger import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard.writer import SummaryWriter

from agents.logging import GanLogger, ProgressBar, RunWriter, draw_episode
from agents.run_folder import RunFolder
from agents.sb3 import build_model, make_training_env

SMALL = {"suite": "ring", "updates_per_step": 1, "decisions": 4}
RUNS = {
    "dqn": ("dqn", "discrete", {"learning_starts": 8, "batch_size": 8}),
    "ppo": ("ppo", "discrete", {"n_steps": 8, "batch_size": 8, "n_epochs": 1}),
    "ppo continuous": ("ppo", "continuous", {"n_steps": 8, "batch_size": 8, "n_epochs": 1}),
    "qrdqn": ("qrdqn", "discrete", {"learning_starts": 8, "batch_size": 8}),
    "recurrentppo": ("recurrentppo", "discrete", {"n_steps": 8, "batch_size": 8, "n_epochs": 1}),
    "sac continuous": ("sac", "continuous", {"learning_starts": 8, "batch_size": 8}),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    """Name, environment options, the folder and the event file of a short training run."""
    algorithm, action_type, options = RUNS[request.param]
    folder = RunFolder(tmp_path_factory.mktemp("run") / "folder")
    folder.create()
    env = make_training_env(3, SMALL | {"action_type": action_type})
    model = build_model(algorithm, env, 0, options)
    writer = SummaryWriter(str(folder.path))
    model.set_logger(Logger(None, [RunWriter(writer, folder)]))
    model.learn(96, callback=[ProgressBar(96, 1, enabled=False), GanLogger(writer, picture_every=1000)], log_interval=1)
    writer.close()
    names = env.env.core.codec.action_names
    env.close()
    events = EventAccumulator(str(folder.path), size_guidance={"scalars": 0})
    events.Reload()
    return request.param, names, folder, events


def test_statistics_are_lines_of_json(run):
    _, _, folder, _ = run
    rows = [json.loads(line) for line in (folder.path / "stats.jsonl").read_text().splitlines()]
    assert rows and all(row["step"] > 0 for row in rows)
    assert any("rollout/ep_rew_mean" in row for row in rows)
    assert any(name.startswith("train/") and name.endswith("loss") for row in rows for name in row)
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)


def test_curves_of_the_gan_are_written_at_the_end_of_episodes(run):
    _, _, _, events = run
    scalars = set(events.Tags()["scalars"])
    assert {"gan/loss_g", "gan/loss_d", "gan/fid_proxy", "gan/lr_g", "episodes/failed_share"} <= scalars
    losses = events.Scalars("gan/loss_d")
    # 96 steps of 3 environments are 32 each: 8 episodes of 4 decisions, if none fails early.
    assert len(losses) >= 8 and all(math.isfinite(event.value) and event.value > 0 for event in losses)
    assert losses[0].step <= 12
    medians = events.Scalars("episodes/final_proxy_median")
    assert all(0 < event.value <= 10 for event in medians)


def test_samples_and_curves_are_drawn_now_and_then(run):
    _, _, _, events = run
    for name in ("episode/samples", "episode/curves"):
        (picture,) = events.Images(name)  # the next one is due in a quarter of an hour
        assert picture.step <= 12 and picture.height >= 256


def test_actions_are_counted(run):
    name, action_names, _, events = run
    tags = events.Tags()
    if name.endswith("continuous"):
        assert {"actions/lr_g", "actions/lr_d", "actions/fm_weight"} <= set(tags["histograms"])
        return
    shares = [[event.value for event in events.Scalars(f"actions/{action}")] for action in action_names]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1.0, atol=1e-5)
    assert "actions" in tags["histograms"]


def test_values_of_actions_are_written_where_there_are_any(run):
    name, action_names, _, events = run
    scalars = set(events.Tags()["scalars"])
    assert ({f"q_values/{action}" for action in action_names} <= scalars) == (name in ("dqn", "qrdqn"))
    assert ("q_values" in events.Tags()["histograms"]) == (name in ("dqn", "qrdqn"))


def test_an_episode_is_drawn_with_gaps_for_what_is_not_finite():
    names = ("loss_g", "loss_d", "real_accuracy", "fake_accuracy", "fid_proxy", "lr_g", "lr_d")
    trace = [dict.fromkeys(names, value) for value in (0.5, 0.7, math.nan)]
    figure = draw_episode(trace, ("lr_g", "lr_d"))
    lines = {line.get_label(): line.get_ydata() for axis in figure.axes for line in axis.get_lines()}
    assert set(lines) == set(names)
    np.testing.assert_array_equal(lines["loss_g"], [0.5, 0.7, math.nan])


def test_the_bar_counts_environment_steps():
    bar = ProgressBar(50, 20, enabled=False)
    bar.num_timesteps = 30
    assert bar._on_step() is True
    bar._on_training_end()
