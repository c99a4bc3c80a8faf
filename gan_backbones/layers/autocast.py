"""What layers with arithmetic of their own have to know of ``torch.autocast``, which reaches PyTorch's calls alone."""

from __future__ import annotations

import torch
from torch import Tensor


def autocast_dtype(tensor: Tensor) -> torch.dtype | None:
    """The precision in which autocast wants products of ``tensor``; None where it is off."""
    kind = tensor.device.type
    if tensor.dtype == torch.float64 or not torch.amp.is_autocast_available(kind):
        return None
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
