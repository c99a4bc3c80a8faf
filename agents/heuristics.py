"""Closed-loop rules of a few lines: they watch the discriminator and turn the rates, without having been trained.

What they watch are features of the observation, means over the updates since the last decision. None of them moves a
knob before there has been an update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.moves import Moves
from gan_env import ActionCodec
from gan_env.knobs import RATE_KNOBS
from gan_env.observation import columns_of

Array = NDArray[np.float64]


class Ada:
    """The rule of adaptive discriminator augmentation, carried over to the rates.

    Karras et al. (arXiv 2006.06676, section 3.1) measure overfitting by ``r_t = E[sign D(real)]`` and move the strength
    of augmentation by a fixed amount up or down, by the sign of ``r_t - target``. Here the fixed amount moves the
    discriminator's rate the other way, and the generator's by a share of it the same way.

    step: decades per decision. generator: that share, in [0, 1].
    """

    def __init__(
        self,
        names: Sequence[str],
        codec: ActionCodec,
        *,
        target: float = 0.6,
        step: float = 0.1,
        generator: float = 0.0,
    ) -> None:
        self._target, self._steps = target, step * np.array([generator, -1.0])
        self._moves = Moves(codec, RATE_KNOBS, "ADA's rule")
        self._columns = columns_of(names, ["real_accuracy", "budget_left"])

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        # The accuracy, scaled to [-1, 1], is the mean sign of the logits.
        mean_sign, left = observation[:, self._columns].astype(np.float64).T
        verdict = np.where(left < 1, np.sign(mean_sign - self._target), 0.0)
        return self._moves.actions(verdict[:, None] * self._steps), state


class GapAware:
    """The gap-aware scheduler of Hazimeh & Ponomareva, arXiv 2302.00089, section 3: hold D's loss near its ideal.

    The discriminator's rate is its start times a function of the gap between a moving average of its loss and the
    ideal one, 2 ln 2: 1 without a gap, falling exponentially to ``floor`` at a loss of ``1 - window`` times the ideal,
    rising exponentially to ``ceiling`` at ``1 + window`` times. The generator's rate stays. The defaults of floor,
    ceiling and window are the paper's; its average, which keeps 0.95 per update, begins at the ideal and keeps
    ``smoothing`` per decision here, 0.95 to the power of about 20.
    """

    smoothing = 0.36

    def __init__(
        self,
        names: Sequence[str],
        codec: ActionCodec,
        *,
        floor: float = 0.1,
        ceiling: float = 2.0,
        window: float = 0.1,
    ) -> None:
        self._low, self._high, self._window = np.log10(floor), np.log10(ceiling), window
        self._moves = Moves(codec, ("lr_d",), "the gap-aware scheduler")
        self._columns = columns_of(names, ["loss_d", "lr_d_relative"])

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        loss, position = observation[:, self._columns].astype(np.float64).T
        if state is None or episode_start is None:
            episode_start = np.full(len(loss), state is None)
        before = np.where(episode_start, 1.0, 1.0 if state is None else state)
        average = self.smoothing * before + (1 - self.smoothing) * 10**loss  # in units of the ideal
        gap = np.clip((average - 1) / self._window, -1, 1)
        wanted = np.where(gap < 0, -gap * self._low, gap * self._high)
        return self._moves.actions((wanted - 2 * position)[:, None]), average


class LossRatio:
    """Holds the ratio of the two canonical losses: the discriminator slows down while the generator's is too high.

    Each decision moves the discriminator's rate by ``-gain`` decades per decade of error, the generator's by a share of
    that the other way. The error is log10 of the generator's loss over the discriminator's, each relative to its value
    where the discriminator cannot tell, less ``target``.
    """

    def __init__(
        self,
        names: Sequence[str],
        codec: ActionCodec,
        *,
        target: float = 0.0,
        gain: float = 0.3,
        generator: float = 1.0,
    ) -> None:
        self._gains = gain * np.array([generator, -1.0])
        self._moves = Moves(codec, RATE_KNOBS, "the loss-ratio controller")
        self._error = _LossError(names, target)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        return self._moves.actions(self._error(observation)[:, None] * self._gains), state


class UpdateRatio:
    """Who steps how often, by the losses: the decision that AutoLoss (Xu et al., arXiv 1810.02442) learns, by rule.

    Each decision moves the discriminator's steps per step of the generator by ``-gain`` decades per decade of the
    error of :class:`LossRatio`. The rates stay.
    """

    def __init__(self, names: Sequence[str], codec: ActionCodec, *, target: float = 0.0, gain: float = 0.3) -> None:
        self._gain = gain
        self._moves = Moves(codec, ("update_ratio",), "the rule of update ratios")
        self._error = _LossError(names, target)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        return self._moves.actions(-self._gain * self._error(observation)[:, None]), state


class _LossError:
    """How far the log ratio of the losses is from a target, ``(n,)``; 0 before the first update."""

    def __init__(self, names: Sequence[str], target: float) -> None:
        self._target = target
        self._columns = columns_of(names, ["loss_g", "loss_d", "budget_left"])

    def __call__(self, observation: NDArray[np.float32]) -> Array:
        loss_g, loss_d, left = observation[:, self._columns].astype(np.float64).T
        error: Array = np.where(left < 1, loss_g - loss_d - self._target, 0.0)
        return error
