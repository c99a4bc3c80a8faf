"""What the discriminator said since the last decision, kept on the device without waiting for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_backbones.train_stats import LogitMeans, average_logits

_CHUNK = 32
"""Updates whose logits are averaged at once: a copy each meanwhile, so that most updates cost two small kernels."""


class LogitRecord:
    """Means over the logits of some updates, which count alike where their batches are of one size.

    With ``center``, the middle between the mean real and the mean fake logit of each update is its zero: for critics
    that have none.
    """

    def __init__(self, *, center: bool = False) -> None:
        self._center = center
        self._real: list[Tensor] = []
        self._fake: list[Tensor] = []
        self._sums: Tensor | None = None
        self._updates = 0

    @torch.no_grad()
    def add(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        """Logits of one update, of any shapes. Raises ``ValueError`` for what is no tensor, or an empty one."""
        for logits in (real_logits, fake_logits):
            if not isinstance(logits, Tensor) or logits.numel() == 0:
                raise ValueError(f"logits must be a tensor with at least one number, not {logits!r}")
        real, fake = _copied(real_logits), _copied(fake_logits)
        if self._center:
            middle = (real.mean() + fake.mean()) / 2
            real, fake = real - middle, fake - middle
        self._real.append(real)
        self._fake.append(fake)
        if len(self._real) == _CHUNK:
            self._fold()

    def means(self) -> Tensor:
        """``(6,)``: the fields of :class:`~gan_backbones.train_stats.LogitMeans` in their order.

        Raises ``RuntimeError`` where nothing was added.
        """
        self._fold()
        if self._sums is None:
            raise RuntimeError("no logits were recorded")
        return self._sums / self._updates

    def clear(self) -> None:
        self._real, self._fake, self._sums, self._updates = [], [], None, 0

    def state_dict(self) -> dict[str, Any]:
        self._fold()
        return {"sums": self._sums, "updates": self._updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.clear()
        self._sums, self._updates = state["sums"], state["updates"]

    @torch.no_grad()
    def _fold(self) -> None:
        """Average what has come together, larger batches with more weight."""
        if not self._real:
            return
        updates = len(self._real)
        real, fake = (torch.cat(logits)[None] for logits in (self._real, self._fake))
        means = torch.cat(list(vars(average_logits(real, fake)).values()))
        self._real, self._fake = [], []
        self._sums = updates * means if self._sums is None else self._sums.to(means.device) + updates * means
        self._updates += updates


def _copied(logits: Tensor) -> Tensor:
    """In one row and in float32 at least, as training statistics are; the caller may use the buffer again."""
    wide = torch.promote_types(logits.dtype, torch.float32)
    return logits.reshape(-1).to(wide, copy=True)


def as_logit_means(values: Tensor) -> LogitMeans:
    """``(6,)`` as :meth:`LogitRecord.means` gives them, as those of one GAN."""
    return LogitMeans(*values[:, None])
