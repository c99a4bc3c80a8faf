"""What the tests of the population share."""

from collections.abc import Sequence

import pytest
import torch

from gan_backbones import BACKBONES, OPTIONAL_KNOBS, PAIR_KNOBS, GanPopulation, build
from gan_backbones.population import STRATEGIES
from gan_backbones.train_stats import TrainStats

BATCH = 4
BETAS = ((0.5, 0.999), (0.9, 0.99), (0.0, 0.9))

every_backbone = pytest.mark.parametrize("backbone", BACKBONES)
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES[1:])  # without "auto"


def knobs_for(backbone: str) -> tuple[str, ...]:
    """The optional knobs that a backbone's pairs take."""
    pair = build(backbone, (2,) if backbone == "mlp" else (1, 16, 16), width=2)
    return tuple(name for name in OPTIONAL_KNOBS if name not in PAIR_KNOBS or name in pair.knobs)


def knob_sets(backbone: str) -> list[tuple[str, ...]]:
    """None, one and all of them; knobs that every pair takes come singly where there are no others."""
    fitting = knobs_for(backbone)
    own = [name for name in fitting if name in PAIR_KNOBS]
    return [(), *((name,) for name in own or fitting), fitting]


every_backbone_and_knob = pytest.mark.parametrize(
    ("backbone", "extra"),
    [(backbone, extra) for backbone in BACKBONES for extra in knob_sets(backbone)],
    ids=lambda value: value if isinstance(value, str) else "+".join(value) or "-",
)


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
