"""Exposure bias: what a prior does on its own samples, which maximum likelihood never shows it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_backbones.prior import CodePrior


def sample_many(
    prior: CodePrior, count: int, generator: torch.Generator, *, temperature: float = 1.0, batch_size: int = 256
) -> Tensor:
    """``count`` maps ``(count, length)``, some at a time."""
    sizes = [min(batch_size, count - first) for first in range(0, count, batch_size)]
    return torch.cat([prior.sample(size, generator, temperature=temperature) for size in sizes])


def completions(prior: CodePrior, given: Tensor, prefix: int, generator: torch.Generator) -> Tensor:
    """Maps ``(B, length)`` that begin with the first ``prefix`` codes of ``given``, the rest sampled."""
    free = torch.arange(prior.length) >= prefix
    return prior.sample(len(given), generator, given=given, free=free)


def prefixes(length: int, steps: int = 4) -> Sequence[int]:
    """Lengths of prefixes from none on, in even steps, the whole map left out."""
    return [length * step // steps for step in range(steps)]
