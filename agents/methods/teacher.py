"""The file of the schedule as which a taught policy begins, so that its search is made once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from agents.methods.rules import schedule
from agents.methods.search import Found, Plan
from gan_backbones.files import read_json, write_atomically
from gan_env import EnvConfig
from gan_env.knobs import KNOBS

TEACHER = "teacher.json"
"""Its name in a run folder or beside checkpoints."""


def write_teacher(path: Path, found: Found) -> None:
    """Write what a search of :func:`~agents.methods.rules.schedule_space` has found, atomically."""
    content = vars(found) | {"plan": vars(found.plan)}
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_teacher(path: Path, config: EnvConfig) -> Found:
    """What :func:`write_teacher` wrote, for a run of ``config``'s knobs.

    Raises ``ValueError``, in one line, for a file that is none.
    """
    content = read_json(path)
    try:
        curve = tuple((int(updates), float(grade)) for updates, grade in content["curve"])
        found = Found(dict(content["values"]), int(content["updates"]), curve, Plan(**content["plan"]))
        schedule(dataclasses.replace(config, action_type="target"), found.values)
        if not curve or not all(KNOBS[knob].low <= found.values[knob] <= KNOBS[knob].high for knob in config.knobs):
            raise ValueError("a knob is out of its bounds, or there is no curve")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no teacher.json of a run with these knobs: {error!r}") from None
    return found
