"""Putting a state that came from a file in place: what does not fit is told in one line, before anything goes on.

A checksum tells that a file is whole, not that its content makes sense: whoever writes it anew gives it a right one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.tree_file import Tree

_LONGEST = 300  # characters of another error that are quoted
_FAULTS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class MisfitError(ValueError):
    """A state is not one of what it is put into."""


@contextlib.contextmanager
def restoring() -> Iterator[None]:
    """Around what puts a state in place, or as a decorator of it: what goes wrong becomes :class:`MisfitError`."""
    try:
        yield
    except MisfitError:
        raise
    except _FAULTS as error:
        said = " ".join(str(error).split())
        raise MisfitError(f"{type(error).__name__}: {said[:_LONGEST]}") from error


@dataclass(frozen=True)
class Each:
    """In an example of a tree: a list of any length, or a dictionary of any keys, whose items are like ``item``."""

    item: Tree


def require_like(saved: Tree, example: Tree, place: str = "its state") -> None:
    """Raise :class:`MisfitError`, naming the place, where ``saved`` is not built as ``example`` is.

    Types, keys, dtypes and shapes have to agree, numbers may differ. None stands for anything, an empty list,
    dictionary or array for one of any content, and of lists and tuples of another length only the type is looked at.
    """
    if isinstance(example, Each):
        if not isinstance(saved, list | dict):
            raise MisfitError(f"{place} is {_kind(saved)}, not a list")
        for key, item in saved.items() if isinstance(saved, dict) else enumerate(saved):
            require_like(item, example.item, f"{place}[{key!r}]")
    elif example is None:
        pass
    elif isinstance(example, float):
        if type(saved) not in (int, float) and not isinstance(saved, np.number):
            raise MisfitError(f"{place} is {_kind(saved)}, not a number")
    elif isinstance(example, np.ndarray) and example.size == 0:
        if not isinstance(saved, np.ndarray) or saved.dtype != example.dtype:
            raise MisfitError(f"{place} is {_kind(saved)}, not an array of {example.dtype}")
    elif _type(saved) is not _type(example) or _layout(saved) != _layout(example):
        raise MisfitError(f"{place} is {_kind(saved)}, not {_kind(example)}")
    elif isinstance(example, Mapping) and example:
        if saved.keys() != example.keys():
            raise MisfitError(f"{place} has other entries: {_first(saved.keys() ^ example.keys())}")
        for key, own in example.items():
            require_like(saved[key], own, f"{place}[{key!r}]")
    elif isinstance(example, list | tuple) and len(saved) == len(example):
        for index, own in enumerate(example):
            require_like(saved[index], own, f"{place}[{index}]")


def require_finite(tree: Tree, place: str) -> None:
    """Raise :class:`MisfitError`, naming the place, where a number of ``tree`` is not finite."""
    if isinstance(tree, dict | list | tuple):
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            require_finite(item, f"{place}[{key!r}]")
        return
    if isinstance(tree, Tensor):
        finite = bool(tree.isfinite().all())
    elif isinstance(tree, np.ndarray | np.generic):
        finite = bool(np.isfinite(tree).all())
    else:
        finite = not isinstance(tree, float) or math.isfinite(tree)
    if not finite:
        raise MisfitError(f"{place} holds a number that is not finite")


def require_optimizer(optimizer: torch.optim.Optimizer, state: Tree, place: str) -> None:
    """Raise :class:`MisfitError` unless ``state`` is like a ``state_dict()`` of ``optimizer``, and finite."""
    require_like(state, optimizer.state_dict() | {"state": {}}, place)
    if len(state["param_groups"]) != len(optimizer.param_groups):
        raise MisfitError(f"{place} has {len(state['param_groups'])} groups of parameters")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = _moments(optimizer)
    for index, own in state["state"].items():
        shape = parameters[index].shape
        example = {name: value if value.dim() == 0 else value.new_zeros(shape) for name, value in moments.items()}
        require_like(own, example, f"{place}['state'][{index}]")
    require_finite(state, place)


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What one step leaves of a parameter: seen on a small one of its own."""
    (one, *_) = (parameter for group in optimizer.param_groups for parameter in group["params"])
    parameter = torch.nn.Parameter(one.new_zeros(2))
    parameter.grad = torch.zeros_like(parameter)
    kind: Any = type(optimizer)
    twin = kind([parameter])
    twin.param_groups[0].update(optimizer.defaults)  # not all of them are arguments
    twin.step()
    return dict(twin.state[parameter])


def _type(value: Tree) -> Any:
    if isinstance(value, Tensor):
        return Tensor  # parameters among them
    return dict if isinstance(value, Mapping) else type(value)  # networks have ordered ones


def _layout(value: Tree) -> Any:
    return (value.dtype, tuple(value.shape)) if isinstance(value, Tensor | np.ndarray) else None


def _kind(value: Tree) -> str:
    layout = _layout(value)
    return type(value).__name__ if layout is None else f"{type(value).__name__} {layout[0]} {list(layout[1])}"


def _first(names: set[Any]) -> str:
    return repr(min(names, key=repr))[:_LONGEST]
