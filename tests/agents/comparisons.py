"""Run folders as compare.py writes them, with results that are known beforehand."""

import io
import json

import numpy as np
from PIL import Image

INSTANCES, DECISIONS = 16, 5
KNOBS = ("lr_g", "lr_d", "fm_weight")
KINDS = {
    "noop": "reference",
    "oracle": "reference",
    "best_static": "open loop",
    "cosine": "open loop",
    "gap_aware": "closed loop",
    "pbt": "population",
    "ppo": "learned",
    "sac": "learned",
    "ppo[reward=terminal]": "learned",
}
QUALITY = {
    "noop": 1.0,
    "oracle": 0.1,
    "best_static": 0.25,
    "cosine": 0.45,
    "gap_aware": 0.3,
    "pbt": 0.28,
    "ppo": 0.11,
    "sac": 0.2,
    "ppo[reward=terminal]": 0.3,
}
"""Factor on the difficulty of an instance: what a method's grades are like."""


def difficulty(instances=INSTANCES):
    """A grade for each instance; the median of the logs is 0."""
    return np.exp(np.linspace(-1.0, 1.0, instances))


def grades(method, runs, noise=0.1, instances=INSTANCES):
    """Grades ``(runs, instances)``: quality times difficulty, with luck of each run and of each pair."""
    rng = np.random.default_rng(sum(method.encode()))
    luck = noise * (rng.normal(size=(runs, 1)) + rng.normal(size=(runs, instances)))
    return QUALITY[method] * difficulty(instances) * np.exp(luck)


def write_cell(folder, suite, table, method, seed, final, kind=None):
    """One cell, and its lines of ``results.jsonl``."""
    kind = kind or KINDS.get(method, "learned")
    rng = np.random.default_rng(seed)
    cell = {
        "suite": suite,
        "table": table,
        "method": method,
        "kind": kind,
        "seed": seed,
        "metric": "SW2, n=512",
        "updates": 0 if kind == "reference" else 1_000_000,
        "seconds": 75.5,
        "notes": {},
        "curve": [],
    }
    if kind == "learned":
        cell["curve"] = [[u * 1e5, float(final.mean() * (3 - 0.2 * u) * 1.05**seed)] for u in range(2, 11)]
    records = [
        {
            "instance": index,
            "data": "ring",
            "final": float(grade),
            "failed": bool(grade > 2),
            "final_proxy": float(grade),
            "episode_return": -float(grade),
            "decisions": DECISIONS,
            "log10_knobs": (np.cumsum(rng.normal(0, 0.2, (DECISIONS, 3)), 0) - np.array([4, 2.5, 1])).tolist(),
            "start": [1e-4, 10**-2.5],
        }
        for index, grade in enumerate(final)
    ]
    place = folder / "cells" / table / method / str(seed)
    place.mkdir(parents=True)
    (place / "cell.json").write_text(json.dumps(cell))
    (place / "records.json").write_text(json.dumps({"knobs": KNOBS, "records": records}))
    (place / "samples.png").write_bytes(png(seed))
    shared = ("suite", "table", "method", "kind", "seed", "updates", "seconds")
    own = ("instance", "data", "final", "failed", "final_proxy", "episode_return")
    return [{key: cell[key] for key in shared} | {key: record[key] for key in own} for record in records]


def write_comparison(folder, suite="ring", methods=tuple(KINDS), runs=3, finals=None, tables=("rescue", "free")):
    """A whole run folder. ``finals`` maps methods to grades ``(runs, instances)``; others have :func:`grades`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"command": "python scripts/compare.py --suite ring", "git_commit": "0" * 40, "versions": {"torch": "2"}}
    (folder / "config.json").write_text(json.dumps(config | {"hardware": "2 x CPU", "options": {"suite": suite}}))
    rows = []
    for table in tables:
        for method in methods:
            count = runs if KINDS.get(method, "learned") == "learned" else 1
            final = (finals or {}).get(method)
            for seed, one in enumerate(grades(method, count) if final is None else np.asarray(final)):
                rows += write_cell(folder, suite, table, method, seed, one)
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def png(seed):
    """A grid of noise."""
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(255, size=(64, 64, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
