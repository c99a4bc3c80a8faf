"""Run folders that came from somewhere: of an agent, and of a comparison."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agents.controllers import find_controller
from agents.report.cell import read_picture, read_trajectory
from agents.report.folder import read_comparison
from agents.sb3 import make_model, make_training_env
from agents.trained import load_run
from fuzz_parts.garbage import SPOILT_JSON, shown, spoil, spoil_tree
from fuzz_parts.verdict import Case, require
from gan_env import EnvConfig

_SMALL: dict[str, Any] = {"suite": "ring", "updates_per_step": 1, "decisions": 4}


class Folder:
    """Files that are right; a case spoils one of them, reads all, and puts it back."""

    def __init__(self, place: Path, use: Callable[[Path], object]) -> None:
        self._place, self._use = place, use
        use(place)  # what is right is taken
        self._files = {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}

    def case(self, rng: random.Random) -> Case:
        path = rng.choice(list(self._files))
        original = self._files[path]
        kind = rng.choice(("bytes", "json", "tree", "tree", "tree", "missing", "fifo", "folder", "link"))
        title, content = kind, b""
        if kind == "tree" and path.suffix in (".json", ".jsonl"):
            lines = original.decode().splitlines() if path.suffix == ".jsonl" else [original.decode()]
            at = rng.randrange(len(lines))
            title, tree = spoil_tree(json.loads(lines[at]), rng)
            lines[at] = json.dumps(tree)
            content = "\n".join(lines).encode()
        elif kind == "json":
            content = rng.choice(SPOILT_JSON)
            title = shown(content)
        elif kind in ("bytes", "tree"):
            title, content = spoil(original, rng)
        target = rng.choice(("/dev/zero", "nowhere", path.name, "/proc/self/mem"))

        def run() -> None:
            path.unlink()
            try:
                if kind == "fifo":
                    os.mkfifo(path)
                elif kind == "folder":
                    path.mkdir()
                elif kind == "link":
                    path.symlink_to(target)
                elif kind != "missing":
                    path.write_bytes(content)
                self._use(self._place)
            finally:
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                path.unlink(missing_ok=True)
                path.write_bytes(original)

        return Case(f"{path.relative_to(self._place)}: {title}", run)


class AgentRuns(Folder):
    """What ``train_agent.py`` writes and ``export_policy.py``, ``train_gan.py`` and ``compare_pictures.py`` read."""

    def __init__(self, place: Path) -> None:
        env = make_training_env(1, _SMALL)
        model = make_model("ppo", env, 0, {"n_steps": 8, "batch_size": 8, "policy_kwargs": {"net_arch": [4]}})
        model.save(place / "policy.zip")
        settings = {
            "options": {"algo": "ppo", "seed": 0},
            "environment": dataclasses.asdict(EnvConfig(**_SMALL)),
            "algorithm": {"policy_kwargs": {"net_arch": [4]}},
        }
        (place / "config.json").write_text(json.dumps(settings, default=str))
        inputs = env.observation_space.shape
        env.close()
        _add_bomb(place / "policy.zip")

        def use(folder: Path) -> None:
            policy, _, _ = load_run(folder)
            action, _ = policy.predict(np.zeros(policy.observation_space.shape, np.float32), deterministic=True)
            require(np.isfinite(action).all() and inputs, f"action {action}")
            find_controller(str(folder))

        super().__init__(place, use)


class Comparisons(Folder):
    """What ``compare.py`` writes and ``report.py`` reads."""

    def __init__(self, place: Path) -> None:
        (place / "config.json").write_text(json.dumps({"command": "compare", "options": {"suite": "ring"}}))
        rows = [row for method in ("noop", "ppo") for row in _write_cell(place, method)]
        (place / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

        def use(folder: Path) -> None:
            comparison = read_comparison([folder])
            for table in comparison.tables:
                require(
                    all(np.isfinite(grades).all() for grades in table.finals().values()), "grades that are not finite"
                )
                for method in table.methods.values():
                    for run in method.runs:
                        read_picture(run)
                        for instance in table.instances:
                            read_trajectory(run, instance)

        super().__init__(place, use)


def _write_cell(place: Path, method: str) -> list[dict[str, Any]]:
    cell = {"suite": "ring", "table": "rescue", "method": method, "kind": "learned" if method == "ppo" else "reference"}
    cell |= {"seed": 0, "updates": 10, "seconds": 1.5}
    records = [
        {"instance": index, "final": 0.5 + index, "failed": False, "log10_knobs": [[-3.0, -3.0]], "start": [1e-3, 1e-3]}
        for index in range(2)
    ]
    folder = place / "cells" / "rescue" / method / "0"
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps(cell | {"metric": "SW2", "curve": [[1, 2.0]]}))
    (folder / "records.json").write_text(json.dumps({"knobs": ["lr_g", "lr_d"], "records": records}))
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    (folder / "samples.png").write_bytes(buffer.getvalue())
    return [cell | {name: record[name] for name in ("instance", "final", "failed")} for record in records]


def _add_bomb(path: Path) -> None:
    """A member that nobody has to read: small in the file, large once it is unpacked."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large", bytes(50_000_000))
