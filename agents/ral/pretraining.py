"""The stages before reinforcement: the autoencoder, and the prior by maximum likelihood."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.restoring import require_finite, require_like, require_optimizer, restoring
from agents.tree_file import Tree
from gan_backbones.prior import CodePrior, batched_nll
from gan_backbones.vqvae import VqVae, code_perplexity

Report = Callable[[int, dict[str, float]], None]
"""Called with the updates done and the figures since the last call."""
Keep = Callable[[int, Callable[[], Tree]], None]
"""Called after every update with the updates done and what gives the state to go on from."""
_LARGEST_GRADIENT = 1.0


def forget(update: int, state: Callable[[], Tree]) -> None:
    """Keeps nothing."""


@dataclass
class Fitting:
    """A module, its optimizer and the source of its batches, between two updates."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    updates: int = 0

    def get_state(self) -> Tree:
        """Everything that the next update depends on; :meth:`set_state` goes on from it exactly."""
        parts = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        return parts | {"generator": self.generator.get_state(), "updates": self.updates}

    @restoring()
    def set_state(self, state: Tree) -> None:
        """Go on from what :meth:`get_state` of an equal one gave. Raises ``MisfitError`` for what cannot be one."""
        require_like(state, self.get_state() | {"optimizer": {}})
        require_finite(state["module"], "its module")
        require_optimizer(self.optimizer, state["optimizer"], "its optimizer")
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.updates = state["updates"]


def train_vqvae(
    vqvae: VqVae,
    images: Tensor,
    updates: int,
    generator: torch.Generator,
    report: Report,
    *,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    commitment_weight: float = 0.25,
    keep: Keep = forget,
    saved: Tree = None,
) -> None:
    """Fit the autoencoder to uint8 images ``(N, C, R, R)``: squared error plus commitment (arXiv 1711.00937, eq. 3).

    The rate falls to zero along a cosine. Ends in evaluation mode. ``saved`` is a state that ``keep`` was told of.
    """
    optimizer = torch.optim.Adam(vqvae.parameters(), learning_rate, betas=(0.9, 0.99))
    device = next(vqvae.parameters()).device
    vqvae.train()
    fitting = Fitting(vqvae, optimizer, generator)
    if saved is not None:
        fitting.set_state(saved)
    for update in range(fitting.updates, updates):
        optimizer.param_groups[0]["lr"] = learning_rate * cosine(update / updates)
        rows = torch.randint(len(images), (batch_size,), generator=generator)
        batch = images[rows].to(device).float() / 127.5 - 1
        made = vqvae(batch, generator)
        error = (made.images - batch).square().mean()
        optimizer.zero_grad()
        (error + commitment_weight * made.commitment).backward()
        optimizer.step()
        parts = made.codes.split([rows * columns for rows, columns in vqvae.maps], 1)
        figures = {f"perplexity_{level}": code_perplexity(part, vqvae.codes) for level, part in enumerate(parts)}
        report(update + 1, {"error": error.item(), "commitment": made.commitment.item()} | figures)
        fitting.updates = update + 1
        keep(fitting.updates, fitting.get_state)
    vqvae.eval()


@dataclass(frozen=True)
class Fit:
    """How a prior's maximum-likelihood training went."""

    best_update: int
    """The update whose weights were kept."""
    held_out: float
    """Negative log likelihood of the held-out maps at it, nats per code."""


def train_prior(
    prior: CodePrior,
    codes: Tensor,
    held_out: Tensor,
    updates: int,
    generator: torch.Generator,
    report: Report,
    *,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.05,
    check_every: int = 25,
    keep: Keep = forget,
    saved: Tree = None,
) -> Fit:
    """Maximum likelihood of ``codes`` ``(N, length)``; the weights that predict ``held_out`` best are kept.

    The rate rises over the first twentieth and falls to zero along a cosine. ``saved`` is a state that ``keep`` was
    told of.
    """
    optimizer = torch.optim.AdamW(prior.parameters(), learning_rate, betas=(0.9, 0.99), weight_decay=weight_decay)
    best, kept = Fit(0, float("inf")), copy.deepcopy(prior.state_dict())
    fitting = Fitting(prior, optimizer, generator)
    if saved is not None:
        with restoring():
            require_like(saved, {"fitting": {}, "best": {"best_update": 0, "held_out": 0.0}, "kept": kept})
            require_finite(saved["kept"], "its best module")
            fitting.set_state(saved["fitting"])
            best, kept = Fit(**saved["best"]), saved["kept"]

    def state() -> Tree:
        return {"fitting": fitting.get_state(), "best": vars(best), "kept": kept}

    for update in range(fitting.updates, updates):
        factor = min(1.0, 20 * (update + 1) / updates) * cosine(update / updates)
        optimizer.param_groups[0]["lr"] = learning_rate * factor
        rows = torch.randint(len(codes), (batch_size,), generator=generator).to(codes.device)
        loss = prior.nll(codes[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(prior.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        figures = {"nll": loss.item()}
        if (update + 1) % check_every == 0 or update + 1 == updates:
            figures["held_out_nll"] = float(batched_nll(prior.nll, held_out).mean())
            if figures["held_out_nll"] < best.held_out:
                best, kept = Fit(update + 1, figures["held_out_nll"]), copy.deepcopy(prior.state_dict())
        report(update + 1, figures)
        fitting.updates = update + 1
        keep(fitting.updates, state)
    prior.load_state_dict(kept)
    return best


def cosine(done: float) -> float:
    """1 at the beginning, 0 at the end."""
    return 0.5 * (1 + math.cos(math.pi * done))
