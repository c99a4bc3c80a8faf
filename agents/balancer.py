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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.optim import Optimizer

from agents.logit_record import LogitRecord, as_logit_means
from agents.policies.policy import Policy, available, load_policy
from agents.steered_optimizer import SteeredOptimizer
from gan_backbones.train_stats import Norms, TrainStats, train_stats
from gan_env.knobs import KNOBS, RATE_KNOBS
from gan_env.observation import Measurement, before_training

if TYPE_CHECKING:
    from agents.balancer_schedule import BalancerSchedule

WATCHED_UPDATES = 8
"""So many updates before a decision, optimizers without Adam's moments begin to measure their steps."""


class Writer(Protocol):
    """What is asked of TensorBoard's ``SummaryWriter``."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...


@dataclass(frozen=True)
class Plan:
    """When a balancer decides: before the first update, and then ``decisions - 1`` times at even distances."""

    total_updates: int
    decisions: int
    warmup_updates: int = 0
    """Updates that come before the first decision that counts; until then the knobs stay."""

    def __post_init__(self) -> None:
        for name, least in (("total_updates", 1), ("decisions", 1), ("warmup_updates", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
        if self.decisions > self.total_updates:
            raise ValueError(f"{self.decisions} decisions need as many updates; total_updates is {self.total_updates}")

    def due(self, decision: int) -> int:
        """Updates after which a decision is made; that of the number ``decisions`` never is."""
        return -(-decision * self.total_updates // self.decisions)


class Balancer:
    """Sets the two learning rates of a GAN while it trains, as a policy says, and says what the other knobs shall be.

    The policy sees what it saw in its environment, by the same code: means over the logits since the last decision,
    update-to-weight ratios from the optimizers, each knob relative to its start, and the budget left. Only when it
    decides, the host waits for the device. Where ``torch.distributed`` runs, rank 0 decides and tells the others.
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
        writer: Writer | None = None,
    ) -> Balancer:
        """Begin to steer, from the rates that the optimizers have now; makes the first decision. Returns itself.

        total_updates: calls of :meth:`update` until training ends.
        decisions: how many to make; by default as many as the policy's file says, or one after every update.
        warmup_updates: updates during which the policy looks on and the knobs stay.
        bounds: narrower limits of knobs than the policy's own, by name.
        weights: starting values of the knobs beside the rates, by name; their defaults where not given.
        beside_scheduler: the rates belong to a scheduler, onto which the policy's factor is multiplied.
        writer: a TensorBoard ``SummaryWriter``; gets knobs, features and losses at every decision.

        Raises ``ValueError`` for a number that makes no sense, or a knob that starts outside its bounds.
        """
        if optimizer_g is optimizer_d:
            raise ValueError("generator and discriminator need an optimizer each")
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
            start, low, high = self._limits(dict(weights or {}) | rates, bounds or {})
        except ValueError:
            for one in optimizers:
                one.release()
            raise
        self._plan, self._optimizers, self._writer = plan, optimizers, writer
        self._low, self._high = low, high
        self._start, self._log_knobs = start, start.copy()
        self._observer = self.policy.spec.observer()
        self._record = LogitRecord()
        self._losses: tuple[Any, Any] = (0.0, 0.0)
        self._memory: Any = None
        self.updates = self._made = 0
        self.holding = False
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
            self._losses = (_detached(loss_g), _detached(loss_d))
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
            "plan": vars(self._plan).copy(),
            "updates": self.updates,
            "made": self._made,
            "start": self._start[0].tolist(),
            "log_knobs": self._log_knobs[0].tolist(),
            "observation": self._observer.vector.clone(),
            "memory": self._memory,
            "record": self._record.state_dict(),
            "holding": self.holding,
            "optimizers": [one.state_dict() for one in self.optimizers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`, after :meth:`attach` with the same plan; sets the rates.

        Raises ``ValueError`` where the plan or the knobs are others.
        """
        if dict(state["plan"]) != vars(self._plan) or len(state["log_knobs"]) != len(self.policy.spec.knobs):
            raise ValueError(f"the state is of a balancer attached with {state['plan']}, not {vars(self._plan)}")
        if state["observation"].shape != self._observer.vector.shape:
            raise ValueError("the state is of a policy that sees something else")
        for one, saved in zip(self.optimizers, state["optimizers"], strict=True):
            one.load_state_dict(saved)
        self.updates, self._made, self.holding = state["updates"], state["made"], state["holding"]
        self._start, self._log_knobs = np.array([state["start"]]), np.array([state["log_knobs"]])
        self._observer.vector = state["observation"].clone()
        self._memory = state["memory"]
        self._record.load_state_dict(state["record"])

    @property
    def _leads(self) -> bool:
        return not _several_ranks() or distributed.get_rank() == 0

    def _limits(
        self, given: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """log10 of the knobs' starts ``(1, K)``, and of their lower and upper bounds ``(K,)``."""
        knobs = self.policy.spec.knobs
        for name in (*given, *bounds):
            if name not in knobs:
                raise ValueError(f"this policy does not turn {name!r}; its knobs are {', '.join(knobs)}")
        rows = []
        for name in knobs:
            low, high = bounds.get(name, (KNOBS[name].low, KNOBS[name].high))
            start = given.get(name, KNOBS[name].default)
            if not KNOBS[name].low <= low <= high <= KNOBS[name].high:
                raise ValueError(f"bounds of {name} must lie in [{KNOBS[name].low:g}, {KNOBS[name].high:g}]")
            if not low <= start <= high:
                raise ValueError(f"{name} starts at {start:g}, outside its bounds [{low:g}, {high:g}]")
            rows.append((math.log10(start), math.log10(low), math.log10(high)))
        start_row, lows, highs = np.array(rows).T
        return start_row[None], lows, highs

    def _known(self) -> tuple[Tensor, Tensor]:
        """log10 of the knobs ``(1, K)`` and the share of the budget left ``(1,)``."""
        left = 1.0 - np.array([self._made]) / np.array([self._plan.decisions])
        return torch.from_numpy(self._log_knobs.copy()), torch.from_numpy(left)

    def _watch(self) -> None:
        """Have the steps measured that come shortly before a decision."""
        soon = self._made < self._plan.decisions and self.updates >= self._plan.due(self._made) - WATCHED_UPDATES
        for one in self.optimizers:
            one.watching = self._leads and soon

    def _look(self) -> None:
        """Show the policy's observer what has happened since the last decision."""
        means = self._record.means()
        norms = torch.stack([one.norms().to(means.device) for one in self.optimizers]).T
        numbers = torch.cat([means, norms.flatten()]).cpu()  # the one place where the host waits
        self._record.clear()
        stats: TrainStats = train_stats(as_logit_means(numbers[:6]), Norms(numbers[6:8][None], numbers[8:][None]))
        failed = stats.diverged | (not all(math.isfinite(loss) for loss in map(float, self._losses)))
        log_knobs, left = self._known()
        unknown = torch.full_like(left, torch.nan)
        start = torch.from_numpy(self._start)
        seen = Measurement(stats, log_knobs, start, left, unknown, unknown, unknown, failed)
        self._observer.push([0], seen)
        self._notice(self._observer.raw(seen)[0].tolist(), bool(failed))

    def _notice(self, values: list[float], failed: bool) -> None:
        """Hold the knobs while a feature lies outside the range of training; say so when that begins.

        Beyond its bounds a feature looks to the policy as at them, and counts as if it were there.
        """
        strange = []
        for feature, value in zip(self._observer.features, values, strict=True):
            low, high = self.policy.spec.seen[feature.name]
            if not low - 1e-6 <= min(max(value, feature.low), feature.high) <= high + 1e-6:  # true for NaN, too
                strange.append(f"{feature.name} is {value:.3g} (in training {low:.3g} to {high:.3g})")
        if failed:
            strange = ["a logit, loss or weight is not finite"]
        if strange and not self.holding:
            more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
            message = f"update {self.updates}: {strange[0]}{more}; the balancer holds its knobs still"
            warnings.warn(message, stacklevel=4)
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
        values |= {"loss/generator": float(self._losses[0]), "loss/discriminator": float(self._losses[1])}
        for tag, value in (values | {"holding": float(self.holding)}).items():
            self._writer.add_scalar(f"balancer/{tag}", value, self.updates)

    def _newest(self) -> dict[str, float]:
        entries = zip(self._observer.names, self.observation.tolist(), strict=True)
        return {name: value for name, value in entries if not name.endswith("]")}


def _several_ranks() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _detached(loss: Any) -> Any:
    return loss.detach() if isinstance(loss, Tensor) else loss
