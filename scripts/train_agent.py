"""Train an agent to balance GANs, choose it on validation instances, grade it on held-out ones.

Example: python scripts/train_agent.py --algo dqn --suite ring
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from stable_baselines3.common.callbacks import BaseCallback
from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from agents.bandit_run import train_bandit
from agents.best_static import best_static_rates
from agents.checkpoint import Checkpoint, Checkpoints
from agents.cli import fail_in_one_line, join_data_dir, parse_overrides, print_known
from agents.cluster import connected
from agents.evaluation import EpisodeRecord, Evaluator, finals, with_rates
from agents.interruption import Interruption
from agents.logging import GanLogger, ProgressBar, RunWriter
from agents.losses import counted_losses
from agents.methods.search import Found
from agents.predictors import NoopPredictor, Predictor, RandomPredictor
from agents.presets import ALGORITHMS, get_preset
from agents.report import comparison_table, evaluation_json, one_sided_warning
from agents.resuming import CONFIG, EVALUATION, folder_of, going_on, parse_options
from agents.run_folder import RunFolder, provenance
from agents.sb3 import check_action_type
from agents.seen_features import SeenFeatures
from agents.statistics import Summary, summarise
from agents.teaching import known_teacher, teach
from agents.training import PolicyTraining
from gan_backbones.threads import available_cores
from gan_env import ActionCodec, EnvConfig, GanInstance, get_suite
from gan_env.shards import PROCESSES, Shards
from gan_env.spaces import action_space


@dataclass(frozen=True)
class Options:
    """Options of train_agent.py. What is not given comes from the preset of the algorithm and the suite."""

    algo: str = "dqn"
    """Learner; --list names all. bandit draws from a frozen GAN: docs/latent.md."""
    suite: str = "faces"
    """Distribution of GAN training problems; --list names all."""
    backbone: str | None = None
    """Another generator/discriminator pair than the suite's, which on a GPU is mspg for images."""
    data: str | None = None
    """Another data set than the suite's, folder:PATH for your own images, or several as NAME+NAME; --list names all."""
    data_dir: Path | None = None
    """Folder of a data set that needs one: --data cifar10 --data-dir DIR is --data cifar10:DIR."""
    loss: str | None = None
    """Another adversarial loss than the suite's."""
    resolution: int | None = None
    """Other pixels than the suite's."""
    total_timesteps: int | None = None
    """Environment steps of training."""
    num_envs: int | None = None
    """GANs trained as one population."""
    seed: int = 0
    """Seed of the agent and of the training instances; held-out instances are fixed."""
    device: str = "cpu"
    """Where the GANs train: cpu, cuda or cuda:INDEX."""
    action_type: str | None = None
    """discrete, multidiscrete, continuous, target or absolute; by default what the algorithm takes."""
    knobs: str | None = None
    """What the agent turns, e.g. lr_g,lr_d,fm_weight."""
    reward: str | None = None
    """Reward preset, or terms with weights, e.g. quality=1,stability=0.02."""
    observation: str | None = None
    """Feature groups joined by '+'; --list names all."""
    teacher: Path | None = None
    """The teacher.json of another run, whose schedule a taught policy begins as; by default a search finds one."""
    cluster: str | None = None
    """Train the GANs on a Ray cluster: local, auto or HOST:PORT; docs/cluster.md."""
    run_dir: Path | None = None
    """Folder to write, new or empty; by default runs/SUITE-ALGO-SEED-TIME."""
    resume: Path | None = None
    """Folder of a run to go on with, from its last checkpoint and with its options."""
    checkpoint_every: float | None = None
    """Seconds between two checkpoints, at least; by default 60, or more where they would take over 2 % of the time."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    env: tuple[str, ...] = ()
    """Other options of the environment as NAME=VALUE, e.g. --env decisions=50 batch_size=32."""
    algo_options: tuple[str, ...] = ()
    """Arguments of the algorithm as NAME=VALUE, e.g. --algo-options learning_rate=1e-3."""
    progress: bool = True
    """Show progress bars."""
    list: bool = False
    """Print every name that the options take, and stop."""


GPU_BACKBONE = "mspg"
"""Of images, where the suite's small pair would leave a GPU idle."""


def main() -> None:
    options = parse_options(Options, __doc__)
    if options.list:
        print_known()
    elif options.algo == "bandit":
        train_bandit(options)
    else:
        train_where(options)


def train_where(options: Options) -> None:
    """:func:`train`, with the GANs in processes of this machine or on a cluster."""
    with connected(options.cluster) as cluster:
        if cluster is None:
            train(options)
        else:
            with cluster.shards() as workers:
                train(options, workers)


