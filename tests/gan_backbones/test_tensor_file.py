"""The digest of named tensors; writing and reading are tested where they are used."""

import torch

from gan_backbones.tensor_file import digest_tensors


def test_the_digest_tells_tensors_apart():
    zeros = torch.zeros(4)
    variants = [
        digest_tensors({"a": zeros}),
        digest_tensors({"b": zeros}),
        digest_tensors({"a": zeros.reshape(2, 2)}),
        digest_tensors({"a": zeros.to(torch.int32)}),
        digest_tensors({"a": zeros}, "text"),
        digest_tensors({"a": zeros, "b": zeros}),
    ]
    assert len(set(variants)) == len(variants)
    assert digest_tensors({"a": zeros, "b": zeros}) == digest_tensors({"b": zeros, "a": zeros})


def test_a_single_number_may_have_any_stride():
    strided = torch.arange(3.0, dtype=torch.float64).reshape(1, 3).t()[1:2]
    assert strided.stride() == (1, 3) and digest_tensors({"a": strided.t()}) == digest_tensors(
        {"a": torch.ones(1, 1).double()}
    )
