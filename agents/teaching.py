"""The teacher of a taught policy: the best schedule that a search finds, or has found before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

from agents.methods import RESCUE, Context
from agents.methods.rules import find_schedule, schedule
from agents.methods.search import Found, smallest_budget
from agents.methods.teacher import TEACHER, read_teacher, write_teacher
from agents.run_folder import RunFolder
from agents.training import PolicyTraining, lesson_updates
from gan_env import EnvConfig

SEARCH = 0.5
"""GAN updates of the search for each of training."""


def teach(
    training: PolicyTraining,
    total_timesteps: int,
    seed: int,
    workers: int | None,
    console: Console,
    progress: bool,
    check: Callable[[], None],
    folder: RunFolder,
    found: Found | None = None,
) -> None:
    """Search a schedule by half as many GAN updates as ``total_timesteps`` take, and let the policy begin as it.

    The search runs in ``workers`` processes; ``check`` is called after every step of it. Nothing is searched where
    something was ``found`` before. ``folder`` keeps the schedule as ``teacher.json`` before it is taught.
    """
    config = training.evaluator.config
    problem = {
        name: value for name, value in dataclasses.asdict(config).items() if name not in ("suite", "action_type")
    }
    context = Context(config.suite, RESCUE, seed, 0, problem | {"workers": workers})
    budget = 0
    if found is None:
        budget = max(smallest_budget(context), round(SEARCH * total_timesteps * training.updates_per_step))
    with tqdm(
        total=budget + lesson_updates(config, training.env.num_envs),
        unit="update",
        unit_scale=True,
        desc="searching a teacher",
        disable=None if progress else True,
        dynamic_ncols=True,
        leave=False,
    ) as bar:

        def on_step(updates: int) -> None:
            bar.update(updates)
            check()

        if found is None:
            found = find_schedule(dataclasses.replace(context, on_step=on_step), budget, config.knobs)
        write_teacher(folder.path / TEACHER, found)
        values = found.values
        training.imitate(lambda config: schedule(config, values), on_step)
    told = (f"{name} {one:.3g}" if isinstance(one, float) else str(one) for name, one in values.items())
    console.print(
        f"begins as a schedule: {', '.join(told)} (validation grade {found.curve[-1][1]:.3g} when found)",
        highlight=False,
    )


def known_teacher(folder: RunFolder, given: Path | None, config: EnvConfig) -> Found | None:
    """The schedule that ``folder`` keeps from an earlier beginning of its run, or else the ``given`` one.

    Raises ``ValueError``, in one line, for a file that holds none.
    """
    kept = folder.path / TEACHER
    source = kept if kept.exists() else given
    return None if source is None else read_teacher(source, config)
