"""Columns keep their shapes, types and values on the way; a step sends one table and fetches one."""

import numpy as np
import torch

from gan_env import GanBalanceVectorEnv
from gan_env import core as core_module
from gan_env.transfer import merge, to_device, to_host


def test_columns_arrive_as_they_were():
    sent = (np.arange(6.0).reshape(3, 2), np.array([0.1, np.nan, np.inf]))
    received = to_device(torch.device("cpu"), *sent)
    for one, other in zip(sent, received, strict=True):
        np.testing.assert_array_equal(one, other.numpy())
    columns = {
        "flag": torch.tensor([True, False]),
        "single": torch.tensor([0.1, 2.0]),
        "double": torch.tensor([[[0.1], [1e300]], [[3.0], [torch.nan]]], dtype=torch.float64),
    }
    for name, array in to_host(columns).items():
        assert array.dtype == columns[name].numpy().dtype
        np.testing.assert_array_equal(array, columns[name].numpy())


def test_merge_takes_chosen_rows_and_leaves_the_old_tensor_alone():
    old, new = torch.zeros(3), torch.ones(3)
    assert merge(new, old, [1]).tolist() == [0, 1, 0]
    assert merge(new, old, range(3)).tolist() == [1, 1, 1]
    assert old.sum() == 0


def test_a_step_is_one_copy_there_and_one_back(monkeypatch):
    env = GanBalanceVectorEnv(3, suite="ring")
    env.reset(seed=0)
    counts = dict.fromkeys(("to_device", "to_host"), 0)
    for name in counts:
        original = getattr(core_module, name)

        def counted(*arguments, name=name, original=original):
            counts[name] += 1
            return original(*arguments)

        monkeypatch.setattr(core_module, name, counted)
    env.step(np.zeros(3, dtype=np.int64))
    assert counts == {"to_device": 1, "to_host": 1}
