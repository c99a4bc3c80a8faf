"""A tree of plain values, arrays and tensors in one file: safetensors and JSON, never a pickle.

What comes back is what was written, bit for bit and type for type: tuples stay tuples, keys keep their types and their
order, integers may have any size, arrays and tensors keep their dtypes, NumPy's scalars stay such. Tensors come back on
the CPU. Nothing in a file is ever executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_backbones.tensor_file import read_tensors, write_tensors

Tree = Any
"""``None``, ``bool``, ``int``, ``float``, ``str``, NumPy arrays and scalars of numbers, tensors; and lists, tuples and
dictionaries of these, whose keys are ``None``, ``bool``, ``int``, ``float`` or ``str``."""

_FORMAT, _VERSION = "gan-balance tree", 1
_PLAIN = (type(None), bool, int, float, str)
_NUMBERS = "biufc"  # kinds of NumPy's dtypes; no objects, no strings


def write_tree(path: Path, tree: Tree, about: Mapping[str, Any]) -> None:
    """Write ``tree`` and JSON-able ``about`` to ``path``, atomically, with a SHA-256 over everything.

    Raises ``TypeError``, naming the place, for a value that no tree holds, and ``OSError`` when the file cannot be
    written; whatever was there before is there still.
    """
    tensors: dict[str, Tensor] = {}
    structure = _encode(tree, tensors, "tree")
    write_tensors(path, tensors, {"format": _FORMAT, "version": _VERSION, "about": dict(about), "tree": structure})


def read_tree(path: Path) -> tuple[Tree, dict[str, Any]]:
    """What :func:`write_tree` wrote: the tree, and what it is about.

    Raises ``ValueError`` with the reason, in one line without the path, for a file that is missing, torn, changed, of
    another kind or of another version.
    """
    tensors, content = read_tensors(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError("it is of another kind")
    if content.get("version") != _VERSION:
        raise ValueError(f"it has version {content.get('version')!r} of the format; this program reads {_VERSION}")
    try:
        return _decode(content["tree"], tensors), dict(content["about"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"its structure makes no sense ({type(error).__name__})") from error


def _encode(value: Tree, tensors: dict[str, Tensor], place: str) -> Any:
    """JSON in which every container is ``{kind: content}``; a tensor goes into ``tensors``, its name stands for it."""
    # Exact types: what is derived from them, such as a named tuple or an enum, would come back as something else.
    if type(value) in _PLAIN:
        return value
    if type(value) in (list, tuple):
        return {type(value).__name__: [_encode(item, tensors, f"{place}[{i}]") for i, item in enumerate(value)]}
    if isinstance(value, Mapping):
        pairs = []
        for key, item in value.items():
            if type(key) not in _PLAIN:
                raise TypeError(f"{place} has a key of type {type(key).__name__}")
            pairs.append([key, _encode(item, tensors, f"{place}[{key!r}]")])
        return {"dict": pairs}
    if isinstance(value, Tensor):
        # A copy, because safetensors refuses tensors that share memory.
        return {"tensor": _add(value.detach().cpu().clone(), tensors)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _NUMBERS:
        kind, array = "array" if isinstance(value, np.ndarray) else "scalar", np.asarray(value)
        # As bytes, because there are dtypes of NumPy's that tensors lack.
        content = torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())
        return {kind: _add(content, tensors), "dtype": array.dtype.str, "shape": list(array.shape)}
    raise TypeError(f"{place} is of type {type(value).__name__}, which no checkpoint holds")


def _add(tensor: Tensor, tensors: dict[str, Tensor]) -> str:
    name = str(len(tensors))
    tensors[name] = tensor
    return name


def _decode(node: Any, tensors: Mapping[str, Tensor]) -> Tree:
    if type(node) in _PLAIN:
        return node
    (kind,) = {"list", "tuple", "dict", "tensor", "array", "scalar"} & set(node)
    content = node[kind]
    if kind == "dict":
        return {key: _decode(item, tensors) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_decode(item, tensors) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "tensor":
        return tensors[content]
    dtype = np.dtype(node["dtype"])
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"dtype {dtype}")
    array = np.frombuffer(tensors[content].numpy().tobytes(), dtype).reshape(node["shape"]).copy()
    return array if kind == "array" else array[()]
