"""One GAN trained to the end under a controller: a single long episode of the environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from agents.growth import Growth, grown, with_scales
from agents.predictors import Predictor
from agents.restoring import MisfitError, require_finite, require_like, restoring
from agents.tree_file import Tree
from gan_backbones import GanMeta, save_gan
from gan_env import EnvConfig
from gan_env.core import BalanceCore, StepResult
from gan_env.instances import GanInstance, Task

ENDINGS = ("diverged", "collapsed")
"""Why a training may end before its time."""


class GanTraining:
    """The episode of ``instance``, one of ``task``'s, decision by decision.

    With ``growth``, ``config`` holds the knob ``stage`` as a constant, and the networks compute only the scales that
    are shown. With an ``ema_halflife`` above 0, in updates, the generator's parameters are averaged after every
    decision; the average's buffers are the generator's present ones.
    """

    core: BalanceCore
    """What trains at present; another one after the networks have grown."""
    generator: nn.Module
    """The generator as a plain module, for looking at: it follows the training."""

    def __init__(
        self,
        config: EnvConfig,
        task: Task,
        instance: GanInstance,
        predictor: Predictor,
        *,
        growth: Growth | None = None,
        ema_halflife: float = 0.0,
    ) -> None:
        self._config, self._task, self._predictor, self._growth = config, task, predictor, growth
        self._decay = 0.5 ** (task.updates_per_step / ema_halflife) if ema_halflife else None
        self.average_name = f"EMA, half-life {ema_halflife:g} updates"
        """What the average is called wherever it is scored."""
        self._average: AveragedModel | None = None
        self._memory: Any = None
        self.ended: str | None = None
        """Why the training ended before its time, if it did: one of :data:`ENDINGS`."""
        first = task if growth is None else with_scales(task, growth.computed(0.0))
        core = BalanceCore(config, 1, first)
        core.reset([0], [dataclasses.replace(instance, backbone_options=core.task.backbone_options)])
        self._take(core)

    @property
    def updates(self) -> int:
        """GAN updates made."""
        return int(self.core.decisions[0]) * self._task.updates_per_step

    def step(self) -> StepResult:
        """One decision and the updates that follow it."""
        made = int(self.core.decisions[0])
        if self._growth is not None:
            self._grow(self._growth, made / self._task.decisions)
        action, self._memory = self._predictor.predict(
            self.core.observations([0]), state=self._memory, episode_start=np.array([made == 0]), deterministic=True
        )
        result = self.core.step([0], action)
        for name in ENDINGS:
            if result.infos[name][0]:
                self.ended = name
        if self._average is not None:
            self._average.update_parameters(self.generator)
        return result

    def draw(self, count: int, seed: int) -> Tensor:
        """``(count, latent_size)`` from N(0, I): latents to look at, the same ones for the same seed."""
        draws = torch.Generator().manual_seed(seed)
        return torch.randn(count, self.core.population.latent_size, generator=draws).to(self.core.device)

    def generators(self) -> dict[str, nn.Module]:
        """The present generator as ``raw`` and, where there is one, the average by its name."""
        average = {} if self._average is None else {self.average_name: self._average.module}
        return {"raw": self.generator} | average

    def save(self, folder: Path, notes: Mapping[str, Any]) -> None:
        """Write ``gan.safetensors`` and, where there is an average, ``gan-ema.safetensors`` with it as generator."""
        for (name, generator), file in zip(self.generators().items(), ("gan", "gan-ema"), strict=False):
            meta = GanMeta(
                self.core.task.backbone,
                dict(self.core.task.backbone_options),
                self.core.data_of(0).sample_shape,
                self.core.population.latent_size,
                {**notes, "updates": self.updates, "weights": name},
            )
            save_gan(folder / f"{file}.safetensors", generator, self._discriminator, meta)

    def get_state(self) -> Tree:
        """Everything that the next decision depends on; :meth:`set_state` goes on from it exactly."""
        average = None if self._average is None else self._average.state_dict()
        return {"core": self.core.get_state(), "average": average, "memory": self._memory, "ended": self.ended}

    @restoring()
    def set_state(self, state: Tree) -> None:
        """Go on from what :meth:`get_state` of a training with equal options gave.

        Raises ``MisfitError`` for what cannot be one.
        """
        if state["ended"] not in (None, *ENDINGS):
            raise MisfitError(f"it ended by {state['ended']!r}; there are {', '.join(ENDINGS)}")
        (instance,) = state["core"]["instances"]
        task = dataclasses.replace(self._task, backbone_options=instance["backbone_options"])
        if task.backbone_options != self.core.task.backbone_options:  # it had grown
            self.core.close()
            core = BalanceCore(self._config, 1, task)
            core.reset([0], [GanInstance(**instance)])
            self._take(core)
        require_like(state, self.get_state() | {"memory": None, "ended": None})
        self.core.set_state(state["core"])
        if self._average is not None:
            if state["ended"] is None:
                learned = [f"module.{name}" for name, _ in self.generator.named_parameters()]
                require_finite([state["average"][name] for name in learned], "its average")
            self._average.load_state_dict(state["average"])
        self._memory, self.ended = state["memory"], state["ended"]

    def close(self) -> None:
        self.core.close()

    def _take(self, core: BalanceCore) -> None:
        self.core = core
        self.generator, self._discriminator = core.population.networks(0)
        if self._decay is not None:
            average = AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(self._decay))
            if self._average is not None:
                average.load_state_dict(self._average.state_dict())
            self._average = average

    def _grow(self, growth: Growth, progress: float) -> None:
        task = with_scales(self._task, growth.computed(progress))
        if task.backbone_options != self.core.task.backbone_options:
            self._take(grown(self.core, self._config, task))
        self.core.constants["stage"].fill_(growth.stage(progress))
