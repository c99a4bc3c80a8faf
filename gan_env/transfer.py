"""Columns of N rows between the host and the device, and between one measurement and the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_HOST_TYPES = {torch.bool: np.bool_, torch.float32: np.float32, torch.float64: np.float64}

_T = TypeVar("_T")


def to_device(device: torch.device, *columns: NDArray[np.float64]) -> list[Tensor]:
    """``(N,)`` or ``(N, width)`` each, in one copy."""
    table = torch.from_numpy(np.column_stack(columns)).to(device)
    widths = [1 if column.ndim == 1 else column.shape[1] for column in columns]
    parts = table.split(widths, dim=1)
    return [part[:, 0] if column.ndim == 1 else part for part, column in zip(parts, columns, strict=True)]


def to_host(columns: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """``(N, ...)`` each, boolean, float32 or float64, in one copy; shapes and types stay as they are."""
    flat = [column.flatten(1) if column.dim() > 1 else column.unsqueeze(1) for column in columns.values()]
    table = torch.cat([column.double() for column in flat], dim=1).cpu().numpy()
    arrays: dict[str, NDArray[Any]] = {}
    start = 0
    for (name, column), part in zip(columns.items(), flat, strict=True):
        width = part.shape[1]
        arrays[name] = table[:, start : start + width].reshape(column.shape).astype(_HOST_TYPES[column.dtype])
        start += width
    return arrays


def _map_tensors(function: Any, value: _T, *others: _T) -> _T:
    """``function`` on every tensor of nested dataclasses of one type."""
    if isinstance(value, Tensor):
        return function(value, *others)  # type: ignore[no-any-return]
    names = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
    parts = {name: _map_tensors(function, *(getattr(one, name) for one in (value, *others))) for name in names}
    return type(value)(**parts)


def take_rows(columns: Any, order: Sequence[int]) -> Any:
    """``columns`` with row ``order[i]`` as row i: of a list, an array, a tensor, or every tensor of a dataclass."""
    if isinstance(columns, list):
        return [columns[row] for row in order]
    if isinstance(columns, np.ndarray):
        return columns[list(order)]
    return _map_tensors(lambda tensor: tensor[list(order)], columns)


def merge(new: _T, old: _T, rows: Sequence[int]) -> _T:
    """``new`` in ``rows``, ``old`` elsewhere: of a tensor, or of every tensor of a dataclass."""
    chosen = list(rows)

    def choose(fresh: Tensor, kept: Tensor) -> Tensor:
        if len(chosen) == len(kept):
            return fresh
        merged = kept.clone()
        merged[chosen] = fresh[chosen]
        return merged

    return _map_tensors(choose, new, old)
