"""How precisely a population computes: float32 is the reference, the others trade digits for speed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

PRECISIONS = ("float32", "tf32", "bfloat16")
"""``tf32``: float32 whose matrix products keep 10 bits of the mantissa, on a GPU. ``bfloat16``: products, and what
flows between them, keep 7 bits (autocast); weights, moments, norms and losses stay float32."""


def check_precision(precision: str, device: torch.device, dtype: torch.dtype) -> None:
    """Raise ``ValueError`` in one line unless ``precision`` is known and ``device`` has it for ``dtype``."""
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if precision == "tf32" and device.type != "cuda":
        raise ValueError("precision 'tf32' needs a CUDA device; use 'float32' or 'bfloat16'")
    if precision != "float32" and dtype != torch.float32:
        raise ValueError(f"precision {precision!r} is for float32 parameters, not {dtype}")


@contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """Products inside the block are made in ``precision``; afterwards everything is as before.

    The choice of TF32 is torch's own and holds for the whole process while the block runs.
    """
    if device.type != "cuda":
        with _autocast(precision, device):
            yield
        return
    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = precision == "tf32"
        with _autocast(precision, device):
            yield
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    # Without the cache: weights change in place within the block.
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
