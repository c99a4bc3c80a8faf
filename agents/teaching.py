"""The teacher of a taught policy: the best schedule that a search finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from rich.console import Console
from tqdm import tqdm

from agents.methods import RESCUE, Context
from agents.methods.rules import find_schedule, schedule
from agents.methods.search import Found, smallest_budget
from agents.training import PolicyTraining, lesson_updates

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
) -> Found:
    """Search a schedule by half as many GAN updates as ``total_timesteps`` take, let the policy begin as it, return it.

    The search runs in ``workers`` processes; ``check`` is called after every step of it.
    """
    config = training.evaluator.config
    problem = {
        name: value for name, value in dataclasses.asdict(config).items() if name not in ("suite", "action_type")
    }
    context = Context(config.suite, RESCUE, seed, 0, problem | {"workers": workers})
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

        found = find_schedule(dataclasses.replace(context, on_step=on_step), budget, config.knobs)
        training.imitate(lambda config: schedule(config, found.values), on_step)
    values = (f"{name} {one:.3g}" if isinstance(one, float) else str(one) for name, one in found.values.items())
    console.print(
        f"begins as a schedule: {', '.join(values)} (validation IQM {found.curve[-1][1]:.3g})", highlight=False
    )
    return found
