"""Checkpoints: exact, two of them, whole or refused in a sentence; what a torn, changed or unwritable one does."""

import errno
import math
import os
import signal

import numpy as np
import pytest
import torch

from agents.checkpoint import Checkpoints
from agents.interruption import Interrupted, Interruption
from agents.tree_file import read_tree, write_tree
from gan_backbones.tensor_file import read_tensors, write_tensors
from tests.agents.trees import differences

shared = torch.arange(6.0).reshape(2, 3)
TREE = {
    "plain": [None, True, 1, -0.0, 0.1 + 0.2, math.inf, math.nan, "text ü\n", 2**127 + 1],
    "containers": ((), [], {}, ([1], (2,))),
    "keys": {3: "int", "3": "str", None: "none", True: "bool", 0.5: "float"},
    "random": [np.random.default_rng(0).bit_generator.state, torch.Generator().get_state()],
    "arrays": [
        np.array(3.0),
        np.zeros((2, 0), np.uint16),
        np.array([True, False]),
        np.arange(12, dtype=">i4").reshape(3, 4).T,
        np.array([math.nan, -0.0, 1e-320]),
        np.array([1 + 2j]),
    ],
    "scalars": [np.float32(0.1), np.int64(-1), np.bool_(True)],
    "tensors": [
        shared,
        shared.T,
        shared,
        torch.tensor(2, dtype=torch.int64),
        torch.tensor([True, False]),
        torch.zeros(3, 0, dtype=torch.uint8),
        torch.tensor([0.1], dtype=torch.bfloat16),
        torch.nn.Parameter(torch.ones(2)).data.double(),
    ],
}


def test_what_was_written_comes_back(tmp_path):
    write_tree(tmp_path / "tree", TREE, {"step": 3})
    tree, about = read_tree(tmp_path / "tree")
    assert differences(tree, TREE) == []
    assert about == {"step": 3}
    tree["arrays"][0][...] = 1  # and is ours to change
    generator = np.random.default_rng(1)
    generator.bit_generator.state = tree["random"][0]
    assert generator.integers(2**60) == np.random.default_rng(0).integers(2**60)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), np.array([object()]), {(1, 2): 3}, signal.SIGINT])
def test_other_things_are_refused_by_name(tmp_path, value):
    with pytest.raises(TypeError, match=r"tree\['a'\]\[0\]"):
        write_tree(tmp_path / "tree", {"a": [value]}, {})
    assert not list(tmp_path.iterdir())


def saved(folder, steps, **options):
    checkpoints = Checkpoints(folder, {"seed": 1}, **options)
    for step in steps:
        checkpoints.save(step, lambda step=step: {"step": step, "weights": torch.full((40,), float(step))})
    return checkpoints


def test_two_are_kept_and_the_newest_is_loaded(tmp_path):
    assert Checkpoints(tmp_path / "none", {}).load(pytest.fail) is None
    checkpoints = saved(tmp_path, [5, 64, 1000])
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step-000000000064.safetensors",
        "step-000000001000.safetensors",
    ]
    assert checkpoints.load(pytest.fail).step == 1000
    checkpoints.clear()
    assert not tmp_path.exists()


def test_a_course_that_was_left_is_forgotten(tmp_path):
    """One that went on from an earlier step has no use for later ones, which may be torn."""
    saved(tmp_path, [10, 20])
    (tmp_path / "step-000000000020.safetensors").write_bytes(b"torn")
    saved(tmp_path, [15])
    assert [path.name[-14:-12] for path in sorted(tmp_path.iterdir())] == ["10", "15"]


@pytest.mark.parametrize("damage", ["shortened", "empty", "flipped", "other kind", "other version", "missing tensor"])
def test_a_damaged_one_falls_back_with_a_word(tmp_path, damage):
    checkpoints = saved(tmp_path, [1, 2])
    path = tmp_path / "step-000000000002.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "shortened":
        path.write_bytes(content[:-7])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "flipped":
        content[-5] ^= 1
        path.write_bytes(content)
    else:
        tensors, about = read_tensors(path)
        if damage == "missing tensor":
            tensors = {}
        else:
            about |= {"format": "other"} if damage == "other kind" else {"version": 99}
        write_tensors(path, tensors, about)
    said = []
    assert checkpoints.load(said.append).tree["step"] == 1
    assert len(said) == 1 and str(path) in said[0] and "\n" not in said[0]
    if damage == "other version":
        assert "version 99" in said[0]


