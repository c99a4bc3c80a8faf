"""What a training loses with the workers of a cluster, over all of the times that it went on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from stable_baselines3.common.callbacks import BaseCallback

from agents.run_folder import RunFolder
from agents.training import PolicyTraining
from agents.workers import Workers
from gan_env.shards import Shards

LOST = "lost.json"
_COUNTED = ("workers", "training_episodes", "evaluations")


@contextlib.contextmanager
def counted_losses(
    shards: Shards, training: PolicyTraining, folder: RunFolder, console: Console
) -> Iterator[list[BaseCallback]]:
    """Keep :data:`LOST` while ``training`` is in work, and print it after a good end; gives the callbacks for that.

    What ``lost.json`` has from before is added to. Without a cluster nothing is counted. Raises ``ValueError`` for a
    ``lost.json`` that this did not write.
    """
    if not isinstance(shards, Workers):
        yield []
        return
    losses = _Losses(shards, training, folder)
    try:
        yield [losses]
    finally:
        losses.write()
    losses.tell(console)


class _Losses(BaseCallback):
    def __init__(self, workers: Workers, training: PolicyTraining, folder: RunFolder) -> None:
        super().__init__()
        self._workers, self._policy_training, self._folder = workers, training, folder
        self._before = _counted_before(folder)
        self._written: dict[str, int] | None = None

    def write(self) -> None:
        now = self._workers.lost, self._policy_training.env.env.core.restarts, self._policy_training.evaluator.replays
        counts = {name: self._before[name] + count for name, count in zip(_COUNTED, now, strict=True)}
        if counts != self._written:
            self._folder.write_json(LOST, counts)
            self._written = counts

    def tell(self, console: Console) -> None:
        if self._written is not None and self._written["workers"]:
            workers, episodes, evaluations = self._written.values()
            console.print(
                f"{workers} workers were lost and replaced; {episodes} training episodes and {evaluations} evaluations "
                "were begun again",
                style="yellow",
                highlight=False,
            )

    def _on_step(self) -> bool:
        self.write()
        return True


def _counted_before(folder: RunFolder) -> dict[str, int]:
    if not (folder.path / LOST).is_file():
        return dict.fromkeys(_COUNTED, 0)
    content = folder.read_json(LOST)
    if not (isinstance(content, dict) and all(isinstance(content.get(name), int) for name in _COUNTED)):
        raise ValueError(f"{folder.path / LOST} does not hold the losses of a run; remove it")
    return {name: content[name] for name in _COUNTED}
