"""The course of a run through its stages, which may be broken off anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.tensorboard.writer import SummaryWriter

from agents.checkpoint import Checkpoint, Checkpoints
from agents.interruption import Interruption
from agents.ral.pretraining import Keep
from agents.restoring import MisfitError, require_like
from agents.tree_file import Tree

STAGES = ("vqvae", "prior", "ral")
"""In the order of training."""


class Stages:
    """Where in which stage a run is: what its checkpoints say, and what is written to them.

    ``lengths`` are the updates of each stage, by name.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        interruption: Interruption,
        writer: SummaryWriter,
        saved: Checkpoint | None,
        lengths: Mapping[str, int],
    ) -> None:
        self._checkpoints, self._interruption, self._writer = checkpoints, interruption, writer
        self._lengths, self._started = lengths, time.monotonic()
        tree: dict[str, Any] = {"stage": "", "own": None, "seconds": 0.0}
        if saved is not None:
            require_like(saved.tree, tree)
            tree = saved.tree
            if tree["stage"] not in STAGES:
                raise MisfitError(f"it is of a stage {tree['stage']!r}; there are {', '.join(STAGES)}")
        self._at: str = tree["stage"]
        self._own: Tree = tree["own"]
        self._seconds: float = tree["seconds"]

    @property
    def seconds(self) -> float:
        """That the run has taken, before a stop, too."""
        return self._seconds + time.monotonic() - self._started

    def passed(self, stage: str) -> bool:
        """Whether the checkpoint is of a later stage: this one's weights are in the run folder."""
        return self._at != "" and STAGES.index(self._at) > STAGES.index(stage)

    def state(self, stage: str) -> Tree:
        """What a stage goes on from; None where it begins."""
        return self._own if self._at == stage else None

    def check(self) -> None:
        """Stop where a signal asked for it."""
        self._interruption.check()

    def keep(self, stage: str) -> Keep:
        """Offers the states of a stage as checkpoints, and saves the last."""
        before = sum(self._lengths[name] for name in STAGES[: STAGES.index(stage)])

        def offer(update: int, state: Callable[[], Tree]) -> None:
            def whole() -> Tree:
                self._writer.flush()
                return {"stage": stage, "own": state(), "seconds": self.seconds}

            if update == self._lengths[stage]:
                self._checkpoints.save(before + update, whole)
                self.check()
            else:
                self._checkpoints.offer(before + update, whole, self._interruption)

        return offer
