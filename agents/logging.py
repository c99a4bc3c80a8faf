"""What a training run shows: a progress bar and TensorBoard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from sb3_contrib import QRDQN
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter
from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from agents.restoring import Each, require_like
from agents.run_folder import RunFolder
from agents.tree_file import Tree
from agents.vec_env import SB3VecEnv
from gan_env.core import STATISTICS

matplotlib.use("Agg")

_WATCHED_ROW = 0
"""The GAN whose episodes are drawn."""


class RunWriter(KVWriter):
    """Stable-Baselines3's scalars, into TensorBoard and ``stats.jsonl``."""

    def __init__(self, writer: SummaryWriter, folder: RunFolder) -> None:
        self._writer = writer
        self._folder = folder

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        scalars = {
            name: float(value)
            for name, value in sorted(key_values.items())
            # An algorithm that goes on from a checkpoint counts its rollouts anew; the step says the same.
            if isinstance(value, int | float | np.number) and name != "time/iterations"
        }
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._folder.append_stats({"step": step} | scalars)

    def close(self) -> None:
        self._writer.flush()


class ProgressBar(BaseCallback):
    """Steps, time left, environment steps per second and GAN updates per second."""

    def __init__(self, total_timesteps: int, updates_per_step: float, enabled: bool) -> None:
        super().__init__()
        self._bar = tqdm(
            total=total_timesteps, unit="step", disable=None if enabled else True, dynamic_ncols=True, desc="training"
        )
        self._updates_per_step = updates_per_step
        self._start, self._steps_before = time.monotonic(), 0

    def _on_training_start(self) -> None:
        self._start, self._steps_before = time.monotonic(), self.num_timesteps

    def _on_step(self) -> bool:
        self._bar.update(self.num_timesteps - self._bar.n)
        elapsed = time.monotonic() - self._start
        updates = (self.num_timesteps - self._steps_before) * self._updates_per_step
        self._bar.set_postfix_str(f"{updates / elapsed:.0f} GAN updates/s")
        return True

    def _on_training_end(self) -> None:
        self._bar.close()


