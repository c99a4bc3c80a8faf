"""One CUDA graph in place of thousands of kernel launches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

Work = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""From named inputs to named outputs; whatever else it reads or writes stays where it is in memory."""


class GraphedWork:
    """Calls ``work`` as usual the first time, records it the second time, and from then on replays the recording.

    The first call is also the warm-up that recording needs. Inputs are copied to where the recording reads them;
    outputs are copied out, so that the next replay does not change them. Other shapes of the inputs, or another
    ``key``, begin anew. Where recording fails, a warning says so once and all calls are as usual.

    ``record(call)`` makes ``call()`` into a function that repeats it; by default a CUDA graph.
    """

    def __init__(self, work: Work, record: Callable[[Callable[[], Any]], Callable[[], None]] | None = None) -> None:
        self._work = work
        self._record = _record_graph if record is None else record
        self._usable = True
        self._key: Hashable = None
        self._inputs: dict[str, Tensor] = {}
        self._outputs: Mapping[str, Tensor] = {}
        self._replay: Callable[[], None] | None = None

    def __call__(self, inputs: Mapping[str, Tensor], key: Hashable = None) -> Mapping[str, Tensor]:
        if not self._usable:
            return self._work(inputs)
        key = (key, *((name, tensor.shape, tensor.dtype) for name, tensor in inputs.items()))
        if key != self._key:
            self._key, self._replay = key, None
            self._inputs = {name: tensor.clone() for name, tensor in inputs.items()}
            return self._work(inputs)
        for name, tensor in inputs.items():
            self._inputs[name].copy_(tensor)
        if self._replay is None:
            try:
                self._replay = self._record(self._call)
            except RuntimeError as error:
                self._usable, self._inputs = False, {}
                reason = str(error).splitlines()[0]
                warnings.warn(f"no CUDA graph, updates are launched one by one instead: {reason}", stacklevel=2)
                return self._work(inputs)
        self._replay()
        return {name: tensor.clone() for name, tensor in self._outputs.items()}

    def _call(self) -> None:
        self._outputs = self._work(self._inputs)


def _record_graph(call: Callable[[], Any]) -> Callable[[], None]:
    torch.cuda.synchronize()
    torch.cuda.empty_cache()  # the recording keeps memory of its own
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
