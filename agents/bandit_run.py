"""``train_agent.py --algo bandit``: trains or loads a GAN, lets a bandit draw from it, and grades what it draws."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from agents.bandit_settings import BanditSettings
from agents.bandit_training import PullRecord, make_bandit_env, pull
from agents.bandits import Arms, Bandit, Values, best_arms
from agents.checkpoint import Checkpoint, Checkpoints
from agents.interruption import Interruption
from agents.latent_gans import GanRow, GanTrainer
from agents.report import comparison_table
from agents.restoring import require_like
from agents.resuming import EVALUATION, ResumableOptions, folder_of, going_on
from agents.run_folder import RunFolder, provenance
from agents.statistics import Summary, summarise
from agents.tree_file import Tree
from gan_backbones.data import DataSet
from gan_backbones.metrics import extract, judge, load_reference, name_number
from gan_backbones.tensor_file import write_tensors
from gan_env.frozen_gan import data_name_of
from gan_env.latent_env import GanLatentBanditVectorEnv
from gan_env.quality import cached_data
from gan_env.render import image_grid

_GRADES, _GRADE_IMAGES = 8, 256
_TENTH = 0.1
_SHOWN = 64


@dataclass(frozen=True)
class _Run:
    """A run in progress."""

    settings: BanditSettings
    options: Mapping[str, Any]
    """Of ``train_agent.py``, by name."""
    data: DataSet
    folder: RunFolder
    saved: Checkpoint | None
    """What it goes on from: of the GAN's training, ``gan``, or of the pulling, ``pulling``."""
    checkpoints: Checkpoints
    interruption: Interruption
    console: Console

    def stage(self, name: str) -> Tree:
        """The state that the stage ``name`` goes on from; none where it begins."""
        if self.saved is None:
            return None
        require_like(self.saved.tree, {})
        return self.saved.tree.get(name)


def train_bandit(options: ResumableOptions) -> None:
    """Prepare, train, draw, grade, report; or go on with it. ``options`` are those of ``train_agent.py``."""
    given = dataclasses.asdict(options)
    settings = BanditSettings.of(given)
    console = Console(soft_wrap=False, markup=False)
    torch.set_num_threads(1)  # the population has threads of its own
    started, name = time.monotonic(), f"latent-bandit-{given['seed']}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = folder_of(options, Path("runs") / name, console)
    if folder is None:
        return
    envs = make_bandit_env(settings.num_envs, settings.environment) if "gan" in settings.environment else None
    if envs is None:
        data_name, resolution, about = settings.data or "faces", settings.resolution, dataclasses.asdict(settings.sizes)
    else:
        gan = envs.core.gan
        data_name, resolution = data_name_of(gan, settings.data), gan.meta.sample_shape[-1]
        about = dataclasses.asdict(gan.meta)
    data = cached_data(data_name, resolution, given["cache_dir"], given["progress"])
    if not data.is_image:
        raise ValueError(f"data set {data.name!r} holds points; --algo bandit draws images")
    record = (
        provenance(given["device"])
        | {"options": given, "total_timesteps": settings.pulls, "num_envs": settings.num_envs}
        | {"environment": settings.environment, "algorithm": settings.algorithm, "gan": about}
    )
    with going_on(folder, options, record, console, data=[data]) as (saved, checkpoints, interruption):
        run = _Run(settings, given, data, folder, saved, checkpoints, interruption, console)
        if envs is None:
            envs = make_bandit_env(settings.num_envs, settings.environment | {"gan": str(_train_gan(run))})
        _learn_and_grade(run, envs)
    envs.close()
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    console.print(f"done in {minutes} min {seconds} s; {folder.path / EVALUATION} holds every number", highlight=False)


def _train_gan(run: _Run) -> Path:
    """From the last checkpoint to the end; gives the GAN's path."""
    sizes, path = run.settings.sizes, run.folder.path / "gan.safetensors"
    if run.stage("pulling") is not None:
        return path
    run.console.print(f"training a GAN on {run.data.name}: {sizes.updates} updates ...", highlight=False)
    trainer = GanTrainer([GanRow(run.data, run.options["seed"])], sizes, run.options["device"])
    if (begun := run.stage("gan")) is not None:
        trainer.set_state(begun)

    def keep() -> None:
        run.checkpoints.offer(trainer.updates, lambda: {"gan": trainer.get_state()}, run.interruption)

    trainer.train(after=keep, progress=run.options["progress"])
    if trainer.records[0].diverged:
        raise ValueError("the GAN diverged; try another seed, or load a GAN by --env gan=PATH")
    trainer.save(0, path, {})
    trainer.close()
    return path


