"""The 4x4 convolution of stride 2 with a leading replica axis, as matrix products that copy no patches.

Space to depth turns an image into a *grid* of phases: the pixels of one 2x2 block (the image is shifted by its one
pixel of padding) become channels of one grid position. On that grid the convolution has a 2x2 kernel of stride 1:
four matrix products, each of the same memory read at an offset. Patches laid out one after another would take four
times the memory, and on a small network moving memory costs more than multiplying.

A grid is ``(N, channels, (h + 1) * (w + 1) * batch + tail)``, channels outside, the images of a batch side by side
at each position, so that whatever moves pixels moves them batch by batch; the last row and column are margins. Grids of
phases carry a tail of zeros, so that all offsets can be read; grids of values ``h x w`` have zeros in their margins.

The maps come in adjoint pairs, so that they can be differentiated any number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_backbones.layers.autocast import autocast_dtype


class GridShape(NamedTuple):
    """Images of one grid: how many, and the height and width of the smaller side of the convolution."""

    batch: int
    height: int
    width: int

    @property
    def positions(self) -> int:
        return (self.height + 1) * (self.width + 1) * self.batch

    @property
    def offsets(self) -> tuple[int, int, int, int]:
        """Of the four kernel positions, row by row."""
        row = (self.width + 1) * self.batch
        return 0, self.batch, row, row + self.batch

    @property
    def padded(self) -> int:
        """Positions with the tail."""
        return self.positions + self.offsets[-1]


def correlate(images: Tensor, kernels: Tensor) -> Tensor:
    """``(N, B, in, 2h, 2w)`` with kernels ``(N, out, in, 4, 4)`` to ``(N, B, out, h, w)``: stride 2, padding 1."""
    _, batch, _, height, width = images.shape
    shape = GridShape(batch, height // 2, width // 2)
    images, kernels = _as_autocast(images, kernels)
    phases = _Linear.apply(images.movedim(1, -1), shape, _to_phases, _from_phases)
    values = _Correlate.apply(phases, _matrices(kernels), shape)
    return _Linear.apply(values, shape, _from_grid, _to_grid).movedim(-1, 1)


def scatter(values: Tensor, kernels: Tensor) -> Tensor:
    """``(N, B, out, h, w)`` with kernels ``(N, out, in, 4, 4)`` to ``(N, B, in, 2h, 2w)``: adjoint of `correlate`."""
    _, batch, _, height, width = values.shape
    shape = GridShape(batch, height, width)
    values, kernels = _as_autocast(values, kernels)
    grid = _Linear.apply(values.movedim(1, -1), shape, _to_grid, _from_grid)
    phases = _Scatter.apply(grid, _matrices(kernels), shape)
    return _Linear.apply(phases, shape, _from_phases, _to_phases).movedim(-1, 1)


def _as_autocast(*tensors: Tensor) -> list[Tensor]:
    dtype = autocast_dtype(tensors[0])
    return [tensor if dtype is None else tensor.to(dtype) for tensor in tensors]


def _matrices(kernels: Tensor) -> Tensor:
    """``(N, out, in, 4, 4) -> (4, N, out, 4 in)``: one matrix from phases to values per offset."""
    replicas, out_channels, in_channels = kernels.shape[:3]
    split = kernels.view(replicas, out_channels, in_channels, 2, 2, 2, 2)  # rows and columns: (offset, phase)
    return split.permute(3, 5, 0, 1, 4, 6, 2).reshape(4, replicas, out_channels, 4 * in_channels)


def _phase_views(phases: Tensor, images: Tensor, shape: GridShape) -> list[tuple[Tensor, Tensor]]:
    """Where each of the four phases lies, in the grid and in the images ``(N, C, 2h, 2w, B)``."""
    grid = _planes(phases, shape)
    first, rest = slice(None, -1), slice(1, None)  # without the last, and without the first, row or column
    return [
        (grid[:, 0, 0, :, rest, rest], images[..., 1::2, 1::2, :]),
        (grid[:, 0, 1, :, rest, first], images[..., 1::2, ::2, :]),
        (grid[:, 1, 0, :, first, rest], images[..., ::2, 1::2, :]),
        (grid[:, 1, 1, :, first, first], images[..., ::2, ::2, :]),
    ]


def _planes(phases: Tensor, shape: GridShape) -> Tensor:
    """A grid of phases without its tail: ``(N, 2, 2, C, h + 1, w + 1, B)``."""
    inner = phases.unflatten(1, (2, 2, -1))[..., : shape.positions]
    return inner.unflatten(-1, (shape.height + 1, shape.width + 1, shape.batch))


def _to_phases(images: Tensor, shape: GridShape) -> Tensor:
    """``(N, C, 2h, 2w, B) -> (N, 4 C, padded)``."""
    phases = images.new_empty(images.shape[0], 4 * images.shape[1], shape.padded)
    phases[..., shape.positions :] = 0
    planes = _planes(phases, shape)
    planes[:, 0, :, :, 0] = 0  # the image's padding: above, below, left and right
    planes[:, 1, :, :, -1] = 0
    planes[:, :, 0, :, :, 0] = 0
    planes[:, :, 1, :, :, -1] = 0
    for target, source in _phase_views(phases, images, shape):
        target.copy_(source)
    return phases


def _from_phases(phases: Tensor, shape: GridShape) -> Tensor:
    """``(N, 4 C, padded) -> (N, C, 2h, 2w, B)``: adjoint of `_to_phases`."""
    replicas, channels, _ = phases.shape
    images = phases.new_empty(replicas, channels // 4, 2 * shape.height, 2 * shape.width, shape.batch)
    for source, target in _phase_views(phases, images, shape):
        target.copy_(source)
    return images


def _to_grid(values: Tensor, shape: GridShape) -> Tensor:
    """``(N, C, h, w, B) -> (N, C, positions)``, zeros in the margins."""
    grid = values.new_empty(*values.shape[:2], shape.height + 1, shape.width + 1, shape.batch)
    grid[..., -1, :, :] = 0
    grid[..., :-1, -1, :] = 0
    grid[..., :-1, :-1, :] = values
    return grid.flatten(2)


def _from_grid(grid: Tensor, shape: GridShape) -> Tensor:
    """``(N, C, positions) -> (N, C, h, w, B)``, the margins dropped: adjoint of `_to_grid`."""
    return grid.unflatten(2, (shape.height + 1, shape.width + 1, shape.batch))[..., :-1, :-1, :]


_Map = Callable[[Tensor, GridShape], Tensor]


class _Linear(torch.autograd.Function):
    """A linear map, given with its adjoint."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, shape: GridShape, there: _Map, back: _Map) -> Tensor:
        ctx.shape, ctx.there, ctx.back = shape, there, back
        return there(tensor, shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return _Linear.apply(grads[0], ctx.shape, ctx.back, ctx.there), None, None, None


class _Correlate(torch.autograd.Function):
    """Phases ``(N, I, padded)`` and matrices ``(4, N, O, I)`` to values ``(N, O, positions)``."""

    @staticmethod
    def forward(ctx: Any, phases: Tensor, matrices: Tensor, shape: GridShape) -> Tensor:
        ctx.save_for_backward(phases, matrices)
        ctx.shape = shape
        windows = _windows(phases, shape)
        values = torch.bmm(matrices[0], windows[0])
        for matrix, window in zip(matrices[1:], windows[1:], strict=True):
            values.baddbmm_(matrix, window)
        return values

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        phases, matrices = ctx.saved_tensors
        wants_phases, wants_matrices, _ = ctx.needs_input_grad
        return (
            _Scatter.apply(grads[0], matrices, ctx.shape) if wants_phases else None,
            _Outer.apply(phases, grads[0], ctx.shape) if wants_matrices else None,
            None,
        )


class _Scatter(torch.autograd.Function):
    """Values ``(N, O, positions)`` and matrices ``(4, N, O, I)`` to phases ``(N, I, padded)``."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, matrices: Tensor, shape: GridShape) -> Tensor:
        ctx.save_for_backward(values, matrices)
        ctx.shape = shape
        phases = values.new_empty(values.shape[0], matrices.shape[-1], shape.padded)
        phases[..., shape.positions :] = 0
        windows = _windows(phases, shape)
        torch.bmm(matrices[0].mT, values, out=windows[0])
        for matrix, window in zip(matrices[1:], windows[1:], strict=True):
            window.baddbmm_(matrix.mT, values)
        return phases

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        values, matrices = ctx.saved_tensors
        wants_values, wants_matrices, _ = ctx.needs_input_grad
        return (
            _Correlate.apply(grads[0], matrices, ctx.shape) if wants_values else None,
            _Outer.apply(grads[0], values, ctx.shape) if wants_matrices else None,
            None,
        )


class _Outer(torch.autograd.Function):
    """Phases ``(N, I, padded)`` and values ``(N, O, positions)`` to matrices ``(4, N, O, I)``."""

    @staticmethod
    def forward(ctx: Any, phases: Tensor, values: Tensor, shape: GridShape) -> Tensor:
        ctx.save_for_backward(phases, values)
        ctx.shape = shape
        matrices = phases.new_empty(4, phases.shape[0], values.shape[1], phases.shape[1])
        for matrix, window in zip(matrices, _windows(phases, shape), strict=True):
            torch.bmm(values, window.mT, out=matrix)
        return matrices

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        phases, values = ctx.saved_tensors
        wants_phases, wants_values, _ = ctx.needs_input_grad
        return (
            _Scatter.apply(values, grads[0], ctx.shape) if wants_phases else None,
            _Correlate.apply(phases, grads[0], ctx.shape) if wants_values else None,
            None,
        )


def _windows(phases: Tensor, shape: GridShape) -> list[Tensor]:
    """What each kernel position sees: views ``(N, I, positions)`` of a padded grid, one per offset."""
    return [phases[..., offset : offset + shape.positions] for offset in shape.offsets]
