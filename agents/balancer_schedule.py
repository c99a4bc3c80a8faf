"""The rates that a balancer sets, behind the interface of PyTorch's schedulers."""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from agents.steered_optimizer import SteeredOptimizer


class BalancerSchedule(LRScheduler):
    """One optimizer's side of an attached balancer, for frameworks that step and log schedulers.

    It gives the rates that the balancer has set: to step it once more or once less changes nothing. Its state is the
    count of its steps; the rates are part of the balancer's. Raises ``ValueError`` for a balancer that is multiplied
    onto another scheduler.
    """

    def __init__(self, steered: SteeredOptimizer) -> None:
        if steered.beside_scheduler:
            raise ValueError("this balancer was attached with beside_scheduler=True; the scheduler is yours")
        self._steered = steered
        for group, rate in zip(steered.optimizer.param_groups, steered.base_rates, strict=True):
            group.setdefault("initial_lr", rate)
        super().__init__(steered.optimizer)

    def get_lr(self) -> list[Any]:
        """The present rate of each parameter group."""
        return list(self._steered.rates)

    def state_dict(self) -> dict[str, Any]:
        """Without the balancer, which keeps its own."""
        return {name: value for name, value in super().state_dict().items() if name != "_steered"}
