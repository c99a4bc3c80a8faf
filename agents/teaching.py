"""Finding a teacher before a training, and learning from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from rich.console import Console
from tqdm import tqdm

from agents.methods import RESCUE, Context
from agents.methods.teachers import Teacher, find_teacher, smallest_teaching
from agents.training import PolicyTraining, lesson_updates

SEARCH, SEARCH_EACH = 0.5, 2.5
"""GAN updates of the search for each of training, for one kind of GAN and for several."""


def teach(
    training: PolicyTraining,
    total_timesteps: int,
    seed: int,
    workers: int | None,
    console: Console,
    progress: bool,
    check: Callable[[], None],
) -> Teacher:
    """Search a teacher by so many times the GAN updates that ``total_timesteps`` take, let the policy begin as it,
    return it.

    The search runs in ``workers`` processes; ``check`` is called after every step of it.
    """
    config = training.evaluator.config
    problem = {
        name: value for name, value in dataclasses.asdict(config).items() if name not in ("suite", "action_type")
    }
    context = Context(config.suite, RESCUE, seed, 0, problem | {"workers": workers})
    share = SEARCH if len(context.resolved_suite.kinds("train")) == 1 else SEARCH_EACH
    budget = max(smallest_teaching(context), round(share * total_timesteps * training.updates_per_step))
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

        teacher = find_teacher(dataclasses.replace(context, on_step=on_step), budget, config.knobs)
        training.imitate(teacher.build, on_step)
    count = len(teacher.schedules)
    several = "" if count == 1 else f", with peaks of its own for each of {count} kinds of GAN"
    values = (
        f"{name} {one:.3g}" if isinstance(one, float) else str(one) for name, one in teacher.shared.values.items()
    )
    console.print(
        f"begins as a schedule: {', '.join(values)}{several} (validation IQM {teacher.iqm:.3g})", highlight=False
    )
    return teacher