def train(options: Options, shards: Shards = PROCESSES) -> None:
    """Prepare, train, choose, grade, report; or go on with it."""
    console = Console(soft_wrap=False, markup=False)
    torch.set_num_threads(1)  # small networks: more threads would wait for each other, and for the population's
    preset = get_preset(options.algo, options.suite)
    total_timesteps = preset.total_timesteps if options.total_timesteps is None else options.total_timesteps
    num_envs = preset.num_envs if options.num_envs is None else options.num_envs
    if num_envs < 1 or total_timesteps < 1:
        raise ValueError(f"--num-envs and --total-timesteps must be at least 1, not {num_envs} and {total_timesteps}")
    config = EnvConfig(**env_options(options, preset.env))
    check_action_type(options.algo, config.action_type)
    if options.teacher is not None and not ALGORITHMS[options.algo].taught:
        raise ValueError(f"--teacher: {options.algo} has no teacher")
    algorithm_options = dict(preset.algorithm) | parse_overrides(options.algo_options, "--algo-options")

    name = f"{options.suite}-{options.algo}-{options.seed}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = folder_of(options, Path("runs") / name, console)
    if folder is None:
        return
    teacher = known_teacher(folder, options.teacher, config)
    if options.resume is not None:
        config = dataclasses.replace(config, workers=workers_of(folder))  # whatever this machine or cluster has now
    elif config.workers is None:
        config = dataclasses.replace(config, workers=max(1, shards.count(config, num_envs)))
    suite = config.resolved_suite()
    names = ", ".join(dict.fromkeys(task.data for task in suite.all_tasks()))
    console.print(f"preparing {names} ...", highlight=False)
    training = PolicyTraining(options.algo, config, num_envs, options.seed, algorithm_options, shards)
    record = (
        provenance(options.device)
        | {"options": dataclasses.asdict(options), "total_timesteps": total_timesteps, "num_envs": num_envs}
        | {"environment": dataclasses.asdict(config), "algorithm": algorithm_options, "suite_settings": vars(suite)}
    )
    console.print(
        f"{options.algo} on {suite.name}: {num_envs} GANs at once, {total_timesteps} steps of "
        f"{training.updates_per_step:g} updates; writing {folder.path} (tensorboard --logdir {folder.path})",
        highlight=False,
    )
    settings = training.settings(total_timesteps, preset.validations)
    with (
        going_on(folder, options, record, console, settings) as (saved, checkpoints, interruption),
        counted_losses(shards, training, folder, console) as watchers,
    ):
        learn_and_grade(options, training, folder, saved, checkpoints, interruption, console, watchers, teacher)
    training.close()


def workers_of(folder: RunFolder) -> int | None:
    """The processes or workers that a run was begun with. Raises ``ValueError`` for a folder of another kind."""
    try:
        workers: int | None = folder.read_json(CONFIG)["environment"]["workers"]
    except (KeyError, TypeError):
        raise ValueError(f"{folder.path} is no run folder of train_agent.py: it tells of no environment") from None
    return workers


def learn_and_grade(
    options: Options,
    training: PolicyTraining,
    folder: RunFolder,
    saved: Checkpoint | None,
    checkpoints: Checkpoints,
    interruption: Interruption,
    console: Console,
    watchers: Sequence[BaseCallback],
    teacher: Found | None,
) -> None:
    """From ``saved`` to the end, :data:`EVALUATION` being the last file that is written."""
    started = time.monotonic()
    total_timesteps, validations = (checkpoints.settings[name] for name in ("timesteps", "validations"))
    if ALGORITHMS[options.algo].taught and saved is None:
        # The search stays on this machine, whatever a cluster has; broken off, it begins anew and finds the same.
        workers = training.evaluator.config.workers if options.cluster is None else available_cores()
        progress, check = options.progress, interruption.check
        teach(training, total_timesteps, options.seed, workers, console, progress, check, folder, teacher)
    writer = SummaryWriter(str(folder.path))
    seen = SeenFeatures(training.evaluator.config.observer(), training.env.num_envs, training.kinds)
    trials = training.learn(
        total_timesteps,
        validations,
        folder.path / "policy.zip",
        callbacks=[
            ProgressBar(total_timesteps, training.updates_per_step, options.progress),
            GanLogger(writer),
            seen,
            *watchers,
        ],
        outputs=[RunWriter(writer, folder)],
        checkpoints=checkpoints,
        saved=saved,
        interruption=interruption,
    )
    chosen, cost = min(trials, key=lambda trial: trial.grade), checkpoints.cost
    console.print(
        f"chose the policy after {chosen.timesteps} steps (validation grade {chosen.grade:.3g}; "
        + ", ".join(f"{trial.timesteps}: {trial.grade:.3g}" for trial in trials)
        + f"); {cost}",
        highlight=False,
    )

    folder.write_json("feature_ranges.json", seen.ranges())
    evaluator = training.evaluator
    suite, metric, test = evaluator.suite, evaluator.metric, evaluator.suite.instances("test")
    records = grade(options.algo, training.model, evaluator, test, options, interruption)
    grades = {method: finals(rows) for method, rows in records.items()}
    summaries = summarise(grades)
    trial_records = [vars(trial) for trial in trials]
    validation = {"chosen_at": chosen.timesteps, "trials": trial_records, "checkpoints": cost.record()}
    folder.write_json("validation.json", validation)
    record_hyperparameters(writer, options, checkpoints.settings["algorithm options"], summaries, chosen.grade)
    writer.close()
    folder.write_json(EVALUATION, evaluation_json(suite.name, metric, test, summaries))
    console.print(comparison_table(options.algo, suite.name, metric, summaries, grades))
    if warning := one_sided_warning(options.algo, records[options.algo], evaluator.config.knobs):
        console.print(warning, style="yellow", highlight=False)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    console.print(f"done in {minutes} min {seconds} s; {folder.path / EVALUATION} holds every number", highlight=False)


