"""A Ray cluster of two nodes on this machine: what it survives, what it gains, and what one learner can feed.

loss: a comparison is run here and on the cluster, of which a node is killed in mid-run; the results must be the same,
every cell done and counted once. throughput: environment steps per second of one worker and of two, of one core each,
taking turns. learner: what an environment step costs the learner and the environment, on one core; needs no Ray.

Examples:
    python scripts/cluster_trial.py --json cluster.json
    python scripts/cluster_trial.py --parts loss --methods noop,random --seeds 2 --env updates_per_step=1
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.cli import fail_in_one_line, parse_overrides
from agents.cluster import LOOPBACK, connected, import_ray
from agents.presets import ALGORITHMS, get_preset
from agents.run_folder import provenance
from agents.training import PolicyTraining
from gan_backbones.files import write_atomically
from gan_env import EnvConfig, GanBalanceVectorEnv, get_suite
from gan_env.shards import Shards

COMPARE = Path(__file__).with_name("compare.py")
BAR = 1.5
"""Throughput of two workers over that of one."""
INTO_A_CELL = 3.0
"""Seconds after the end of a cell, by which the killed node has another one in work."""


@dataclass(frozen=True)
class Options:
    """Options of cluster_trial.py."""

    parts: tuple[str, ...] = ("loss", "throughput", "learner")
    """What to try."""
    suite: str = "ring"
    """Suite whose GANs are trained."""
    methods: str = "noop,random,cosine,ada,gap_aware"
    """Methods of the comparison."""
    seeds: int = 3
    """Seeds of the comparison."""
    budget: int = 80_000
    """GAN updates of each cell."""
    env: tuple[str, ...] = ()
    """Options of the environment as NAME=VALUE."""
    algos: tuple[str, ...] = ("dqn", "ppo")
    """Learners."""
    num_envs: int = 64
    """GANs that the workers share."""
    seconds: float = 3.0
    """Time of each contender in each turn."""
    turns: int = 7
    """Turns."""
    learner_steps: int = 6_400
    """Environment steps of each turn of a learner; the first half is warm-up."""
    learner_turns: int = 3
    """Turns of each learner."""
    json: Path | None = None
    """File for the record."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    unknown = sorted(set(options.parts) - set(PARTS)) + sorted(set(options.algos) - set(ALGORITHMS))
    if unknown:
        raise ValueError(f"unknown name {unknown[0]!r}; parts: {', '.join(PARTS)}; learners: {', '.join(ALGORITHMS)}")
    if min(options.seeds, options.turns, options.learner_turns, options.num_envs, options.learner_steps) < 1:
        raise ValueError("--seeds, --turns, --learner-turns, --num-envs and --learner-steps must be at least 1")
    get_suite(options.suite)
    record: dict[str, Any] = {}
    for name in options.parts:
        record[name] = PARTS[name](options)
    if options.json is not None:
        made = {"made": provenance("cpu") | {"ray": _ray_version()}, "options": dataclasses.asdict(options)}
        write_atomically(options.json, (json.dumps(record | made, indent=1, default=str) + "\n").encode())
    if not all(part.get("passed", True) for part in record.values()):
        sys.exit(1)


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[str, Callable[[], None]]]:
    """Address of a cluster of two nodes with one core each, and what kills the second."""
    import_ray(loopback=True)
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        nodes = [
            cluster.add_node(num_cpus=1, include_dashboard=False, node_ip_address=LOOPBACK, wait=True) for _ in range(2)
        ]
        yield cluster.address, lambda: cluster.remove_node(nodes[1], allow_graceful=False)
    finally:
        cluster.shutdown()


