"""Coarser products: near the reference, and nothing else is touched."""

import pytest
import torch

from gan_backbones.layers.autocast import autocast_dtype
from gan_backbones.precision import PRECISIONS, computing
from tests.gan_backbones.populations import every_backbone, every_strategy, knobs, knobs_for


@every_strategy
@every_backbone
def test_bfloat16_stays_near_float32(backbone, strategy, make):
    extra = knobs_for(backbone)
    options = {"strategy": strategy, "dtype": torch.float32, "knobs": extra, "batch_size": 16}
    reference, coarse = (make(backbone, [0, 1], precision=name, **options) for name in ("float32", "bfloat16"))
    stats = [population.update(knobs(population, rate=1e-3), 2) for population in (reference, coarse)]
    assert not stats[1].diverged.any()
    assert (stats[0].real_logit != stats[1].real_logit).any()  # it was coarser indeed
    for name in ("loss_g", "loss_d"):
        torch.testing.assert_close(*(getattr(one, name) for one in stats), rtol=0.05, atol=0.02)
    assert all(tensor.dtype != torch.bfloat16 for tensor in coarse.state_dict()["tensors"])
    assert coarse.sample(2).dtype == torch.float32  # what is looked at is the reference's arithmetic


def test_the_choice_ends_with_the_block():
    device, weight = torch.device("cpu"), torch.zeros(1)
    for precision in PRECISIONS[::2]:
        with computing(precision, device):
            assert autocast_dtype(weight) == (torch.bfloat16 if precision == "bfloat16" else None)
            assert autocast_dtype(weight.double()) is None
        assert autocast_dtype(weight) is None
    assert autocast_dtype(weight.to("meta")) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float8"}, "unknown precision 'float8'; known: float32, tf32, bfloat16"),
        ({"precision": "tf32", "dtype": torch.float32}, "precision 'tf32' needs a CUDA device"),
        ({"precision": "bfloat16"}, "precision 'bfloat16' is for float32 parameters, not torch.float64"),
    ],
)
def test_a_precision_that_cannot_be_had_is_refused(options, message, make):
    with pytest.raises(ValueError, match=message):
        make("mlp", [0], **options)
