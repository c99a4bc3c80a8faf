"""Results from fresh processes."""

import os
import subprocess
import sys

import pytest

from agents.side_by_side import side_by_side


def test_every_job_is_done_once_and_elsewhere():
    assert sorted(side_by_side(divmod, [(7, 2), (9, 4)], "", 2)) == [(0, (3, 1)), (1, (2, 1))]
    (one,) = side_by_side(os.getpid, [()], "")
    assert one[0] == 0 and one[1] != os.getpid()
    assert list(side_by_side(divmod, [], "")) == []


def test_a_mistake_is_raised_and_calls_the_others_off(tmp_path):
    others = [([sys.executable, "-c", f"open({str(tmp_path / str(number))!r}, 'x')"],) for number in range(60)]
    with pytest.raises(subprocess.CalledProcessError):
        list(side_by_side(subprocess.check_call, [(["false"],), *others], "", 1))
    assert len(list(tmp_path.iterdir())) < 60
