"""One PyTorch optimizer under control from outside: its rates set by a factor, its updates measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer, RMSprop

from gan_backbones.optim import corrected_direction

NORMALISED = Adam | AdamW | RMSprop
"""Classes that divide a step by the size of the gradients: a rate means about the same to each of them."""


class SteeredOptimizer:
    """Every group's rate is its starting rate times one factor, so groups keep their ratios.

    A group that is added later starts where the factor leaves it at the rate that it comes with.
    With ``beside_scheduler``, the factor multiplies whatever rate a scheduler has put into the groups, for the length
    of each step alone: the scheduler never sees it. Updates are measured by Adam's and AdamW's moments; for any other
    class by the weights before and after a step, while :attr:`watching`.
    """

    def __init__(self, optimizer: Optimizer, *, beside_scheduler: bool = False) -> None:
        self.optimizer = optimizer
        self.beside_scheduler = beside_scheduler
        self.factor = 1.0
        self._base_rates: list[float] = []
        self._take_in_groups()
        self.watching = False
        """Whether the steps of an optimizer without Adam's moments are being measured."""
        self.steps = 0
        """Steps of such an optimizer so far."""
        self._by_moments = isinstance(optimizer, Adam | AdamW)
        self._before: list[Tensor] | None = None
        self._own_rates: list[Any] | None = None
        self._measured: Tensor | None = None  # per unit of the factor
        self._hooks = []
        if beside_scheduler or not self._by_moments:
            self._hooks = [
                optimizer.register_step_pre_hook(lambda *_: self._begin_step()),
                optimizer.register_step_post_hook(lambda *_: self._end_step()),
            ]

    @property
    def device(self) -> torch.device:
        return self._weights[0].device

    def set_factor(self, factor: float) -> None:
        """Multiply the starting rates, or the scheduler's, by ``factor`` from now on."""
        self._take_in_groups()
        self.factor = factor
        if not self.beside_scheduler:
            for group, rate in zip(self._groups, self.rates, strict=True):
                _put_rate(group, rate)

    @property
    def base_rates(self) -> list[float]:
        """The starting rate of each group."""
        self._take_in_groups()
        return list(self._base_rates)

    @property
    def rates(self) -> list[float]:
        """The starting rate times the factor, for each group."""
        return [rate * self.factor for rate in self.base_rates]

    @torch.no_grad()
    def norms(self) -> Tensor:
        """``(2,)``, on the optimizer's device: norms of the last step, as at present rates, and of the weights.

        The first is 0 before there was any.
        """
        weights = _norm(self._weights)
        if not self._by_moments:
            measured = torch.zeros_like(weights) if self._measured is None else self._measured * self.factor
            return torch.stack([measured, weights])
        outside = self.factor if self.beside_scheduler else 1.0
        steps = [
            self._step_of(group, parameter) * (group["lr"] * outside)
            for group in self._groups
            for parameter in group["params"]
            if "exp_avg" in self.optimizer.state.get(parameter, {})
        ]
        return torch.stack([_norm(steps) if steps else torch.zeros_like(weights), weights])

    def release(self) -> None:
        """Leave the optimizer alone from now on."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict[str, Any]:
        counted = {"steps": self.steps, "measured": self._measured}
        return {"base_rates": self.base_rates, "factor": self.factor} | counted

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ``ValueError`` for another number of groups."""
        if len(state["base_rates"]) != len(self._groups):
            raise ValueError(f"the state is of {len(state['base_rates'])} parameter groups, not {len(self._groups)}")
        self._base_rates = list(state["base_rates"])
        self.steps, measured = state["steps"], state["measured"]
        self._measured = None if measured is None else measured.to(self.device)
        self.set_factor(state["factor"])

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    @property
    def _weights(self) -> list[Tensor]:
        return [parameter for group in self._groups for parameter in group["params"]]

    def _take_in_groups(self) -> None:
        """Give the groups that are new their starting rates, under the factor that is in force."""
        names, within = (("initial_lr", "lr"), 1.0) if self.beside_scheduler else (("lr",), self.factor)
        for group in self._groups[len(self._base_rates) :]:
            self._base_rates.append(float(next(group[name] for name in names if name in group)) / within)

    def _step_of(self, group: Mapping[str, Any], parameter: Tensor) -> Tensor:
        """The step of one parameter per unit of rate."""
        own = self.optimizer.state[parameter]
        moment = own["max_exp_avg_sq" if group.get("amsgrad") else "exp_avg_sq"]
        steps = _number(torch.as_tensor(own["step"]).clamp(min=1))
        first, second = map(_number, group["betas"])
        corrections = 1 - first**steps, (1 - second**steps) ** 0.5
        direction = corrected_direction(own["exp_avg"], moment, *corrections, float(group["eps"]))
        decoupled = isinstance(self.optimizer, AdamW) or group.get("decoupled_weight_decay", False)
        return direction + group["weight_decay"] * parameter if decoupled else direction

    def _begin_step(self) -> None:
        if self.beside_scheduler:
            if self._own_rates is not None:  # the last step raised
                self._restore_rates()
            self._own_rates = [_copied(group["lr"]) for group in self._groups]
            for group, rate in zip(self._groups, self._own_rates, strict=True):
                _put_rate(group, rate * self.factor)
        if self.watching and not self._by_moments:
            self._before = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def _end_step(self) -> None:
        self.steps += 1
        if self._before is not None:
            self._measured = _norm(torch._foreach_sub(self._weights, self._before)) / self.factor
            self._before = None
        if self._own_rates is not None:
            self._restore_rates()

    def _restore_rates(self) -> None:
        for group, rate in zip(self._groups, self._own_rates or (), strict=True):
            _put_rate(group, rate)
        self._own_rates = None


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all of them together, a scalar; of half precision in float32."""
    wide = [tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor for tensor in tensors]
    return torch.stack([norm.to(wide[0].device) for norm in torch._foreach_norm(wide)]).norm()


def _number(value: Any) -> Any:
    """A plain one, unless it lies on a device that would have to be waited for."""
    return value if isinstance(value, Tensor) and value.device.type != "cpu" else float(value)


def _copied(rate: Any) -> Any:
    return rate.clone() if isinstance(rate, Tensor) else rate


def _put_rate(group: dict[str, Any], rate: Any) -> None:
    """A rate that is a tensor stays the same tensor: captured graphs read it."""
    if not isinstance(group["lr"], Tensor):
        group["lr"] = rate
    elif isinstance(rate, Tensor):
        group["lr"].copy_(rate)
    else:
        group["lr"].fill_(rate)