class GanLogger(BaseCallback):
    """GAN curves, knob trajectories, samples, actions and Q-values.

    Scalars are written at the end of every episode of the watched row's GAN (all rows begin together); pictures at
    most every ``picture_every`` seconds.
    """

    def __init__(self, writer: SummaryWriter, picture_every: float = 15.0) -> None:
        super().__init__()
        self._writer = writer
        self._picture_every = picture_every
        self._last_picture = -float("inf")
        self._trace: list[dict[str, float]] = []
        self._actions: Counter[int] = Counter()
        self._continuous: list[np.ndarray] = []
        self._episodes: list[tuple[float, bool]] = []

    @property
    def _env(self) -> SB3VecEnv:
        env = self.training_env.unwrapped
        assert isinstance(env, SB3VecEnv)
        return env

    def _on_step(self) -> bool:
        infos, dones, actions = self.locals["infos"], self.locals["dones"], self.locals["actions"]
        for info, done in zip(infos, dones, strict=True):
            if done and not info["TimeLimit.truncated"]:
                self._episodes.append((info["fid_proxy"], bool(info["diverged"] or info["collapsed"])))
        if np.issubdtype(actions.dtype, np.integer):
            self._actions.update(actions.reshape(-1).tolist())
        else:
            self._continuous.append(actions)
        self._watch(infos[_WATCHED_ROW])
        if dones[_WATCHED_ROW]:
            self._end_episode()
        return True

    def get_state(self) -> Tree:
        """What is gathered and not yet written; all that is written lies in the file then."""
        self._writer.flush()
        return {
            "trace": self._trace,
            "actions": list(self._actions.items()),
            "continuous": self._continuous,
            "episodes": self._episodes,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`get_state`."""
        point = dict.fromkeys((*STATISTICS, "fid_proxy", *self._env.env.config.knobs), 0.0)
        gathered = {"trace": Each(point), "actions": Each((0, 0)), "episodes": Each((0.0, False))}
        require_like(state, gathered | {"continuous": []}, "its log")
        np.concatenate([np.zeros((0, len(self._env.env.config.knobs))), *state["continuous"]])  # they have that width
        self._trace, self._continuous, self._episodes = (state[name] for name in ("trace", "continuous", "episodes"))
        self._actions = Counter(dict(state["actions"]))

    def _watch(self, info: dict[str, Any]) -> None:
        self._trace.append(info["stats"] | {"fid_proxy": info["fid_proxy"]} | info["knobs"])
        env, now = self._env.env, time.monotonic()
        # One decision before the end: after it, the row already holds the next GAN.
        last = int(env.core.decisions[_WATCHED_ROW]) == info["instance"].decisions - 1
        if last and now - self._last_picture >= self._picture_every:
            self._writer.add_image("episode/samples", env.picture(_WATCHED_ROW), self.num_timesteps, dataformats="HWC")

    def _end_episode(self) -> None:
        step = self.num_timesteps
        for name, value in self._trace[-1].items():
            self._writer.add_scalar(f"gan/{name}", value, step)
        if self._episodes:
            proxies, failed = zip(*self._episodes, strict=True)
            self._writer.add_scalar("episodes/final_proxy_median", float(np.median(proxies)), step)
            self._writer.add_scalar("episodes/failed_share", float(np.mean(failed)), step)
            self._episodes.clear()
        self._log_actions(step)
        self._log_q_values(step)
        if time.monotonic() - self._last_picture >= self._picture_every:
            self._writer.add_figure("episode/curves", draw_episode(self._trace, self._env.env.config.knobs), step)
            self._last_picture = time.monotonic()
        self._trace.clear()

    def _log_actions(self, step: int) -> None:
        if self._actions:
            names = self._env.env.core.codec.action_names
            total = sum(self._actions.values())
            for index, name in enumerate(names):
                self._writer.add_scalar(f"actions/{name}", self._actions[index] / total, step)
            self._writer.add_histogram("actions", np.array(list(self._actions.elements())), step)
            self._actions.clear()
        if self._continuous:
            for index, name in enumerate(self._env.env.config.knobs):
                self._writer.add_histogram(f"actions/{name}", np.concatenate(self._continuous)[:, index], step)
            self._continuous.clear()

    def _log_q_values(self, step: int) -> None:
        with torch.no_grad():
            observations = torch.as_tensor(self.locals["new_obs"]).float()
            if isinstance(self.model, DQN):
                values = self.model.q_net(observations)
            elif isinstance(self.model, QRDQN):
                values = self.model.quantile_net(observations).mean(1)  # (N, quantiles, actions) -> (N, actions)
            else:
                return
        self._writer.add_histogram("q_values", values.max(1).values, step)
        self._writer.add_scalar("q_values/mean_of_best", values.max(1).values.mean(), step)
        for index, name in enumerate(self._env.env.core.codec.action_names):
            self._writer.add_scalar(f"q_values/{name}", values[:, index].mean(), step)


def draw_episode(trace: list[dict[str, float]], knobs: tuple[str, ...]) -> Figure:
    """One episode of one GAN: losses, accuracies, quality proxy and knobs against decisions."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    decisions = np.arange(1, len(trace) + 1)
    panels = (
        (axes[0, 0], ("loss_g", "loss_d"), "canonical losses", False),
        (axes[0, 1], ("real_accuracy", "fake_accuracy"), "discriminator's accuracy", False),
        (axes[1, 0], ("fid_proxy",), "quality proxy (lower is better)", True),
        (axes[1, 1], knobs, "knobs", True),
    )
    for axis, names, title, logarithmic in panels:
        for name in names:
            axis.plot(decisions, [point[name] for point in trace], label=name, marker=".")
        axis.set_title(title)
        axis.legend()
        if logarithmic:
            axis.set_yscale("log")
    for axis in axes[1]:
        axis.set_xlabel("decision")
    return figure
