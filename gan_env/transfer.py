"""Columns of N rows between the host and the device, and between one measurement and the next."""

from __future__ import annotations

import copy
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


def on_device(device: torch.device, tree: Any) -> Any:
    """A copy of nested dictionaries whose tensors are on ``device``."""
    if isinstance(tree, Mapping):
        return {name: on_device(device, part) for name, part in tree.items()}
    return tree.to(device, copy=True) if isinstance(tree, Tensor) else copy.deepcopy(tree)


def take_rows(columns: Any, order: Sequence[int]) -> Any:
    """``columns`` with row ``order[i]`` as row i: of a list, an array, a tensor, or each of a dictionary's."""
    if isinstance(columns, Mapping):
        return {name: take_rows(column, order) for name, column in columns.items()}
    if isinstance(columns, list):
        return [columns[row] for row in order]
    return columns[list(order)]


def merge(new: _T, old: _T, rows: Sequence[int]) -> _T:
    """``new`` in ``rows``, ``old`` elsewhere: of a tensor, or of every tensor of nested dataclasses of one type."""
    if isinstance(new, Tensor) and isinstance(old, Tensor):
        if len(rows) == len(old):
            return new
        merged: Any = old.clone()
        merged[list(rows)] = new[list(rows)]
        return merged
    names = [field.name for field in dataclasses.fields(new)]  # type: ignore[arg-type]
    return type(new)(**{name: merge(getattr(new, name), getattr(old, name), rows) for name in names})
