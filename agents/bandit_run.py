"""``train_agent.py --algo bandit``: trains or loads a GAN, lets a bandit draw from it, and grades what it draws."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from agents.bandit_teams import make_team
from agents.bandit_training import PullRecord, make_bandit_env, pull
from agents.bandits import Bandit, make_bandit
from agents.cli import join_data_dir, parse_overrides
from agents.latent_gans import GanRow, GanSizes, GanTrainer
from agents.report import comparison_table
from agents.run_folder import RunFolder, provenance
from agents.statistics import Summary, summarise
from gan_backbones.data import DataSet
from gan_backbones.metrics import extract, judge, load_reference, name_number
from gan_backbones.tensor_file import write_tensors
from gan_env.frozen_gan import FrozenGan, data_name_of
from gan_env.latent_config import BanditConfig
from gan_env.latent_env import GanLatentBanditVectorEnv
from gan_env.latent_reward import parse_latent_reward
from gan_env.quality import cached_data
from gan_env.render import image_grid

_PULLS, _NUM_ENVS = 20_000, 32
_GAN_OPTIONS = {f"gan_{field.name}": field.name for field in dataclasses.fields(GanSizes)}
_LEFT_OUT = ("backbone", "loss", "action_type", "knobs", "observation", "cluster", "checkpoint_every")
"""Options of the other algorithms."""
_GRADES, _GRADE_IMAGES = 8, 256
_TOP = 0.1
_SHOWN = 64


@dataclass(frozen=True)
class BanditSettings:
    """What the command line says, sorted out. A mistake raises ``ValueError`` in one line."""

    data: str | None
    resolution: int | None
    sizes: GanSizes
    environment: dict[str, Any]
    learner: str
    team: str | None
    learner_options: dict[str, Any]
    pulls: int
    num_envs: int

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> BanditSettings:
        """From the options of ``train_agent.py``, by name.

        ``--env`` takes the fields of :class:`~gan_env.latent_config.BanditConfig` and, for a GAN that is to be
        trained, ``gan_updates``, ``gan_width``, ``gan_batch_size`` and ``gan_latent_size``; ``--algo-options`` takes
        ``learner``, ``team`` and the options of the learner.
        """
        for name in _LEFT_OUT:
            if options[name] is not None:
                raise ValueError(f"--{name.replace('_', '-')} is not for --algo bandit; see docs/latent.md")
        if options["suite"] != "faces":
            raise ValueError("--suite is not for --algo bandit; --data names what the GAN is trained on")
        environment = parse_overrides(options["env"], "--env")
        known = {field.name for field in dataclasses.fields(BanditConfig)}
        unknown = sorted(set(environment) - known - set(_GAN_OPTIONS))
        if unknown:
            raise ValueError(
                f"--env: unknown option {unknown[0]!r}; known: {', '.join(sorted(known | {*_GAN_OPTIONS}))}"
            )
        sizes = {_GAN_OPTIONS[name]: environment.pop(name) for name in _GAN_OPTIONS if name in environment}
        for name, value in sizes.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"gan_{name} must be a whole number of at least 1, not {value!r}")
        if "gan" in environment and (sizes or options["resolution"] is not None):
            raise ValueError("a GAN that is loaded has its own resolution and sizes; leave them out beside gan=PATH")
        for name in ("reward", "cache_dir"):
            if options[name] is not None:
                environment[name] = options[name]
        environment |= {"device": options["device"], "progress": options["progress"]}
        learning = parse_overrides(options["algo_options"], "--algo-options")
        learner, team = learning.pop("learner", "ema"), learning.pop("team", None)
        pulls = _PULLS if options["total_timesteps"] is None else options["total_timesteps"]
        num_envs = _NUM_ENVS if options["num_envs"] is None else options["num_envs"]
        if num_envs < 1 or pulls < 1:
            raise ValueError(f"--num-envs and --total-timesteps must be at least 1, not {num_envs} and {pulls}")
        data = join_data_dir(options["data"], options["data_dir"])
        settings = cls(
            data, options["resolution"], GanSizes(**sizes), environment, learner, team, learning, pulls, num_envs
        )
        # A mistake in these is told before a GAN is trained.
        config = BanditConfig(**{"gan": "to be trained"} | environment)
        settings.bandit(config.codes, list(parse_latent_reward(config.reward)), seed=0)
        return settings

    def bandit(self, codes: int, terms: list[str], seed: int) -> Bandit:
        """The learner, or the team of learners."""
        if self.team is None:
            return make_bandit(self.learner, codes, seed, self.learner_options)
        return make_team(self.team, self.learner, terms, codes, seed, member_options=self.learner_options)


def train_bandit(options: Mapping[str, Any]) -> None:
    """Prepare, train, draw, grade, report; ``options`` are those of ``train_agent.py`` by name."""
    settings = BanditSettings.of(options)
    console = Console(soft_wrap=False, markup=False)
    torch.set_num_threads(1)  # the population has threads of its own
    started, seed = time.monotonic(), options["seed"]
    name = f"latent-bandit-{seed}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = RunFolder(options["run_dir"] or Path("runs") / name)
    environment = dict(settings.environment)
    loads = "gan" in environment
    if loads:
        envs = make_bandit_env(settings.num_envs, environment)
        folder.create()
    else:
        data = cached_data(settings.data or "faces", settings.resolution, options["cache_dir"], options["progress"])
        if not data.is_image:
            raise ValueError(f"data set {data.name!r} holds points; --algo bandit draws images")
        folder.create()
        environment["gan"] = str(_train_gan(settings, data, folder, options, console))
        envs = make_bandit_env(settings.num_envs, environment)
    gan = envs.core.gan
    data = cached_data(
        data_name_of(gan, settings.data), gan.meta.sample_shape[-1], options["cache_dir"], options["progress"]
    )
    bandit = settings.bandit(envs.config.codes, list(envs.core.weights), seed)
    algorithm = {"learner": settings.learner, "team": settings.team} | settings.learner_options
    folder.write_json(
        "config.json",
        provenance(options["device"])
        | {"options": dict(options), "total_timesteps": settings.pulls, "num_envs": settings.num_envs}
        | {"environment": environment, "algorithm": algorithm, "gan": dataclasses.asdict(gan.meta)},
    )
    console.print(
        f"{settings.team or settings.learner} on {envs.config.codes} codes, {settings.pulls} pulls; "
        f"writing {folder.path} (tensorboard --logdir {folder.path})",
        highlight=False,
    )
    writer = SummaryWriter(str(folder.path))
    record = _learn(envs, bandit, settings.pulls, seed, folder, writer, show=options["progress"])
    policies = _policies(bandit)
    for method, policy in policies.items():
        latents = _latents_of(envs, policy, _SHOWN, seed=seed)
        writer.add_image(f"draws/{method}", image_grid(gan.sample(latents)), settings.pulls, dataformats="HWC")
    _save_policy(folder.path / "policy.safetensors", bandit, envs)
    grades, metric = _grade(gan, envs, policies, data, options)
    summaries = summarise(grades)
    folder.write_json("evaluation.json", _evaluation(metric, summaries, record, envs))
    settings_shown = {
        key: value if isinstance(value, int | float | str) else str(value) for key, value in algorithm.items()
    }
    best = {f"hparam/{key.replace('/', '_')}": value for key, value in record.curves().items()}
    writer.add_hparams(settings_shown, best | {"hparam/iqm": summaries["bandit"].iqm}, run_name=".")
    writer.close()
    console.print(comparison_table("bandit", f"latents on {data.name}", metric, summaries, grades))
    console.print(
        "bandit: its policy as trained; top: the tenth of the codes with the largest values; random: N(0, I). "
        "A policy that keeps to few codes makes likely images and little variety, which this distance punishes.",
        highlight=False,
    )
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    console.print(
        f"done in {minutes} min {seconds} s; {folder.path / 'evaluation.json'} holds every number", highlight=False
    )
    envs.close()


def _train_gan(
    settings: BanditSettings, data: DataSet, folder: RunFolder, options: Mapping[str, Any], console: Console
) -> Path:
    sizes = settings.sizes
    console.print(f"training a GAN on {data.name}: {sizes.updates} updates ...", highlight=False)
    trainer = GanTrainer([GanRow(data, options["seed"])], sizes, options["device"])
    trainer.train(progress=options["progress"])
    if trainer.records[0].diverged:
        raise ValueError("the GAN diverged; try another seed, or load a GAN by --env gan=PATH")
    path = trainer.save(0, folder.path / "gan.safetensors", {})
    trainer.close()
    return path


def _learn(
    envs: GanLatentBanditVectorEnv,
    bandit: Bandit,
    pulls: int,
    seed: int,
    folder: RunFolder,
    writer: SummaryWriter,
    *,
    show: bool,
) -> PullRecord:
    with tqdm(total=pulls, unit="pull", desc="pulling", disable=None if show else True, dynamic_ncols=True) as bar:

        def on_point(record: PullRecord) -> None:
            for name, value in record.curves().items():
                writer.add_scalar(name, value, record.at[-1])
            folder.append_stats({"step": record.at[-1], **record.curves()})
            bar.update(record.at[-1] - bar.n)

        return pull(envs, bandit, pulls, seed=seed, on_point=on_point)


def _policies(bandit: Bandit) -> dict[str, NDArray[np.float64]]:
    """``(K,)`` probabilities by method; random draws are no policy over codes and are left out."""
    top = np.argsort(bandit.values)[-max(1, round(_TOP * bandit.arms)) :]
    uniform = np.zeros(bandit.arms)
    uniform[top] = 1 / len(top)
    return {"bandit": bandit.probabilities(), "top": uniform}


def _latents_of(envs: GanLatentBanditVectorEnv, policy: NDArray[np.float64], count: int, seed: int) -> Tensor:
    """Latents drawn by a policy over the codes, with the environment's noise."""
    rng = np.random.default_rng(seed)
    codes = envs.core.actions.latents(rng.choice(len(policy), size=count, p=policy / policy.sum()))
    noise = rng.standard_normal(codes.shape, dtype=np.float32)
    return codes + envs.config.noise * torch.from_numpy(noise)


def _grade(
    gan: FrozenGan,
    envs: GanLatentBanditVectorEnv,
    policies: Mapping[str, NDArray[np.float64]],
    data: DataSet,
    options: Mapping[str, Any],
) -> tuple[dict[str, NDArray[np.float64]], str]:
    extractor = judge()
    reference = load_reference(data, extractor, cache_dir=options["cache_dir"], progress=options["progress"])

    def distance(latents: Tensor) -> float:
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
    write_tensors(path, tensors, {"format": "gan-balance latent policy", "gan": str(envs.config.gan)})