def test_none_that_is_whole_is_told(tmp_path):
    checkpoints = saved(tmp_path, [1, 2])
    for path in tmp_path.iterdir():
        path.write_bytes(b"nothing")
    said = []
    with pytest.raises(ValueError, match=r"none of the checkpoints in .* is whole"):
        checkpoints.load(said.append)
    assert len(said) == 2


def test_those_of_another_run_are_refused(tmp_path):
    saved(tmp_path, [1])
    with pytest.raises(ValueError, match="is of a run with seed 1, not 2"):
        Checkpoints(tmp_path, {"seed": 2}).load(pytest.fail)


def test_a_full_disk_leaves_the_last_good_ones(tmp_path, monkeypatch):
    checkpoints = saved(tmp_path, [1, 2])

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device; the last good one, step-000000000002") as caught:
        checkpoints.save(3, lambda: {"step": 3})
    assert "\n" not in str(caught.value)
    assert len(list(tmp_path.iterdir())) == 2
    assert checkpoints.load(pytest.fail).step == 2


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    checkpoints = saved(tmp_path, [1])
    (tmp_path / ".step-000000000002.safetensors.abc.tmp").write_bytes(b"half")
    assert checkpoints.load(pytest.fail).step == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_growing_files_are_cut_back(tmp_path):
    log, events, other = (tmp_path / name for name in ("log", "events.1", "other"))
    checkpoints = Checkpoints(tmp_path / "checkpoints", {}, growing=[log, tmp_path / "events.*"])
    log.write_text("one\n")
    events.write_text("1")
    checkpoints.save(1, lambda: None)
    log.write_text("one\ntwo\ntor")
    events.write_text("12")
    (tmp_path / "events.2").write_text("3")
    other.write_text("4")
    checkpoints.load(pytest.fail)
    assert log.read_text() == "one\n"
    assert [path.read_text() for path in tmp_path.glob("events.*")] == ["1"] and other.exists()
    checkpoints.clear()
    assert checkpoints.load(pytest.fail) is None
    assert not log.exists() and not events.exists(), "without a checkpoint all is done again"


def test_the_clock_decides(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def costly(seconds):
        def state():
            now[0] += seconds
            return now[0]

        return state

    checkpoints = Checkpoints(tmp_path, {})
    saves = []
    for second in range(1, 1000):
        now[0] = max(now[0], float(second))
        before = now[0]
        checkpoints.offer(second, costly(4.0))
        if now[0] != before:
            saves.append(second)
    assert saves == [60, 264, 468, 672, 876], "every 60 s at first, then no more than 2 % of the time"
    assert str(checkpoints.cost).startswith("5 checkpoints took 20.0 s, 2.0%")
    assert checkpoints.cost.record() == {"count": 5, "seconds": 20.0, "share": pytest.approx(0.02, rel=0.02)}
    with pytest.raises(ValueError, match="at least 0, not -1"):
        Checkpoints(tmp_path, {}, every=-1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends(tmp_path, capsys, number):
    before = signal.getsignal(number)
    checkpoints = Checkpoints(tmp_path, {}, every=1e9)
    with Interruption() as interruption:
        checkpoints.offer(1, lambda: pytest.fail("it is not time yet"), interruption)
        os.kill(os.getpid(), number)
        assert interruption.requested
        with pytest.raises(Interrupted) as caught:
            checkpoints.offer(2, lambda: {"here": 2}, interruption)
    assert caught.value.exit_status == 128 + number
    assert checkpoints.load(pytest.fail).tree == {"here": 2}
    assert signal.getsignal(number) is before
    assert "again to stop at once" in capsys.readouterr().err


def test_a_second_signal_ends_at_once():
    with Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
