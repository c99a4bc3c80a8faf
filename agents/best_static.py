"""The best constant pair of learning rates of a suite: found once, offline, and looked up afterwards."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

RECORD = "records/best_static.json"


def load_records() -> dict[str, Any]:
    """The committed records by suite; each says how it was found."""
    records: dict[str, Any] = json.loads((files("agents") / RECORD).read_text())
    return records


def best_static_rates(suite: str) -> tuple[float, float] | None:
    """``(lr_g, lr_d)`` for ``suite``, or none where nobody has searched."""
    record = load_records().get(suite)
    return None if record is None else (record["lr_g"], record["lr_d"])