def lose_a_node(options: Options) -> dict[str, Any]:
    """The same comparison here and on a cluster that loses a node while it has a cell in work."""
    with tempfile.TemporaryDirectory() as folder, two_nodes() as (address, kill):
        here, there = Path(folder) / "here", Path(folder) / "there"
        subprocess.run(_comparison(options, here), check=True, stdout=subprocess.DEVNULL)
        process = subprocess.Popen(
            _comparison(options, there, "--cluster", address),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        while len(_cells(there)) < len(_cells(here)) // 2 and process.poll() is None:
            time.sleep(0.05)
        time.sleep(INTO_A_CELL)
        before = len(_cells(there))
        kill()
        killed = time.monotonic()
        _, errors = process.communicate()
        rows = [json.loads(line) for line in (there / "results.jsonl").read_text().splitlines()]
        keys = [tuple(row[name] for name in ("table", "method", "seed", "instance")) for row in rows]
        instances = len(json.loads((here / _cells(here)[0] / "records.json").read_text())["records"])
        told = errors.strip().splitlines()[-1:]
        record: dict[str, Any] = {
            "command": shlex.join(["python", "scripts/compare.py", *_comparison(options, Path("RUN"))[2:]]),
            "cells": len(_cells(here)),
            "cells_on_the_cluster": len(_cells(there)),
            "cells_before_the_loss": before,
            "seconds_after_the_loss": round(time.monotonic() - killed, 1),
            "rows": len(rows),
            "rows_counted_twice": len(rows) - len(set(keys)),
            "same_records": all(
                (here / cell / "records.json").read_bytes() == (there / cell / "records.json").read_bytes()
                for cell in set(_cells(here)) & set(_cells(there))
            ),
            "told": told,
            "attempts_lost": int((re.match(r"\d+", "".join(told)) or ["0"])[0]),
        }
        record["passed"] = (
            process.returncode == 0
            and _cells(here) == _cells(there)
            and before < len(_cells(here))
            and record["attempts_lost"] > 0
            and len(rows) == len(set(keys)) == instances * len(_cells(here))
            and record["same_records"]
        )
    print(
        f"{'pass' if record['passed'] else 'FAIL'} loss: {record['cells_on_the_cluster']} of {record['cells']} cells, "
        f"{record['rows_counted_twice']} rows twice, same records: {record['same_records']}; {' '.join(record['told'])}"
    )
    return record


def _comparison(options: Options, run: Path, *more: str) -> list[str]:
    chosen = ["--suite", options.suite, "--methods", options.methods, "--seeds", str(options.seeds)]
    env = ["--env", *options.env] if options.env else []
    common = ["--budget", str(options.budget), "--jobs", "2", "--no-progress", "--run-dir", str(run)]
    return [sys.executable, str(COMPARE), *chosen, *common, *env, *more]


def _cells(run: Path) -> list[Path]:
    """Finished cells, relative to the run folder."""
    return sorted(path.parent.relative_to(run) for path in run.glob("cells/*/*/[0-9]*/cell.json"))


def throughput(options: Options) -> dict[str, Any]:
    """Environment steps per second with one worker and with two."""
    with two_nodes() as (address, _), connected(address) as cluster:
        assert cluster is not None
        with cluster.shards() as workers:
            envs = {count: _env(options, workers, count) for count in (1, 2)}
            rates: dict[int, list[float]] = {count: [] for count in envs}
            for turn in range(options.turns + 1):
                for count, env in envs.items():
                    rate = _rate(env, options.seconds)
                    if turn:  # the first is warm-up
                        rates[count].append(rate)
            for env in envs.values():
                env.close()
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    ratio = float(np.median(ratios))
    print(
        f"{'pass' if ratio >= BAR else 'FAIL'} throughput: {np.median(rates[1]):.0f} steps/s with one worker, "
        f"{np.median(rates[2]):.0f} with two; {ratio:.2f} times ({min(ratios):.2f} to {max(ratios):.2f}), bar {BAR}"
    )
    return {
        "num_envs": options.num_envs,
        "steps_per_second": {"1 worker": rates[1], "2 workers": rates[2]},
        "ratios": ratios,
        "ratio": ratio,
        "passed": ratio >= BAR,
    }


def _env(options: Options, shards: Shards, workers: int) -> GanBalanceVectorEnv:
    env_options = {"suite": options.suite} | parse_overrides(options.env, "--env") | {"workers": workers}
    env = GanBalanceVectorEnv(options.num_envs, autoreset_mode="SameStep", shards=shards, **env_options)
    env.reset(seed=0)
    return env


def _rate(env: GanBalanceVectorEnv, seconds: float) -> float:
    actions = np.zeros(env.num_envs, dtype=np.int64)
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        env.step(actions)
        steps += env.num_envs
    return steps / (time.perf_counter() - begun)


def learner(options: Options) -> dict[str, Any]:
    """Seconds per environment step of one GAN, in the learner and in the environment, of one core.

    It is the processor's time that counts, so that other work on the machine matters less.
    """
    record: dict[str, Any] = {}
    for algorithm in options.algos:
        turns = [_learn(options, algorithm) for _ in range(options.learner_turns)]
        own, outside = (float(np.median(one)) for one in zip(*turns, strict=True))
        record[algorithm] = {"turns": turns, "learner_seconds": own, "environment_seconds": outside}
        print(
            f"learner {algorithm}: {1e3 * own:.2f} ms in the learner, {1e3 * outside:.2f} ms in the environment: "
            f"with {outside / own:.1f} cores for the environment, each takes half of the time"
        )
    return record


def _learn(options: Options, algorithm: str) -> tuple[float, float]:
    preset = get_preset(algorithm, options.suite)
    given = parse_overrides(options.env, "--env") | {"suite": options.suite, "workers": 1}
    action_type = ALGORITHMS[algorithm].action_types[0]
    config = EnvConfig(**(dict(preset.env) | {"action_type": action_type} | given))
    training = PolicyTraining(algorithm, config, preset.num_envs, 0, dict(preset.algorithm))
    training.model.set_logger(Logger(None, []))
    watch = _Watch(training, options.learner_steps)
    training.model.learn(options.learner_steps, callback=watch)
    total = time.process_time() - watch.begun
    steps = training.model.num_timesteps - watch.warmed_up
    training.close()
    return (total - watch.inside) / steps, watch.inside / steps


class _Watch(BaseCallback):
    """The time that is spent in the environment, once half of the steps are made."""

    def __init__(self, training: PolicyTraining, total: int) -> None:
        super().__init__()
        self.begun = self.inside = 0.0
        self.warmed_up = 0
        self._half = total // 2
        step = training.env.step_wait

        def timed() -> Any:
            begun = time.process_time()
            result = step()
            self.inside += time.process_time() - begun
            return result

        training.env.step_wait = timed  # type: ignore[method-assign]  # a stopwatch around it

    def _on_rollout_start(self) -> None:  # not in the middle of one, of which the learner makes use at its end
        if not self.warmed_up and self.num_timesteps >= self._half:
            self.begun, self.inside, self.warmed_up = time.process_time(), 0.0, self.num_timesteps

    def _on_step(self) -> bool:
        return True


def _ray_version() -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("ray")
    return None


PARTS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "loss": lose_a_node,
    "throughput": throughput,
    "learner": learner,
}

if __name__ == "__main__":
    fail_in_one_line(main)
