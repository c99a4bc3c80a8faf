"""How many bytes a population takes, known before they are allocated.

One lane of one row and one of two rows make an update on PyTorch's ``meta`` device, where tensors have shapes and no
contents, while their sizes are added up. Everything in training grows by the same amount with every further row.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan_backbones.backbone import GanPair
from gan_backbones.lane import Lane, Noise, Player


class NotEnoughMemoryError(ValueError):
    """More GANs were asked for than the device holds."""


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that training takes at its peak.

    ``state`` is what one row keeps, ``work`` what the update of one row takes beside it, ``fixed`` what any number of
    rows takes once. ``parallel`` rows are in work at a time; all of them by default.
    """

    state: int
    work: int
    fixed: int = 0
    parallel: int | None = None

    def total(self, size: int) -> int:
        """Bytes for ``size`` rows."""
        at_once = size if self.parallel is None else min(size, self.parallel)
        return self.fixed + size * self.state + at_once * self.work

    def largest(self, free: int) -> int:
        """The most rows that ``free`` bytes hold; 0 when not even one fits."""
        low, high = 0, max(1, free // max(1, self.state)) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.total(middle) <= free else (low, middle)
        return low

    def require(self, size: int, device: torch.device) -> None:
        """Raise :class:`NotEnoughMemoryError` in one line, which names the largest size that fits, unless this does."""
        free = free_bytes(device)
        if free is not None and self.total(size) > free:
            raise NotEnoughMemoryError(
                f"{size} GANs of this shape need {self.total(size) / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free on "
                f"{device}; at most {self.largest(free)} fit"
            )


def plan_training(
    pair: GanPair,
    make_lane: Callable[[slice, Player, Player], Lane],
    loss: str,
    batch_size: int,
    knob_names: Sequence[str],
    dtype: torch.dtype,
    parallel: int | None,
) -> MemoryPlan:
    """The plan of a population of ``pair``; ``parallel`` rows train at a time, one by one, or else all together.

    Of networks that are not made of this project's layers only the state is known: others may need contents. A plan is
    made once for each architecture.
    """
    layouts = _layout(pair.generator), _layout(pair.discriminator)
    key = (layouts, loss, batch_size, tuple(knob_names), dtype, parallel)
    if key not in _PLANS:
        rehearse = functools.partial(_rehearse, pair, make_lane, batch_size, knob_names, dtype)
        # From two rows on, since a layer may treat a single one in a way of its own.
        (two, two_peak), (three, three_peak) = (rehearse(count, together=parallel is None) for count in (2, 3))
        state = three - two
        if parallel is None:
            work = three_peak - two_peak - state
            _PLANS[key] = MemoryPlan(state, work, two_peak - 2 * (state + work))
        else:
            _PLANS[key] = MemoryPlan(state, two_peak - two, two - 2 * state, parallel)
    return _PLANS[key]


_PLANS: dict[Hashable, MemoryPlan] = {}


def _layout(network: nn.Module) -> Hashable:
    """Modules, their parameters' shapes and their settings: networks with equal ones do the same work."""
    return tuple(
        (
            name,
            type(module),
            tuple((key, value.shape) for key, value in module.named_parameters(recurse=False)),
            tuple((key, value) for key, value in sorted(vars(module).items()) if isinstance(value, int | float | str)),
        )
        for name, module in network.named_modules()
    )


def _rehearse(
    pair: GanPair,
    make_lane: Callable[[slice, Player, Player], Lane],
    batch_size: int,
    knob_names: Sequence[str],
    dtype: torch.dtype,
    count: int,
    *,
    together: bool,
) -> tuple[int, int]:
    """Bytes of the state of ``count`` rows, and at the peak of an update of all of them or of one."""
    meta = torch.device("meta")
    with LiveBytes() as storage, meta:
        generator, discriminator = (
            Player.zeros(network, count, meta, dtype) for network in (pair.generator, pair.discriminator)
        )
        state = storage.now
        if pair.stackable:
            rows = count if together else 1
            lane = make_lane(slice(0, rows), generator, discriminator)
            latents = torch.zeros(rows, 1, batch_size, pair.latent_size, dtype=dtype)
            noise = Noise(latents, latents[..., 0].long(), latents[..., 0])
            pool = torch.zeros(lane.sample(latents[:, 0]).shape[1:], dtype=dtype)
            knobs = {name: torch.zeros(rows, dtype=dtype) for name in knob_names}
            lane.update(knobs, torch.zeros(rows, 2, dtype=dtype), torch.zeros(rows, 2, dtype=dtype), noise, pool)
    return state, storage.peak


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on ``device``; None where that is not known."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return None


class LiveBytes(TorchDispatchMode):
    """Inside the block, adds up the storage of all tensors that operations make: now, and at the most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._see(value.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
