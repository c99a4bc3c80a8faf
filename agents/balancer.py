"""A trained policy in anybody's GAN loop. Needs PyTorch, NumPy and safetensors; neither Gymnasium nor a learner.

balancer = Balancer.load()
balancer.attach(optimizer_g, optimizer_d, total_updates=50_000)
for ...:
    ...                                                         # one's own step
    balancer.update(loss_g, loss_d, real_logits, fake_logits)   # the logits of the discriminator's step
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.optim import Optimizer

from agents.balancer_plan import Plan, knob_limits
from agents.logit_record import LogitRecord, as_logit_means
from agents.policies.policy import Policy, available, load_policy
from agents.steered_optimizer import NORMALISED, SteeredOptimizer
from gan_backbones.train_stats import Norms, TrainStats, train_stats
from gan_env.knobs import NAMING_VALUES, RATE_KNOBS
from gan_env.observation import Measurement, before_training

if TYPE_CHECKING:
    from agents.balancer_schedule import BalancerSchedule

WATCHED_STEPS = 8
"""About so many steps before a decision, optimizers without Adam's moments begin to measure them."""


class Writer(Protocol):
    """What is asked of TensorBoard's ``SummaryWriter``."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...


class Balancer:
    """Sets the two learning rates of a GAN while it trains, as a policy says, and says what the other knobs shall be.

    The policy sees what it saw in its environment, by the same code: means over the logits since the last decision,
    update-to-weight ratios from the optimizers, each knob relative to its start, and the budget left. The host waits
    for the device when a decision is made, once. Where ``torch.distributed`` runs, rank 0 decides and tells the others.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._codec = policy.spec.codec()
        self._optimizers: tuple[SteeredOptimizer, SteeredOptimizer] | None = None
        self._writer: Writer | None = None
        self.observation: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        """What the policy saw last."""
        self.action: NDArray[Any] | None = None
        """What the policy said last; not done while :attr:`holding`, or before the warm-up is over."""
        self.holding = False
        """Whether features lie outside the range of training, so that the knobs stay."""
        self.updates = 0
        """Calls of :meth:`update` so far."""

    @classmethod
    def load(cls, name_or_path: str | Path | None = None) -> Balancer:
        """With a policy of :meth:`available`, by default the recommended one, or that of a file.

        Raises ``ValueError`` in one line where there is none or the file is not as it was written.
        """
        return cls(load_policy(name_or_path))

    @staticmethod
    def available() -> tuple[str, ...]:
        """Names of the shipped policies."""
        return available()

    def attach(
        self,
        optimizer_g: Optimizer,
        optimizer_d: Optimizer,
        *,
        total_updates: int,
        decisions: int | None = None,
        warmup_updates: int = 0,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        weights: Mapping[str, float] | None = None,
        beside_scheduler: bool = False,
        center_logits: bool = False,
        writer: Writer | None = None,
    ) -> Balancer:
        """Begin to steer, from the rates that the optimizers have now; makes the first decision. Returns itself.

        total_updates: calls of :meth:`update` until training ends.
        decisions: how many to make; by default as many as the policy's file says, or one after every update.
        warmup_updates: updates during which the policy looks on and the knobs stay.
        bounds: narrower limits of knobs than the policy's own, by name.
        weights: starting values of the knobs beside the rates, by name; their defaults where not given.
        beside_scheduler: the rates belong to a scheduler, onto which the policy's factor is multiplied.
        center_logits: the middle between real and fake logits is their zero: for critics that have none (Wasserstein).
        writer: a TensorBoard ``SummaryWriter``; gets knobs, features and losses at every decision.

        Raises ``ValueError`` for a number that makes no sense, a knob that starts outside its bounds, or a policy that
        names rates beside a scheduler; warns where it names them for an optimizer that takes them otherwise.
        """
        if optimizer_g is optimizer_d:
            raise ValueError("generator and discriminator need an optimizer each")
        action_type = self.policy.spec.action_type
        if beside_scheduler and action_type in NAMING_VALUES:
            raise ValueError(f"action type {action_type!r} names rates; beside a scheduler there are only factors")
        if decisions is None:
            decisions = max(1, min(self.policy.spec.decisions, total_updates))
        plan = Plan(total_updates, decisions, warmup_updates)
        self.detach()
        optimizers = (
            SteeredOptimizer(optimizer_g, beside_scheduler=beside_scheduler),
            SteeredOptimizer(optimizer_d, beside_scheduler=beside_scheduler),
        )
        try:
            rates = {name: one.base_rates[0] for name, one in zip(RATE_KNOBS, optimizers, strict=True)}
            start, low, high = knob_limits(self.policy.spec.knobs, dict(weights or {}) | rates, bounds or {})
        except ValueError:
            for one in optimizers:
                one.release()
            raise
        strangers = [type(one).__name__ for one in (optimizer_g, optimizer_d) if not isinstance(one, NORMALISED)]
        if strangers and action_type in NAMING_VALUES:
            message = f"action type {action_type!r} names rates, those of Adam; {strangers[0]} may need others"
            warnings.warn(message, stacklevel=2)
        self._plan, self._optimizers, self._writer = plan, optimizers, writer
        self._low, self._high = low, high
        self._start, self._log_knobs = start, start.copy()
        self._observer = self.policy.spec.observer()
        self._record = LogitRecord(center=center_logits)
        self._losses: list[Any] = [0.0, 0.0]
        self._settings = vars(plan) | {
            "policy": self.policy.digest[:16],
            "log10_bounds": [low.tolist(), high.tolist()],
            "beside_scheduler": beside_scheduler,
            "center_logits": center_logits,
        }
        self._memory: Any = None
        self.updates = self._made = 0
        self.holding = False
        self._told: set[str] = set()
        self._observer.reset([0], before_training(*self._known()))
        self._decide()
        self._watch()
        return self

    def detach(self) -> None:
        """Leave the optimizers alone from now on, at the rates that they have."""
        for one in self._optimizers or ():
            one.release()
        self._optimizers = None

    def update(self, loss_g: Any, loss_d: Any, real_logits: Tensor, fake_logits: Tensor) -> None:
        """Tell of one update of the GAN, after its steps; decides when it is time.

        loss_g, loss_d: numbers or tensors, whatever is trained; logged, and watched for not being finite.
        real_logits, fake_logits: what the discriminator's step saw, positive for real, in any shape.

        With gradient accumulation, call it once for every pair of losses, and count these in ``total_updates``.
        """
        if self._optimizers is None:
            raise RuntimeError("call attach() before update()")
        self.updates += 1
        if self._made == self._plan.decisions:
            return
        if self._leads:
            self._record.add(real_logits, fake_logits)
            with torch.no_grad():  # the last ones, or NaN after one that was not finite
                self._losses = [loss + 0 * last for loss, last in zip((loss_g, loss_d), self._losses, strict=True)]
        if self.updates == self._plan.due(self._made):
            if self._leads:
                self._look()
            self._decide()
        self._watch()

    @property
    def knobs(self) -> dict[str, float]:
        """The present value of every knob; the rates are those of the first parameter groups."""
        return dict(zip(self.policy.spec.knobs, (10 ** self._log_knobs[0]).tolist(), strict=True))

    @property
    def optimizers(self) -> tuple[SteeredOptimizer, SteeredOptimizer]:
        """Generator's and discriminator's. Raises ``RuntimeError`` before :meth:`attach`."""
        if self._optimizers is None:
            raise RuntimeError("call attach() first")
        return self._optimizers

    def schedules(self) -> tuple[BalancerSchedule, BalancerSchedule]:
        """The generator's and the discriminator's rates as PyTorch schedulers, for frameworks that want some."""
        from agents.balancer_schedule import BalancerSchedule

        generator, discriminator = self.optimizers
        return BalancerSchedule(generator), BalancerSchedule(discriminator)

    def state_dict(self) -> dict[str, Any]:
        """All that the next decisions depend on, in plain values and tensors."""
        return {
            "settings": dict(self._settings),
            "updates": self.updates,
            "made": self._made,
            "start": self._start[0].tolist(),
            "log_knobs": self._log_knobs[0].tolist(),
            "observation": self._observer.vector.clone(),
            "memory": self._memory,
            "record": self._record.state_dict(),
            "losses": list(self._losses),
            "holding": self.holding,
            "optimizers": [one.state_dict() for one in self.optimizers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`, after :meth:`attach` with the same options and policy; sets the rates.

        Raises ``ValueError`` where one of them is another.
        """
        for name, own in self._settings.items():
            if (saved := dict(state.get("settings", {})).get(name)) != own:
                raise ValueError(f"the state is of a balancer attached with {name} {saved}, not {own}")
        for one, saved in zip(self.optimizers, state["optimizers"], strict=True):
            one.load_state_dict(saved)
        self.updates, self._made, self.holding = state["updates"], state["made"], state["holding"]
        self._start, self._log_knobs = np.array([state["start"]]), np.array([state["log_knobs"]])
        self._observer.vector = state["observation"].cpu().clone()
        self._memory = state["memory"] and tuple(part.cpu() for part in state["memory"])
        self._record.load_state_dict(state["record"])
        self._losses = list(state["losses"])
        self._watch()

    @property
    def _leads(self) -> bool:
        return not _several_ranks() or distributed.get_rank() == 0

    def _known(self) -> tuple[Tensor, Tensor]:
        """log10 of the knobs ``(1, K)`` and the share of the budget left ``(1,)``."""
        left = 1.0 - np.array([self._made]) / np.array([self._plan.decisions])
        return torch.from_numpy(self._log_knobs.copy()), torch.from_numpy(left)

    def _watch(self) -> None:
        """Have the last steps before a decision measured."""
        left = self._plan.due(self._made) - self.updates
        wanted = self._leads and self._made < self._plan.decisions
        for one in self.optimizers:
            # Where gradients are accumulated, a step takes several updates: how many, the steps so far tell.
            updates_per_step = max(1.0, self.updates / one.steps) if one.steps else math.inf
            one.watching = wanted and left <= WATCHED_STEPS * updates_per_step

    def _look(self) -> None:
        """Show the policy's observer what has happened since the last decision."""
        means = self._record.means()
        norms = torch.stack([one.norms().to(means.device, non_blocking=True) for one in self.optimizers]).T
        losses = [torch.as_tensor(loss).reshape(1).to(means, non_blocking=True) for loss in self._losses]
        numbers = torch.cat([means, norms.flatten(), *losses]).cpu()  # here the host waits
        self._record.clear()
        self._losses = numbers[10:].tolist()
        stats: TrainStats = train_stats(as_logit_means(numbers[:6]), Norms(numbers[6:8][None], numbers[8:10][None]))
        failed = stats.diverged | ~numbers[10:].isfinite().all()
        log_knobs, left = self._known()
        unknown = torch.full_like(left, torch.nan)
        start = torch.from_numpy(self._start)
        seen = Measurement(stats, log_knobs, start, left, unknown, unknown, unknown, failed)
        self._observer.push([0], seen)
        self._notice(self._observer.raw(seen)[0].tolist(), bool(failed))

    def _notice(self, values: list[float], failed: bool) -> None:
        """Hold the knobs while a feature lies outside the range of training; say so the first time for each, and
        whenever something is not finite anew."""
        strange = {"": "a logit, loss or weight is not finite"} if failed else self.policy.spec.strange(values)
        if new := [told for name, told in strange.items() if name not in self._told]:
            more = f" and {len(new) - 1} more" if len(new) > 1 else ""
            warnings.warn(f"update {self.updates}: {new[0]}{more}; the balancer holds its knobs still", stacklevel=4)
        self._told |= strange.keys()
        if not failed:
            self._told.discard("")
        self.holding = bool(strange)

    def _decide(self) -> None:
        """Ask the policy, turn the knobs, tell the other ranks."""
        if self._leads:
            self.observation = self._observer.vector[0].numpy().copy()
            action, self._memory = self.policy.act(self.observation[None], self._memory)
            self.action = action[0]
            if not self.holding and self.updates >= self._plan.warmup_updates:
                self._log_knobs = np.clip(self._codec.apply(self._log_knobs, action), self._low, self._high)
        self._agree()
        self._made += 1
        factors = 10 ** (self._log_knobs - self._start)[0]
        for name, one in zip(RATE_KNOBS, self.optimizers, strict=True):
            one.set_factor(float(factors[self.policy.spec.knobs.index(name)]))
        self._log()
        self._losses = [0.0, 0.0]

    def _agree(self) -> None:
        if _several_ranks():
            message = torch.from_numpy(self._log_knobs).to(self.optimizers[0].device)
            distributed.broadcast(message, src=0)
            self._log_knobs = message.cpu().numpy()

    def _log(self) -> None:
        if self._writer is None or not self._leads:
            return
        values = {f"knobs/{name}": value for name, value in self.knobs.items()}
        values |= {f"features/{name}": float(value) for name, value in self._newest().items()}
        values |= dict(zip(("loss/generator", "loss/discriminator"), self._losses, strict=True))
        for tag, value in (values | {"holding": float(self.holding)}).items():
            self._writer.add_scalar(f"balancer/{tag}", value, self.updates)

    def _newest(self) -> dict[str, float]:
        entries = zip(self._observer.names, self.observation.tolist(), strict=True)
        return {name: value for name, value in entries if not name.endswith("]")}


def _several_ranks() -> bool:
    return distributed.is_available() and distributed.is_initialized()
