"""Training inside of whatever mode the caller is in."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

_P = ParamSpec("_P")
_R = TypeVar("_R")


def trainable(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """The method outside of the caller's ``no_grad`` or ``inference_mode``, in which nothing can be trained."""
    decorated: Callable[_P, _R] = torch.inference_mode(False)(torch.enable_grad()(method))
    return decorated
