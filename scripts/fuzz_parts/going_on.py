"""Runs that go on: their checkpoints, under right and wrong checksums, and the options that they were begun with.

What is taken has to be able to go on: it makes a step more.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from agents.checkpoint import Checkpoint, Checkpoints, naming
from agents.latent_gans import GanRow, GanSizes, GanTrainer
from agents.ral.pretraining import Fitting
from agents.resuming import CONFIG, begun_with
from agents.training import PolicyTraining
from fuzz_parts.garbage import SPOILT_JSON, shown, spoil_tree
from fuzz_parts.tensor_files import TensorFile
from fuzz_parts.verdict import Case, require
from gan_backbones.data import DataSet
from gan_env import EnvConfig

_SCRIPTS = ("train_agent", "train_gan", "train_ral", "latent_report")
_STEPS = 16


class RunsThatGoOn:
    """Checkpoints of a learner with its GANs, of GANs that will be frozen, of a module; and ``config.json``."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._kinds = {name: vars(importlib.import_module(name))["Options"] for name in _SCRIPTS}
        self._files = [self._learner(place / "learner"), self._gans(place / "gans"), self._module(place / "module")]

    def case(self, rng: random.Random) -> Case:
        return self._options(rng) if rng.random() < 0.3 else rng.choice(self._files).case(rng)

    def _options(self, rng: random.Random) -> Case:
        name = rng.choice(_SCRIPTS)
        kind = self._kinds[name]
        record = {"options": dataclasses.asdict(kind()), "git_commit": None}
        title, tree = spoil_tree(json.loads(json.dumps(record, default=str)), rng)
        content = json.dumps(tree).encode()
        if rng.random() < 0.2:
            content = rng.choice(SPOILT_JSON)
            title = shown(content)

        def run() -> None:
            folder = self._place / "run"
            folder.mkdir(exist_ok=True)
            (folder / CONFIG).write_bytes(content)
            options = begun_with(kind, folder)
            require(options.resume == folder, f"resume {options.resume}")

        return Case(f"options of {name}: {title}", run)

    def _learner(self, place: Path) -> TensorFile:
        config = EnvConfig(suite="ring", updates_per_step=1, decisions=4, workers=1, progress=False)
        brief = {"n_steps": 4, "batch_size": 8, "n_epochs": 1, "policy_kwargs": {"net_arch": [4]}}
        training = PolicyTraining("ppo", config, 2, 0, brief)
        training.validation = training.validation[:2]
        settings = training.settings(_STEPS, 1)

        def go_on(saved: Checkpoint | None, checkpoints: Checkpoints | None = None) -> None:
            training.learn(_STEPS, 1, place / "policy.zip", checkpoints=checkpoints, saved=saved)
            weights = training.model.policy.state_dict().values()
            require(all(one.isfinite().all() for one in weights), "weights that are not finite")

        go_on(None, Checkpoints(place, settings, every=0))
        return _spoiler(place, settings, go_on)

    def _gans(self, place: Path) -> TensorFile:
        pixels = torch.randint(256, (12, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        data = DataSet("noise", pixels, {}, {}, None)
        trainer = GanTrainer([GanRow(data, seed) for seed in range(2)], GanSizes(4, 2, 2, updates=2))
        checkpoints = Checkpoints(place, {}, every=0)
        trainer.train(after=lambda: checkpoints.offer(trainer.updates, trainer.get_state), progress=False)

        def go_on(saved: Checkpoint) -> None:
            trainer.set_state(saved.tree)
            trainer.train(progress=False)

        return _spoiler(place, {}, go_on)

    def _module(self, place: Path) -> TensorFile:
        module, generator = torch.nn.Linear(3, 2), torch.Generator()
        fitting = Fitting(module, torch.optim.AdamW(module.parameters()), generator)

        def update() -> None:
            fitting.optimizer.zero_grad()
            module(torch.ones(1, 3)).square().sum().backward()
            fitting.optimizer.step()

        update()
        Checkpoints(place, {}).save(1, fitting.get_state)

        def go_on(saved: Checkpoint) -> None:
            fitting.set_state(saved.tree)
            update()

        return _spoiler(place, {}, go_on)


def _spoiler(place: Path, settings: dict[str, Any], go_on: Callable[[Checkpoint], None]) -> TensorFile:
    """Of the first checkpoint in ``place``, after which there is something to be done."""
    first = min(place.glob("step-*"))
    spoilt = Checkpoints(place / "spoilt", settings)

    def use(path: Path) -> None:
        spoilt.folder.mkdir(exist_ok=True)
        shutil.copy(path, spoilt.folder / first.name)
        saved = spoilt.load(lambda problem: print(problem, file=sys.stderr))
        assert saved is not None
        with naming(saved):
            go_on(saved)

    return TensorFile(place, first, use)
