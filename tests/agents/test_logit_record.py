"""Means over logits that were seen one update at a time."""

import pytest
import torch

from agents.logit_record import LogitRecord, as_logit_means
from gan_backbones.train_stats import average_logits


def logits(updates, shape=(5,)):
    rng = torch.Generator().manual_seed(0)
    return torch.randn(2, updates, *shape, generator=rng).unbind()


@pytest.mark.parametrize("updates", [1, 7, 32, 33, 100])
@pytest.mark.parametrize("shape", [(5,), (5, 1), (2, 1, 3, 3)])
def test_the_means_are_those_of_all_logits_together(updates, shape):
    record, (real, fake) = LogitRecord(), logits(updates, shape)
    for one in zip(real, fake, strict=True):
        record.add(*one)
    expected = average_logits(real.reshape(1, -1), fake.reshape(1, -1))
    found = as_logit_means(record.means())
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(found, name), value, rtol=1e-5, atol=1e-6)


def test_buffers_may_be_used_again_and_batches_may_differ():
    record, buffer = LogitRecord(), torch.zeros(4)
    for value in (1.0, 3.0):
        record.add(buffer.fill_(value), -buffer[:2])
    means = as_logit_means(record.means())
    assert (means.real_logit.item(), means.fake_logit.item()) == (2.0, -2.0)
    assert means.real_accuracy.item() == means.fake_accuracy.item() == 1.0


def test_larger_batches_weigh_more():
    record = LogitRecord()
    for value, size in ((1.0, 6), (4.0, 2)):
        record.add(torch.full((size,), value), torch.full((size,), -value))
    assert as_logit_means(record.means()).real_logit.item() == pytest.approx((6 * 1 + 2 * 4) / 8)


def test_centred_each_update_has_its_middle_at_zero():
    record = LogitRecord(center=True)
    record.add(torch.tensor([5.0, 7.0]), torch.tensor([2.0]))  # the middle of 6 and 2 is 4
    record.add(torch.tensor([-90.0, -90.0]), torch.tensor([-94.0]))
    expected = average_logits(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), torch.tensor([[-2.0, -2.0]]))
    torch.testing.assert_close(as_logit_means(record.means()), expected)


@pytest.mark.parametrize(
    ("dtype", "kept"), [(torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float64, torch.float64)]
)
def test_means_are_in_float32_at_least(dtype, kept):
    record = LogitRecord()
    record.add(torch.full((3,), 300.0, dtype=dtype), torch.zeros(3, dtype=dtype))
    assert record.means().dtype is kept and record.means()[2] == 300


def test_a_state_goes_on_and_clearing_forgets():
    one, other, (real, fake) = LogitRecord(), LogitRecord(), logits(50)
    for place in range(50):
        one.add(real[place], fake[place])
        if place == 39:
            other.load_state_dict(one.state_dict())
        if place > 39:
            other.add(real[place], fake[place])
    torch.testing.assert_close(one.means(), other.means())
    one.clear()
    with pytest.raises(RuntimeError, match="no logits"):
        one.means()


@pytest.mark.parametrize("wrong", [None, 1.0, [1.0], torch.zeros(0)])
def test_what_is_no_logit_is_refused(wrong):
    with pytest.raises(ValueError, match="at least one number"):
        LogitRecord().add(torch.zeros(2), wrong)