def _learn_and_grade(run: _Run, envs: GanLatentBanditVectorEnv) -> None:
    """All that follows on the GAN; :data:`EVALUATION` is the last file that is written."""
    settings, folder, gan, seed = run.settings, run.folder, envs.core.gan, run.options["seed"]
    bandit = settings.bandit(envs.config.codes, list(envs.core.weights), seed)
    run.console.print(
        f"{settings.team or settings.learner} on {envs.config.codes} codes, {settings.pulls} pulls; "
        f"writing {folder.path} (tensorboard --logdir {folder.path})",
        highlight=False,
    )
    writer = SummaryWriter(str(folder.path))
    record = _learn(run, envs, bandit, writer)
    cost = run.checkpoints.cost
    run.console.print(str(cost), highlight=False)
    policies = _policies(bandit, seed)
    for method, policy in policies.items():
        latents = _latents_of(envs, policy, _SHOWN, seed=seed)
        writer.add_image(f"draws/{method}", image_grid(gan.sample(latents)), settings.pulls, dataformats="HWC")
    _save_policy(folder.path / "policy.safetensors", bandit, envs)
    grades, metric = _grade(run, envs, policies)
    summaries = summarise(grades)
    shown = {
        key: value if isinstance(value, int | float | str) else str(value) for key, value in settings.algorithm.items()
    }
    best = {f"hparam/{key.replace('/', '_')}": value for key, value in record.curves().items()}
    writer.add_hparams(shown, best | {"hparam/iqm": summaries["bandit"].iqm}, run_name=".")
    writer.close()
    folder.write_json(EVALUATION, _evaluation(metric, summaries, record, envs) | {"checkpoints": cost.record()})
    run.console.print(comparison_table("bandit", f"latents on {run.data.name}", metric, summaries, grades))
    run.console.print(
        "bandit: its policy as trained; top: the tenth of the codes with the largest values; some: as many codes, "
        "chosen at random; random: N(0, I). A policy that keeps to few codes makes likely images and little variety, "
        "which this distance punishes: what top owes to repeating itself, some owes, too.",
        highlight=False,
    )


def _learn(run: _Run, envs: GanLatentBanditVectorEnv, bandit: Bandit, writer: SummaryWriter) -> PullRecord:
    """From the last checkpoint to the end, which is kept, too."""
    trained, pulls, begun = run.settings.sizes.updates, run.settings.pulls, run.stage("pulling")
    hidden = None if run.options["progress"] else True
    with tqdm(total=pulls, unit="pull", desc="pulling", disable=hidden, dynamic_ncols=True) as bar:

        def on_point(record: PullRecord) -> None:
            for name, value in record.curves().items():
                writer.add_scalar(name, value, record.at[-1])
            run.folder.append_stats({"step": record.at[-1], **record.curves()})

        def after(made: int, state: Callable[[], Tree]) -> None:
            def tree() -> Tree:
                writer.flush()
                return {"pulling": state()}

            bar.update(made - bar.n)
            if made < pulls:
                run.checkpoints.offer(trained + made, tree, run.interruption)
            else:
                run.checkpoints.save(trained + made, tree)

        return pull(envs, bandit, pulls, seed=run.options["seed"], on_point=on_point, saved=begun, after=after)


def _policies(bandit: Bandit, seed: int) -> dict[str, Values]:
    """``(K,)`` probabilities by method; random draws are no policy over codes and are left out."""
    best = best_arms(bandit.values, max(1, round(_TENTH * bandit.arms)))
    some = np.random.default_rng(seed).choice(bandit.arms, len(best), replace=False)
    return {
        "bandit": bandit.probabilities(),
        "top": _equally_among(best, bandit.arms),
        "some": _equally_among(some, bandit.arms),
    }


def _equally_among(chosen: Arms, arms: int) -> Values:
    """The policy that draws each of ``chosen`` with one chance."""
    return np.bincount(chosen, minlength=arms) / len(chosen)


def _latents_of(envs: GanLatentBanditVectorEnv, policy: Values, count: int, seed: int) -> Tensor:
    """Latents drawn by a policy over the codes, with the environment's noise."""
    rng = np.random.default_rng(seed)
    codes = envs.core.actions.latents(rng.choice(len(policy), size=count, p=policy / policy.sum()))
    noise = rng.standard_normal(codes.shape, dtype=np.float32)
    return codes + envs.config.noise * torch.from_numpy(noise)


def _grade(run: _Run, envs: GanLatentBanditVectorEnv, policies: Mapping[str, Values]) -> tuple[dict[str, Values], str]:
    gan, extractor = envs.core.gan, judge()
    reference = load_reference(
        run.data, extractor, cache_dir=run.options["cache_dir"], progress=run.options["progress"]
    )

    def distance(latents: Tensor) -> float:
        run.interruption.check()  # all pulls are saved; grading begins anew and gives the same
        features = extract(extractor, gan.sample(latents), progress=False, label="")
        return float(reference.distance(features))

    grades = {
        method: np.array([distance(_latents_of(envs, policy, _GRADE_IMAGES, seed)) for seed in range(_GRADES)])
        for method, policy in policies.items()
    }
    draws = [torch.Generator().manual_seed(seed) for seed in range(_GRADES)]
    latents = [torch.randn(_GRADE_IMAGES, gan.latent_size, generator=rng) for rng in draws]
    return grades | {"random": np.array([distance(one) for one in latents])}, name_number(
        "FD", extractor, _GRADE_IMAGES
    )


def _evaluation(
    metric: str, summaries: Mapping[str, Summary], record: PullRecord, envs: GanLatentBanditVectorEnv
) -> dict[str, Any]:
    """As of the other algorithms; an instance is the seed of the images that are graded."""
    return {
        "suite": "latent",
        "metric": metric,
        "instances": [{"seed": seed} for seed in range(_GRADES)],
        "methods": {name: dataclasses.asdict(summary) for name, summary in summaries.items()},
        "pulls": len(record.actions),
        "curves": record.curves(),
        "codes": envs.config.codes,
    }


def _save_policy(path: Path, bandit: Bandit, envs: GanLatentBanditVectorEnv) -> None:
    """What the bandit came to think of every code."""
    tensors = {
        "values": torch.from_numpy(np.array(bandit.values)),
        "probabilities": torch.from_numpy(bandit.probabilities()),
        "codes": envs.core.actions.latents(np.arange(bandit.arms)),
    }
    gan = Path(envs.config.gan)
    beside = gan.name if gan.parent == path.parent else str(gan)  # the run's own GAN moves with its folder
    write_tensors(path, tensors, {"format": "gan-balance latent policy", "gan": beside})
