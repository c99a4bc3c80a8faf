"""Does anything grow? Many environment steps, and a straight line through resident memory and open files.

A part fails, and the exit status is 1, where memory grows by more than --limit-mb per 10,000 steps after its warm-up or
files are left open.

Examples:
    python scripts/soak.py --steps 100000 --json docs/results/soak.json
    python scripts/soak.py --parts training --steps 20000
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from agents.cli import fail_in_one_line, parse_overrides
from agents.presets import get_preset
from agents.run_folder import provenance
from agents.training import PolicyTraining
from gan_backbones.files import write_atomically
from gan_env import EnvConfig, GanBalanceEnv, GanBalanceVectorEnv

_BUFFER = 2_000  # transitions; a larger one would still be filling up
_POINTS = 400  # measurements of each part


@dataclass(frozen=True)
class Options:
    """Options of soak.py."""

    steps: int = 100_000
    """Environment steps of all parts together; each part takes its share."""
    parts: tuple[str, ...] = ("vector", "single")
    """vector: the vector environment. single: the environment by itself. training: DQN with a small buffer."""
    suite: str = "ring"
    """Suite whose GANs are trained."""
    num_envs: int = 8
    """GANs of the vector environment, and of training."""
    single_share: float = 0.1
    """Share of the steps that goes to the single environment, where there are other parts."""
    warm_up: float = 0.2
    """Share of each part before memory counts."""
    limit_mb: float = 1.0
    """Growth that is allowed, in MB per 10,000 steps."""
    env: tuple[str, ...] = ()
    """Options of the environment as NAME=VALUE, e.g. --env updates_per_step=2 workers=2."""
    json: Path | None = None
    """File for the record."""
    progress: bool = True
    """Show progress bars."""


class Meter:
    """Resident memory and open files of this process and its children, at some of the steps of one part."""

    def __init__(self, name: str, total: int, enabled: bool) -> None:
        self.steps: list[int] = []
        self.megabytes: list[float] = []
        self.files: list[int] = []
        self.total = total
        self.done = 0
        self._bar = tqdm(total=total, unit="step", desc=name, disable=None if enabled else True, dynamic_ncols=True)

    def advance(self, steps: int) -> bool:
        """Count so many steps; true while there are more to make."""
        self.done += steps
        self._bar.update(steps)
        if self.done * _POINTS >= (len(self.steps) + 1) * self.total:
            processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            self.steps.append(self.done)
            self.megabytes.append(sum(map(_resident, processes)))
            self.files.append(sum(len(os.listdir(f"/proc/{process}/fd")) for process in processes))
        return self.done < self.total

    def verdict(self, warm_up: float, limit_mb: float) -> dict[str, Any]:
        """Slope of the memory after ``warm_up``, in MB per 10,000 steps, growth of the files, and whether both pass."""
        self._bar.close()
        late = np.array(self.steps) > warm_up * self.total
        steps, megabytes, files = (np.array(one)[late] for one in (self.steps, self.megabytes, self.files))
        slope = 1e4 * float(np.polyfit(steps - steps[0], megabytes, 1)[0])
        grown = int(files[-1] - files[0])
        return {
            "steps": self.done,
            "megabytes_per_10000_steps": slope,
            "megabytes": [float(megabytes[0]), float(megabytes[-1]), float(megabytes.max())],
            "files": [int(files[0]), int(files[-1])],
            "series": [[step, round(one, 2)] for step, one in zip(self.steps, self.megabytes, strict=True)],
            "passed": slope <= limit_mb and grown <= 0,
        }


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown or not options.parts:
        raise ValueError(f"unknown part {unknown[0] if unknown else ''!r}; known: {', '.join(PARTS)}")
    if options.steps < 100 or options.num_envs < 1:
        raise ValueError(f"--steps must be at least 100 and --num-envs 1, not {options.steps} and {options.num_envs}")
    if not 0 < options.single_share < 1 or not 0 <= options.warm_up < 1:
        raise ValueError("--single-share and --warm-up must be shares of 1")
    env = {"suite": options.suite, "workers": 1} | parse_overrides(options.env, "--env")
    record: dict[str, Any] = {}
    for name, share in shares(options).items():
        meter = Meter(name, round(share * options.steps), options.progress)
        begun = time.monotonic()
        PARTS[name](options, env, meter)
        verdict = meter.verdict(options.warm_up, options.limit_mb) | {"seconds": round(time.monotonic() - begun)}
        record[name] = verdict
        print(
            f"{'pass' if verdict['passed'] else 'FAIL'} {name}: {verdict['steps']} steps, "
            f"{verdict['megabytes_per_10000_steps']:+.3f} MB per 10,000 (limit {options.limit_mb:g}), "
            f"open files {verdict['files'][0]} -> {verdict['files'][1]}"
        )
    if options.json is not None:
        made = {"made": provenance("cpu"), "options": dataclasses.asdict(options)}
        write_atomically(options.json, (json.dumps(record | made, indent=1, default=str) + "\n").encode())
    if not all(verdict["passed"] for verdict in record.values()):
        sys.exit(1)


def shares(options: Options) -> dict[str, float]:
    """What part of the steps each part makes; they add up to 1."""
    others = [name for name in options.parts if name != "single"]
    single = 0.0 if "single" not in options.parts else options.single_share if others else 1.0
    return {name: single if name == "single" else (1 - single) / len(others) for name in options.parts}


def vector(options: Options, env_options: dict[str, Any], meter: Meter) -> None:
    """Random actions in the vector environment, with its resets."""
    env = GanBalanceVectorEnv(options.num_envs, autoreset_mode="SameStep", **env_options)
    env.reset(seed=0)
    env.action_space.seed(0)
    while meter.advance(options.num_envs):
        env.step(env.action_space.sample())
    env.close()


def single(options: Options, env_options: dict[str, Any], meter: Meter) -> None:
    """Random actions in the environment by itself."""
    env = GanBalanceEnv(**env_options)
    env.reset(seed=0)
    env.action_space.seed(0)
    while meter.advance(1):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    env.close()


def training(options: Options, env_options: dict[str, Any], meter: Meter) -> None:
    """DQN with the suite's preset, but for its buffer."""
    preset = get_preset("dqn", options.suite)
    algorithm = dict(preset.algorithm) | {"buffer_size": _BUFFER, "learning_starts": 100}
    config = EnvConfig(**(dict(preset.env) | {"action_type": "discrete"} | env_options))
    policy = PolicyTraining("dqn", config, options.num_envs, 0, algorithm)
    policy.model.set_logger(Logger(None, []))
    policy.model.learn(meter.total, callback=_Advance(meter))
    policy.close()


class _Advance(BaseCallback):
    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def _on_step(self) -> bool:
        return self._meter.advance(self.training_env.num_envs)


PARTS: dict[str, Callable[[Options, dict[str, Any], Meter], None]] = {
    "vector": vector,
    "single": single,
    "training": training,
}


def _resident(process: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    fail_in_one_line(main)
