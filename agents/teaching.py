"""The teacher of a taught policy: the best schedule, or rule of update sizes, that a search finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from rich.console import Console
from tqdm import tqdm

from agents.methods import RESCUE, Context
from agents.methods.rules import TEACHERS
from agents.methods.search import Found, smallest_budget
from agents.training import PolicyTraining

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
    """Search a teacher by half as many GAN updates as ``total_timesteps`` take, let the policy begin as it, return it.

    The action type says of which form it is (:data:`~agents.methods.rules.TEACHERS`). The search runs in ``workers``
    processes; ``check`` is called after every step of it.
    """
    config = training.evaluator.config
    teacher = TEACHERS[config.action_type]
    problem = {name: value for name, value in dataclasses.asdict(config).items() if name != "suite"}
    context = Context(config.suite, RESCUE, seed, 0, problem | {"workers": workers})
    budget = max(smallest_budget(context), round(SEARCH * total_timesteps * training.updates_per_step))
    with tqdm(
        total=budget + training.lesson_updates,
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

        context = dataclasses.replace(context, on_step=on_step)
        found = teacher.find(context, context.config(), budget)
        training.imitate(teacher.build(config, found.values), on_step)
    values = (f"{name} {one:.3g}" if isinstance(one, float) else str(one) for name, one in found.values.items())
    console.print(
        f"begins as its teacher: {', '.join(values)} (validation IQM {found.curve[-1][1]:.3g})", highlight=False
    )
    return found
