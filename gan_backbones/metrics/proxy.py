"""The proxy extractor: a tiny student of EfficientNet-lite0, cheap enough to be asked after every decision.

Distances of the means and deviations of its 32 features (`DiagonalReference`) rank damaged images and young GANs much
as the teacher's do; GANs of similar quality it ranks less reliably. It serves rewards and nothing else: what it rewards
is graded by another judge.

The student learns, by regression, the first 32 principal components of the teacher's features on real images, damaged
ones and those of young GANs. Principal components are an isometry of the subspace, so squared distances keep the
teacher's scale up to one common factor, and coordinates are nearly uncorrelated to begin with.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from gan_backbones.metrics.damage import DAMAGES, damaged
from gan_backbones.metrics.extractors import check_images, extract, judge, torch_threads
from gan_backbones.metrics.young_gans import young_gans

RECIPE = 4
"""Part of the cache key of every student; raise it whenever a change alters what is distilled or kept of it."""

SIDE = 16
"""Pixels at which the student looks."""

FEATURES = 32
"""Width of the student's features."""


class ProxyExtractor(nn.Module):
    """Two strided convolutions, a pointwise one, the mean over positions and a linear map.

    137,216 multiply-accumulates for a 16 x 16 colour image. Larger images are averaged down to 16 pixels first,
    smaller ones enlarged (bilinear): the student does not see finer detail. Of a single channel it takes three equal
    ones, through the sum of the first weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 4, stride=2, padding=1)
        self.second = nn.Conv2d(12, 24, 4, stride=2, padding=1)
        self.third = nn.Conv2d(24, 64, 1)
        self.head = nn.Linear(64, FEATURES)

    @classmethod
    def empty(cls) -> ProxyExtractor:
        """A student with arbitrary weights, to be filled; unlike the constructor it draws no random number."""
        with torch.device("meta"):
            student = cls()
        return student.to_empty(device="cpu")

    def forward(self, images: Tensor) -> Tensor:
        """Features of images.

        Args:
            images: (m, C, H, W) floating point in [-1, 1], C in {1, 3}.

        Returns:
            (m, 32) float32 on the images' device.

        Raises:
            ValueError: on any other shape or an integer type.
        """
        check_images(images)
        maps = _to_side(images.float())
        weight = self.first.weight if images.shape[1] == 3 else self.first.weight.sum(1, keepdim=True)
        maps = functional.conv2d(maps, weight, self.first.bias, stride=2, padding=1).relu()
        maps = self.third(self.second(maps).relu()).relu()
        return self.head(maps.mean((2, 3)))


def _to_side(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    if (height, width) == (SIDE, SIDE):
        return images
    if min(height, width) >= SIDE:
        return functional.adaptive_avg_pool2d(images, SIDE)
    return functional.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class DistillationBudget:
    """What the distillation may spend; the defaults take about 40 seconds on two CPU cores."""

    teacher_images: int = 4096
    """Real and damaged images that the teacher looks at."""
    gans: int = 24
    """Young GANs that are trained for more of them; may be 0."""
    images_per_age: int = 32
    """Images of each young GAN at each age."""
    real_share: float = 0.2
    """Share of the real and damaged images that is undamaged."""
    steps: int = 2000
    """Optimizer steps of the student."""
    batch_size: int = 256
    """Images per step."""
    learning_rate: float = 4e-3
    """Peak rate of AdamW; it rises linearly over a tenth of the steps, then falls to zero along a cosine."""

    def __post_init__(self) -> None:
        if self.teacher_images < 2 * FEATURES or self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"teacher_images must be at least {2 * FEATURES}, steps and batch_size at least 1: {self}")
        if not (0 < self.real_share < 1 and self.learning_rate > 0):
            raise ValueError(f"real_share must lie inside (0, 1) and learning_rate be positive: {self}")


def distil_proxy(
    samples: Tensor, *, seed: int, progress: bool, budget: DistillationBudget | None = None
) -> ProxyExtractor:
    """Trains a student on real images; the same on the same machine for the same seed and samples.

    Args:
        samples: uint8 (M, C, H, W), M >= 2, C in {1, 3}.
        seed: seeds the choice of images, the damage, the initial weights and the batches.
        progress: whether to show progress bars on standard error.
        budget: what to spend.

    Returns:
        the frozen student, on the CPU, in evaluation mode.

    Raises:
        ValueError: on samples of another type or shape.
    """
    if samples.dtype != torch.uint8 or samples.ndim != 4 or samples.shape[1] not in (1, 3) or len(samples) < 2:
        raise ValueError(
            f"samples must be uint8 (M, C, H, W) with M >= 2 and C 1 or 3, got {samples.dtype} {tuple(samples.shape)}"
        )
    budget = budget or DistillationBudget()
    generator = Generator().manual_seed(seed)
    parts = [_curriculum(samples.cpu(), budget, generator)]
    if budget.gans:
        parts.append(young_gans(samples.cpu(), budget.gans, budget.images_per_age, generator, progress=progress))
    teacher = judge()
    features = torch.cat([extract(teacher, part, progress=progress, label="proxy: teacher") for part in parts])
    images = torch.cat([_to_side(part) for part in parts])
    with torch_threads(1):  # batches this small are slower on more
        return _regress(images, _principal_components(features), budget, generator, progress=progress)


def _curriculum(samples: Tensor, budget: DistillationBudget, generator: Generator) -> Tensor:
    """Real images and damaged ones, every kind equally often and at all strengths: (teacher_images, C, H, W)."""
    total = budget.teacher_images
    real = _to_float(samples[_draw(len(samples), round(total * budget.real_share), generator)])
    rest = total - len(real)
    parts = [real]
    for index, kind in enumerate(DAMAGES):
        count = rest * (index + 1) // len(DAMAGES) - rest * index // len(DAMAGES)
        originals = _to_float(samples[_draw(len(samples), count, generator)])
        strengths = torch.rand(count, generator=generator)
        parts.append(damaged(originals, kind, strengths, generator))
    return torch.cat(parts)


def _draw(population: int, count: int, generator: Generator) -> Tensor:
    """Indices without repetition as far as the population reaches, then again from the start."""
    rounds = [torch.randperm(population, generator=generator) for _ in range(-(-count // population))]
    return torch.cat(rounds)[:count] if rounds else torch.empty(0, dtype=torch.int64)


def _principal_components(features: Tensor) -> Tensor:
    """(m, width) -> (m, 32): the leading principal components, centred, scaled to unit total variance."""
    centred = features.double() - features.double().mean(0)
    _, vectors = torch.linalg.eigh(centred.mT @ centred)
    leading = centred @ vectors[:, -FEATURES:]
    return (leading / leading.square().sum(-1).mean().sqrt()).float()


def _regress(
    images: Tensor, targets: Tensor, budget: DistillationBudget, generator: Generator, *, progress: bool
) -> ProxyExtractor:
    """Least squares by AdamW; the weights start from the generator, never from the global random state."""
    student = ProxyExtractor.empty()
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.ndim > 1:
                scale = (2 / parameter[0].numel()) ** 0.5  # He et al. 2015, arXiv 1502.01852
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
            else:
                parameter.zero_()
    optimizer = torch.optim.AdamW(student.parameters(), lr=budget.learning_rate, weight_decay=1e-3)
    for step in tqdm(
        range(budget.steps), desc="proxy: student", disable=None if progress else True, file=sys.stderr, leave=False
    ):
        done = step / budget.steps
        factor = min(1.0, (step + 1) / (0.1 * budget.steps + 1)) * 0.5 * (1 + math.cos(math.pi * done))
        optimizer.param_groups[0]["lr"] = budget.learning_rate * factor
        rows = torch.randint(len(images), (budget.batch_size,), generator=generator)
        loss = (student(images[rows]) - targets[rows]).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student.eval().requires_grad_(False)


def _to_float(samples: Tensor) -> Tensor:
    return samples.float() / 127.5 - 1