def env_options(options: Options, preset: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the environment: the preset's, then the command line's, then those of --env."""
    given = {
        name: getattr(options, name)
        for name in ("backbone", "loss", "resolution", "knobs", "reward", "observation")
        if getattr(options, name) is not None
    }
    data = join_data_dir(options.data, options.data_dir)
    if data is not None:
        given["data"] = data
    action_type = options.action_type or ALGORITHMS[options.algo].action_types[0]
    fixed = {
        "suite": options.suite,
        "device": options.device,
        "cache_dir": options.cache_dir and options.cache_dir.absolute(),
        "progress": options.progress,
        "action_type": action_type,
        # How many a cluster has, it says itself.
        "workers": available_cores() if options.device == "cpu" and options.cluster is None else None,
    }
    others = parse_overrides(options.env, "--env")
    unknown = sorted(set(others) - set(EnvConfig.__dataclass_fields__))
    if unknown:
        raise ValueError(f"--env: unknown option {unknown[0]!r}; known: {', '.join(EnvConfig.__dataclass_fields__)}")
    chosen = dict(preset) | fixed | given | others
    problem = EnvConfig(**chosen | {"device": "cpu", "precision": "float32"}).resolved_suite()
    if options.device.startswith("cuda") and all(task.resolution for task in problem.all_tasks()):
        return {"backbone": GPU_BACKBONE} | chosen
    return chosen


def grade(
    name: str,
    policy: Predictor,
    evaluator: Evaluator,
    test: Sequence[GanInstance],
    options: Options,
    interruption: Interruption,
) -> dict[str, list[EpisodeRecord]]:
    """Play the policy and the reference methods on the test instances."""
    own, turns = evaluator.codec, ActionCodec("discrete", evaluator.config.knobs, evaluator.config.moves)
    noop = NoopPredictor(turns)  # whatever the agent's action type
    methods: dict[str, tuple[Predictor, Sequence[GanInstance], ActionCodec]] = {
        name: (policy, test, own),
        "noop": (noop, test, turns),
        "random": (RandomPredictor(action_space(own), options.seed), test, own),
    }
    as_published = evaluator.suite == get_suite(options.suite)
    rates = best_static_rates(options.suite) if as_published else None
    if rates is not None:
        methods["best_static"] = (noop, with_rates(test, *rates), turns)
    total = sum(sum(i.decisions * i.updates_per_step for i in instances) for _, instances, _ in methods.values())
    with tqdm(
        total=total, unit="update", desc="grading", disable=None if options.progress else True, dynamic_ncols=True
    ) as bar:

        def on_step(updates: int) -> None:
            bar.update(updates)
            interruption.check()  # training is saved; grading begins anew and gives the same

        return {
            method: evaluator.evaluate(predictor, instances, on_step, codec)
            for method, (predictor, instances, codec) in methods.items()
        }


def record_hyperparameters(
    writer: SummaryWriter,
    options: Options,
    algorithm_options: Mapping[str, Any],
    summaries: Mapping[str, Summary],
    validation_grade: float,
) -> None:
    """Fill TensorBoard's HPARAMS tab."""
    settings = {"algo": options.algo, "suite": options.suite, "seed": options.seed} | {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in algorithm_options.items()
    }
    ours = summaries[options.algo]
    metrics = {
        "hparam/iqm": ours.iqm,
        "hparam/median": ours.median,
        "hparam/p90": ours.p90,
        "hparam/validation_grade": validation_grade,
    }
    writer.add_hparams(settings, metrics, run_name=".")


if __name__ == "__main__":
    fail_in_one_line(main)
