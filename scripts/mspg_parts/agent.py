"""What an agent learns about a small mspg: Q-values and chosen actions over training, under the simplest reward and the
full one. And whether it does better than knobs that stay where they are, and than APFL.

DQN of ``train_agent.py`` on faces; what is drawn is read from the run folders' TensorBoard files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.controllers import find_controller
from agents.evaluation import Evaluator, finals, with_rates
from agents.predictors import NoopPredictor
from agents.statistics import bootstrap_interval, interquartile_mean
from agents.trained import load_run
from mspg_parts.runs import Cell, play, read_run
from mspg_parts.study import Study, figure_path, positive, show

_RULE = "apfl"


@dataclass(frozen=True)
class AgentOptions:
    """Q-values and actions over the training of an agent."""

    rewards: tuple[str, ...] = ("d_loss_delta", "default")
    """Rewards, one agent each."""
    seeds: tuple[int, ...] = (0,)
    """Of the agents."""
    width: int = 4
    """Channels of the finest maps."""
    resolution: int = 16
    """Pixels."""
    total_timesteps: int = 6000
    """Environment steps of each agent."""
    num_envs: int = 32
    """GANs at once."""
    decisions: int = 15
    """Decisions of an episode."""
    updates_per_step: int = 10
    """GAN updates between two decisions."""
    static_rate: float = 1e-3
    """Both rates of the GANs that are left alone at a good start."""
    study: Study = field(default_factory=Study)
    """Where to write."""


def run(options: AgentOptions) -> None:
    """Train, print, draw and record."""
    positive(options, "rewards", "seeds", "total_timesteps", "num_envs", "decisions", "updates_per_step")
    cells = [cell(options, reward, seed) for reward in options.rewards for seed in options.seeds]
    folders = play(cells, options.study, "agents")
    rows = [read_agent(one, folder) for one, folder in zip(cells, folders, strict=True)]
    ((rivals, grades),) = options.study.compute(play_rivals, [(folders[0], options)], "rivals")
    grades |= {f"dqn, reward {row['name']}, seed {row['seed']}": row["grades"]["dqn"] for row in rows}
    grades |= {name: rows[0]["grades"][name] for name in ("noop", "random")}
    summary = {name: summarise(own) for name, own in grades.items()}
    show(
        f"final distance on {len(grades['noop'])} held-out starts",
        ("", "IQM", "95 % interval"),
        [(name, f"{told['iqm']:.0f}", "[{:.0f}, {:.0f}]".format(*told["ci95"])) for name, told in summary.items()],
    )
    options.study.record("q-values", options, rows, rivals=rivals, grades=grades, summary=summary)
    draw(rows).savefig(figure_path(options.study, "mspg-q-values.png"), dpi=80)


def cell(options: AgentOptions, reward: str, seed: int) -> Cell:
    """The run of ``train_agent.py``."""
    sizes = (("latent_size", 32), ("lite", True), ("width", options.width))
    environment = {
        "backbone_options": repr(sizes),
        "decisions": options.decisions,
        "updates_per_step": options.updates_per_step,
        "workers": 1,  # the agents train beside each other
    }
    flags = {
        "algo": "dqn",
        "suite": "faces",
        "backbone": "mspg",
        "resolution": options.resolution,
        "reward": reward,
        "total-timesteps": options.total_timesteps,
        "num-envs": options.num_envs,
    }
    arguments = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    arguments += ["--env", *(f"{name}={value}" for name, value in environment.items())]
    return Cell(reward, seed, tuple(arguments), "train_agent")


def read_agent(one: Cell, folder: Path) -> dict[str, Any]:
    """A row: final grades by method, and the curves of Q-values and of the shares of actions, by action."""
    row = read_run(one, folder)
    methods = row.pop("evaluation")["methods"]
    return row | {"grades": {name: told["final"] for name, told in methods.items()}} | read_curves(folder)


def read_curves(folder: Path) -> dict[str, dict[str, list[list[float]]]]:
    """``q_values`` and ``actions`` of a run folder: by name ``[[step, value], ...]``."""
    events = EventAccumulator(str(folder)).Reload()
    found: dict[str, dict[str, list[list[float]]]] = {"q_values": {}, "actions": {}}
    for tag in events.Tags()["scalars"]:
        group, _, name = tag.partition("/")
        if group in found:
            found[group][name] = [[point.step, point.value] for point in events.Scalars(tag)]
    return found


def play_rivals(folder: Path, options: AgentOptions) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Final distances, on the agents' test instances, of those that need no training."""
    _, config, _ = load_run(folder)
    rule = find_controller(_RULE)
    own = replace(config, **{"observation": "default", "workers": 1, **rule.settings})
    evaluator = Evaluator(own, options.num_envs)
    test = evaluator.suite.instances("test")
    rate = options.static_rate
    static = evaluator.evaluate(NoopPredictor(evaluator.codec), with_rates(test, rate, rate))
    records = {f"static, both rates {rate:g}": static, _RULE: evaluator.evaluate(rule.build(own), test)}
    evaluator.close()
    grades = {name: finals(rows).tolist() for name, rows in records.items()}
    return {"metric": evaluator.metric, "n": len(test)}, grades


def summarise(grades: list[float]) -> Mapping[str, Any]:
    """IQM and its interval over instances."""
    values = np.array(grades)
    return {"n": len(values), "iqm": float(interquartile_mean(values)), "ci95": bootstrap_interval(values)}


def draw(rows: list[dict[str, Any]]) -> Figure:
    """A column for each agent: mean Q-value of each action, and its share of all actions that were taken."""
    figure = Figure(figsize=(5 * len(rows) + 2, 6), layout="constrained")
    panels = figure.subplots(2, len(rows), sharex=True, squeeze=False)
    for column, row in enumerate(rows):
        panels[0, column].set_title(f"reward {row['name']}, seed {row['seed']}")
        actions = list(row["actions"])
        for axis, group in zip(panels[:, column], ("q_values", "actions"), strict=True):
            for name, curve in row[group].items():
                steps, values = np.array(curve).T
                colour = f"C{actions.index(name)}" if name in actions else "black"
                axis.plot(steps, values, label=name, color=colour)
            axis.grid(alpha=0.3)
        panels[1, column].set_xlabel("environment steps")
    panels[0, 0].set_ylabel("mean Q-value")
    panels[1, 0].set_ylabel("share of actions")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    return figure
