"""Growing a GAN while it trains: from its coarsest scale to its finest, computing only those that are shown.

After Karras et al., "Progressive Growing of GANs", arXiv 1710.10196, section 2.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from gan_backbones import BACKBONES, build
from gan_env import EnvConfig
from gan_env.core import BalanceCore
from gan_env.instances import GanInstance, Task


@dataclass(frozen=True)
class Growth:
    """When which scale comes in: each is held for as long as the next one takes to fade in.

    ``share`` of the training, above 0 and at most 1, is what it takes to reach the finest of ``scales``.
    """

    scales: int
    share: float

    def position(self, progress: float) -> float:
        """Scales beyond the coarsest that are shown after a share ``progress`` of the training; in [0, scales - 1]."""
        steps = self.scales - 1
        done = min(progress / self.share, 1.0) * steps
        held = math.floor(done)
        return min(held + max(0.0, 2 * (done - held) - 1), steps)

    def stage(self, progress: float) -> float:
        """The knob ``stage``: share of the finest resolution that is shown, in (0, 1]."""
        return 2.0 ** (self.position(progress) - (self.scales - 1))

    def computed(self, progress: float) -> int:
        """Scales that have to be computed, from 1 to ``scales``."""
        return 1 + math.ceil(self.position(progress))


def scales_of(task: Task, sample_shape: tuple[int, ...]) -> int:
    """Scales of a task's networks. Raises ``ValueError`` for networks that cannot grow."""
    pair = build(task.backbone, sample_shape, **dict(task.backbone_options))
    known = {field.name for field in dataclasses.fields(BACKBONES[task.backbone].options)}
    if "stage" not in pair.knobs or "scales" not in known:
        raise ValueError(f"backbone {task.backbone!r} with these options does not grow; 'mspg' does")
    return int(pair.generator.computed)  # type: ignore[arg-type]  # nn.Module tells no types of attributes


def with_scales(task: Task, scales: int) -> Task:
    """The task with networks that compute so many scales."""
    options = tuple(sorted((dict(task.backbone_options) | {"scales": scales}).items()))
    return dataclasses.replace(task, backbone_options=options)


def grown(core: BalanceCore, config: EnvConfig, task: Task) -> BalanceCore:
    """What continues the episode of ``core``, which it closes, with networks as in ``task``.

    Weights, random numbers, knobs and history go on; Adam begins anew, as in the code of Karras et al.: the moments of
    parameters that lay idle are 0 after any number of steps, and their first steps would be many times too long.
    """
    instance: GanInstance | None = core.instances[0]
    if instance is None or core.size != 1:
        raise ValueError("only the episode of a single GAN can grow")
    successor = BalanceCore(config, 1, task)
    grown_instance = dataclasses.replace(instance, backbone_options=task.backbone_options)
    successor.reset([0], [grown_instance])
    for new, old in zip(successor.population.networks(0), core.population.networks(0), strict=True):
        new.load_state_dict(old.state_dict())
    state, population = core.get_state(), successor.population.state_dict()
    draws = {name: state["population"][name] for name in ("train_rng", "sample_rng")}
    successor.set_state(state | {"instances": [dataclasses.asdict(grown_instance)], "population": population | draws})
    core.close()
    return successor
