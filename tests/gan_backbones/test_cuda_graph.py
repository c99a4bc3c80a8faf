"""What surrounds a recording: static inputs, copied outputs, a new beginning for other shapes, and a way back."""

import warnings

import pytest
import torch

from gan_backbones.cuda_graph import GraphedWork


class Recorder:
    """Stands for a GPU: a recording runs the same code on the tensors that it saw when it was made."""

    def __init__(self, fails=False):
        self.recordings, self.replays, self.fails = 0, 0, fails

    def __call__(self, call):
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nand more lines")
        self.recordings += 1

        def replay():
            self.replays += 1
            call()

        return replay


def test_each_call_is_done_once_and_outputs_stay_as_they_are():
    total, recorder = torch.zeros(2), Recorder()
    work = GraphedWork(lambda inputs: {"total": total.add_(inputs["step"])}, recorder)
    seen = []
    for step in (1.0, 10.0, 100.0):
        seen.append(work({"step": torch.full((2,), step)})["total"].clone())
    assert [one.tolist() for one in seen] == [[1, 1], [11, 11], [111, 111]]
    assert (recorder.recordings, recorder.replays) == (1, 2)
    kept = work({"step": torch.zeros(2)})["total"]
    work({"step": torch.ones(2)})
    assert kept.tolist() == [111, 111]


def test_other_shapes_or_another_key_begin_anew():
    recorder = Recorder()
    work = GraphedWork(lambda inputs: {"double": 2 * inputs["x"]}, recorder)
    for x, key in ((torch.ones(2), 0), (torch.ones(2), 0), (torch.ones(3), 0), (torch.ones(3), 1), (torch.ones(3), 1)):
        assert torch.equal(work({"x": x}, key)["double"], 2 * x)
    assert (recorder.recordings, recorder.replays) == (2, 2)


def test_where_recording_fails_it_says_so_once_and_goes_on():
    calls = []
    work = GraphedWork(lambda inputs: calls.append(1) or dict(inputs), Recorder(fails=True))
    work({"x": torch.ones(1)})
    with pytest.warns(UserWarning, match="no CUDA graph, updates are launched one by one instead: operation not"):
        work({"x": torch.ones(1)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        work({"x": torch.ones(1)})
    assert len(calls) == 3
