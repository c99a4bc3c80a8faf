"""What the tests of the population share."""

from collections.abc import Sequence

import pytest
import torch

from gan_backbones import BACKBONES, OPTIONAL_KNOBS, GanPopulation
from gan_backbones.population import STRATEGIES
from gan_backbones.train_stats import TrainStats

KNOB_SETS = ((), *((name,) for name in OPTIONAL_KNOBS), OPTIONAL_KNOBS)
BATCH = 4
BETAS = ((0.5, 0.999), (0.9, 0.99), (0.0, 0.9))

every_backbone = pytest.mark.parametrize("backbone", BACKBONES)
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES[1:])  # without "auto"
every_knob = pytest.mark.parametrize("extra", KNOB_SETS, ids=lambda names: "+".join(names) or "-")


def knobs(population: GanPopulation, rate: float = 2e-4, **changes) -> dict[str, torch.Tensor]:
    """Equal rates for all rows, 1/2 for every other knob."""
    values = dict.fromkeys(population.knob_names, 0.5) | {"lr_g": rate, "lr_d": rate} | changes
    return {name: torch.as_tensor(value, dtype=torch.float64).expand(population.size) for name, value in values.items()}


def state(population: GanPopulation) -> list[torch.Tensor]:
    """Every tensor that has one entry per row, random generators included."""
    saved = population.state_dict()
    return [*saved["tensors"], torch.stack(saved["train_rng"]), torch.stack(saved["sample_rng"])]


def assert_rows_equal(
    one: list[torch.Tensor], other: list[torch.Tensor], rows: Sequence[int], others: Sequence[int] | None = None
) -> None:
    """Bit for bit."""
    others = rows if others is None else others
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a[list(rows)], b[list(others)])


def statistics(stats: TrainStats) -> torch.Tensor:
    return torch.stack([value.double() for value in vars(stats).values()])


def assert_close(one: GanPopulation, other: GanPopulation, tolerance: float) -> None:
    for a, b in zip(one.state_dict()["tensors"], other.state_dict()["tensors"], strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
