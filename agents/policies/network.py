"""A policy's network from a plain description, on the CPU, with PyTorch alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LstmState = tuple[Tensor, Tensor]


class Renorm(nn.Module):
    """Batch (re)normalisation as it is after training: by fixed numbers."""

    def __init__(self, size: int) -> None:
        super().__init__()
        for name in ("mean", "deviation", "scale", "shift"):
            self.register_buffer(name, torch.ones(size))

    def forward(self, values: Tensor) -> Tensor:
        """``(..., size) -> (..., size)``."""
        buffers = dict(self.named_buffers())
        return (values - buffers["mean"]) / buffers["deviation"] * buffers["scale"] + buffers["shift"]


KINDS: Mapping[str, Callable[..., nn.Module]] = {
    "linear": nn.Linear,
    "renorm": Renorm,
    "lstm": nn.LSTM,
    "hardtanh": nn.Hardtanh,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
}
"""Layers that a description may name."""


@dataclass(frozen=True)
class Layer:
    """One layer: its kind and the arguments of its class."""

    kind: str
    sizes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown layer {self.kind!r}; known: {', '.join(KINDS)}")
        if not all(isinstance(size, int | float) for size in self.sizes):
            raise ValueError(f"sizes of layer {self.kind!r} must be numbers, not {self.sizes}")

    @property
    def depth(self) -> float:
        """How many layers it stands for: an LSTM's third size is how many are stacked."""
        return max(1, self.sizes[2]) if self.kind == "lstm" and len(self.sizes) > 2 else 1


class PolicyNetwork(nn.Module):
    """Layers one after the other; its weights are those that :meth:`load_state_dict` is given."""

    def __init__(self, layers: Sequence[Layer], weights: Mapping[str, Tensor]) -> None:
        """Raises ``ValueError``, in one line, where weights and layers do not fit each other."""
        super().__init__()
        if sum(layer.depth for layer in layers) > 1 + 2 * len(weights):  # to make them takes time
            raise ValueError(f"its weights do not fit its layers: {len(weights)} tensors are too few for so many")
        try:
            with torch.device("meta"):  # a description that lies about its sizes allocates nothing
                self.layers = nn.ModuleList(KINDS[layer.kind](*layer.sizes) for layer in layers)
            self.load_state_dict(dict(weights), assign=True)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"its weights do not fit its layers: {' '.join(str(error).split())}") from error
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise ValueError("its weights are not all finite")
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, values: Tensor, state: LstmState | None = None) -> tuple[Tensor, LstmState | None]:
        """``(n, inputs) -> (n, outputs)``, and the state of the recurrent layer, if there is one, for the next call."""
        for layer in self.layers:
            if isinstance(layer, nn.LSTM):
                sequence, state = layer(values.unsqueeze(0), state)
                values = sequence.squeeze(0)
            else:
                values = layer(values)
        return values, state
