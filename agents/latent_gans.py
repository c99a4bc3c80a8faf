"""GANs that are trained to be frozen: DCGANs on images, several side by side as rows of one population."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from agents.restoring import Each, MisfitError, require_like, restoring
from gan_backbones import GanMeta, GanPopulation, ReplicaSetup, TrainStats, build, save_gan
from gan_backbones.data import DataSet

BACKBONE = "dcgan"
LEARNING_RATE = 2e-3
"""Of both networks, until it falls. With the usual 2e-4, 3,000 updates end far worse: docs/results/README.md."""
STATISTICS = tuple(field.name for field in dataclasses.fields(TrainStats) if field.name != "diverged")
_RECORDS = 200  # points of a curve


@dataclass(frozen=True)
class GanSizes:
    """What all rows of a population share. The loss is cross-entropy (non-saturating), the optimizer Adam.

    Over the second half of the training the rates fall in a line to zero: what is to be frozen should have come to
    rest.
    """

    latent_size: int = 128
    """Numbers per latent."""
    width: int = 16
    """Channels next to the image."""
    batch_size: int = 32
    """Real images per update, and as many generated ones."""
    updates: int = 3000
    """GAN updates."""

    @property
    def options(self) -> dict[str, int]:
        """Of the backbone."""
        return {"latent_size": self.latent_size, "width": self.width}


@dataclass(frozen=True)
class GanRow:
    """One GAN."""

    data: DataSet
    seed: int = 0
    lr_g: float = LEARNING_RATE
    lr_d: float = LEARNING_RATE


@dataclass
class GanRecord:
    """What was seen of one GAN while it was trained."""

    updates: list[int]
    """At which the statistics were taken."""
    statistics: dict[str, list[float]]
    """Means since the record before, by name; see :class:`~gan_backbones.TrainStats`."""
    diverged: bool = False


class GanTrainer:
    """Trains ``rows`` together and records them; all data sets have one shape.

    ``device`` is where they train. The networks are there to be looked at after every stretch of :meth:`train`.
    """

    def __init__(self, rows: Sequence[GanRow], sizes: GanSizes, device: str = "cpu") -> None:
        shape = rows[0].data.sample_shape
        self.rows, self.sizes, self._shape = list(rows), sizes, shape
        self.population = GanPopulation(
            lambda: build(BACKBONE, shape, **sizes.options), len(rows), batch_size=sizes.batch_size, device=device
        )
        self.population.reset(range(len(rows)), [ReplicaSetup(row.seed, row.data) for row in rows])
        self.records = [GanRecord([], {name: [] for name in STATISTICS}) for _ in rows]
        self._rates = {name: torch.tensor([getattr(row, name) for row in rows]) for name in ("lr_g", "lr_d")}
        self.updates = 0

    def train(
        self,
        looks: Sequence[int] = (),
        look: Callable[[int], None] | None = None,
        *,
        after: Callable[[], None] = lambda: None,
        progress: bool = True,
    ) -> None:
        """Make all updates that are left; ``look`` is called after each of the numbers of updates in ``looks``.

        ``after`` is called wherever the training could go on from :meth:`get_state`.
        """
        total = self.sizes.updates
        stops = sorted({*range(0, total, max(1, total // _RECORDS)), total, *looks} - {0})
        hidden = None if progress else True
        with tqdm(
            total=total, initial=self.updates, unit="update", disable=hidden, file=sys.stderr, leave=False
        ) as bar:
            for stop in stops:
                if stop <= self.updates:
                    continue
                self._record(stop)
                bar.update(stop - bar.n)
                if look is not None and stop in looks:
                    look(stop)
                after()

    def get_state(self) -> dict[str, Any]:
        """Everything that the next update depends on, and the records, as a tree of plain values and tensors."""
        records = [copy.deepcopy(vars(record)) for record in self.records]
        return {"population": self.population.state_dict(), "records": records, "updates": self.updates}

    @restoring()
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on exactly from what :meth:`get_state` of a trainer of equal rows gave.

        Raises ``MisfitError`` for what cannot be one, and for numbers that are not finite in a row that did not
        diverge.
        """
        record = {"updates": Each(0), "statistics": dict.fromkeys(STATISTICS, Each(0.0)), "diverged": False}
        require_like(state, self.get_state() | {"records": Each(record)})
        self.population.load_state_dict(state["population"], {row.data.fingerprint: row.data for row in self.rows})
        self.records = [GanRecord(**record) for record in state["records"]]
        self.updates = state["updates"]
        for row, finite in enumerate(self.population.finite().tolist()):
            if not (finite or self.records[row].diverged):
                raise MisfitError(f"GAN {row} has weights that are not finite, and did not diverge")

    def _record(self, stop: int) -> None:
        share = min(1.0, 2 * (1 - self.updates / self.sizes.updates))
        rates = {name: share * rate for name, rate in self._rates.items()}
        stats = self.population.update(rates, stop - self.updates)
        self.updates = stop
        for index, record in enumerate(self.records):
            record.updates.append(stop)
            record.diverged |= bool(stats.diverged[index])
            for name, column in record.statistics.items():
                column.append(float(getattr(stats, name)[index]))

    @torch.no_grad()
    def images(self, row: int, latents: Tensor) -> Tensor:
        """``(n, C, H, W)`` on the CPU, of latents ``(n, latent_size)``; changes nothing."""
        generator, _ = self.population.networks(row)
        return torch.cat([generator(chunk.to(self.population.device)).cpu() for chunk in latents.split(256)])

    def save(self, row: int, path: Path, notes: Mapping[str, Any]) -> Path:
        """Write a row's networks as a checkpoint; gives its path."""
        given = {"data": self.rows[row].data.name, "updates": self.updates, "seed": self.rows[row].seed}
        meta = GanMeta(BACKBONE, self.sizes.options, self._shape, self.sizes.latent_size, given | dict(notes))
        save_gan(path, *self.population.networks(row), meta)
        return path

    def close(self) -> None:
        """Stop the worker threads."""
        self.population.close()
