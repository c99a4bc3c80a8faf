"""Trees of values, arrays and tensors, compared to the bit."""

from typing import Any

import numpy as np
import torch


def differences(one: Any, other: Any, place: str = "tree") -> list[str]:
    """Where two trees differ in type or, to the bit, in value."""
    if type(one) is not type(other):
        return [f"{place}: {type(one).__name__} and {type(other).__name__}"]
    if isinstance(one, dict):
        if list(one) != list(other):
            return [f"{place}: {list(one)} and {list(other)}"]
        return [text for key in one for text in differences(one[key], other[key], f"{place}[{key!r}]")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [f"{place}: {len(one)} and {len(other)} entries"]
        pairs = enumerate(zip(one, other, strict=True))
        return [text for index, pair in pairs for text in differences(*pair, f"{place}[{index}]")]
    if isinstance(one, torch.Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape
        equal = alike and torch.equal(*(value.contiguous().flatten().view(torch.uint8) for value in (one, other)))
    elif isinstance(one, np.ndarray | np.generic):
        equal = one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    else:
        equal = one == other or (one != one and other != other)
    return [] if equal else [f"{place}: {one!r} and {other!r}"]
