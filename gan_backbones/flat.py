"""Parameters of many networks as one ``(N, P)`` matrix, bound into modules as views.

A row holds everything that an optimizer moves in one replica, so a reset, a norm, a finiteness check or an Adam step
of the whole population is one operation on a matrix. A module bound to one row is an ordinary plain module; a module
bound to several rows has parameters with a leading replica axis (see :mod:`gan_backbones.layers`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FlatParameters:
    """The parameters ``(N, P)`` and buffers (name -> ``(N, ...)``) of N copies of one template module."""

    def __init__(self, template: nn.Module, count: int, device: torch.device, dtype: torch.dtype) -> None:
        self._template = template
        self._shapes = {name: parameter.shape for name, parameter in template.named_parameters()}
        self._sizes = {name: math.prod(shape) for name, shape in self._shapes.items()}
        self.matrix = torch.zeros(count, sum(self._sizes.values()), device=device, dtype=dtype)
        self.buffers = {
            name: torch.zeros(
                count, *buffer.shape, device=device, dtype=dtype if buffer.is_floating_point() else buffer.dtype
            )
            for name, buffer in template.named_buffers()
        }

    def tensors(self) -> list[Tensor]:
        """Everything that a row consists of, each with the replica axis first."""
        return [self.matrix, *self.buffers.values()]

    def finite(self) -> Tensor:
        """``(N,)``: whether all parameters of a row are finite."""
        return self.matrix.isfinite().all(1)

    @torch.no_grad()
    def write_row(self, row: int, module: nn.Module) -> None:
        """Copy the parameters and buffers of a plain ``module`` into ``row``."""
        self.matrix[row] = torch.cat([parameter.detach().flatten() for parameter in module.parameters()]).to(
            self.matrix
        )
        for name, buffer in module.named_buffers():
            self.buffers[name][row] = buffer

    def bind(self, rows: slice, *, stacked: bool) -> nn.Module:
        """A module whose parameters and buffers are views of ``rows``.

        With ``stacked`` they carry the replica axis; without, ``rows`` must be a single row and the module is plain.
        """
        module = copy.deepcopy(self._template)
        matrix, start = self.matrix[rows], 0
        # `.data` gives each view a version counter of its own: autograd would otherwise take another lane's in-place
        # step on its own rows for a change of these.
        for name, size in self._sizes.items():
            view = matrix[:, start : start + size].unflatten(1, self._shapes[name]).data
            _set(module, "_parameters", name, nn.Parameter(view if stacked else view[0]))
            start += size
        for name, buffer in self.buffers.items():
            _set(module, "_buffers", name, (buffer[rows] if stacked else buffer[rows][0]).data)
        return module


def _set(module: nn.Module, table: str, path: str, tensor: Tensor) -> None:
    *parents, name = path.split(".")
    getattr(module.get_submodule(".".join(parents)), table)[name] = tensor


def flatten_gradients(gradients: Sequence[Tensor], count: int) -> Tensor:
    """Gradients of a bound module's parameters, in their order, as ``(count, P)``."""
    return torch.cat([gradient.reshape(count, -1) for gradient in gradients], dim=1)
