"""Train one GAN, its knobs turned by a rule or by a trained agent, and score it.

Any backbone on any data set. Controllers: none, or noop, leaves the knobs alone; cosine is a schedule of the rates;
apfl watches the accuracies; a run folder of train_agent.py is asked what to do. --list names all.

Examples:
    python scripts/train_gan.py --data faces --resolution 32 --controller cosine --updates 4000
    python scripts/train_gan.py --backbone mspg --backbone-options width=16 lite=True --grow 0.5 --controller apfl
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from agents.checkpoint import Checkpoint, Checkpoints
from agents.cli import fail_in_one_line, join_data_dir, parse_overrides
from agents.controllers import find_controller
from agents.gan_log import GanLog, point_scores
from agents.gan_training import GanTraining
from agents.growth import Growth, scales_of
from agents.interruption import Interruption
from agents.report import score_table
from agents.restoring import Each, require_like, restoring
from agents.resuming import folder_of, going_on, parse_options
from agents.rules import RULES
from agents.run_folder import RunFolder, provenance
from agents.tree_file import Tree
from gan_backbones.metrics import Extractor, Score, Subject, make_extractor, score_images
from gan_backbones.metrics.generated import draw_images
from gan_backbones.metrics.scores import as_record, check_measures
from gan_env import KNOBS, EnvConfig
from gan_env.instances import Task
from gan_env.knobs import RATE_KNOBS
from gan_env.observation import parse_groups
from gan_env.quality import cached_data

_PROXY_SAMPLES = 256  # of the diversity that a rule may see


@dataclass(frozen=True)
class Options:
    """Options of train_gan.py."""

    data: str = "faces"
    """Data set, folder:PATH for your own images, or several as NAME+NAME; train_agent.py --list names all."""
    data_dir: Path | None = None
    """Folder of a data set that needs one: --data cifar10 --data-dir DIR is --data cifar10:DIR."""
    resolution: int | None = None
    """Pixels of a side; by default the data set's."""
    backbone: str = "dcgan"
    """Generator/discriminator pair; mlp is the one for points."""
    backbone_options: tuple[str, ...] = ()
    """Its options as NAME=VALUE, e.g. --backbone-options width=16 latent_size=64."""
    loss: str = "nonsaturating"
    """Adversarial loss."""
    controller: str = "noop"
    """Who turns the knobs: a rule, --list names all, or a run folder of train_agent.py."""
    knobs: str | None = None
    """What a rule may turn, by default lr_g,lr_d; some rules and every trained agent have their own."""
    observation: str | None = None
    """What a rule sees, by default default; with default+quality, apfl perceives the diversity, too."""
    constants: tuple[str, ...] = ()
    """Other knobs at a value, as NAME=VALUE, e.g. --constants r1_weight=0.1 aux_weight=0.1."""
    lr_g: float = KNOBS["lr_g"].default
    """Learning rate of the generator at the start."""
    lr_d: float = KNOBS["lr_d"].default
    """Learning rate of the discriminator at the start."""
    batch_size: int = 16
    """Real images per update, and as many generated ones."""
    updates: int = 5000
    """GAN updates; a multiple of --updates-per-decision."""
    updates_per_decision: int = 20
    """GAN updates between two decisions of the controller."""
    grow: float = 0.0
    """Share of the training in which mspg grows from 8 pixels to its resolution; 0: all scales from the start."""
    ema_halflife: float = 0.0
    """Updates after which weights count half in an average of the generator's, which is scored, too; 0: none."""
    snapshots: int = 10
    """How many times pictures are drawn, a distance is measured and the checkpoint is written."""
    snapshot_samples: int = 1024
    """Samples of such a distance."""
    metrics: str = "fd,kid,prdc"
    """Final scores of images, as for evaluate.py."""
    extractor: str = "efficientnet-lite0@64/6"
    """Network whose features the final scores compare, as for evaluate.py."""
    samples: int = 5000
    """Images of the final scores."""
    real: int = 10_000
    """Real images to compare with, at most."""
    seed: int = 0
    """Seed of weights, latents and batches."""
    device: str = "cpu"
    """Where the GAN trains: cpu, cuda or cuda:INDEX."""
    precision: str = "float32"
    """Of products in training: float32, bfloat16 or, on a GPU, tf32."""
    run_dir: Path | None = None
    """Folder to write, new or empty; by default runs/gan-DATA-BACKBONE-CONTROLLER-SEED-TIME."""
    resume: Path | None = None
    """Run folder of a run that was stopped or killed: go on with it, as if it had not been. Other options stay."""
    checkpoint_every: float | None = None
    """Seconds between two checkpoints, at least; by default 60, or more where they would take over 2 % of the time."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    progress: bool = True
    """Show progress bars."""
    list: bool = False
    """Print every rule that may turn the knobs, and stop."""

    @property
    def decisions(self) -> int:
        """Decisions of the controller."""
        return self.updates // self.updates_per_decision


def main() -> None:
    options = parse_options(Options, __doc__)
    if options.list:
        print_rules()
    else:
        train(options)


def train(options: Options) -> None:
    """Prepare, train, score; or go on with it."""
    check(options)
    torch.set_num_threads(1)  # the population has threads of its own
    console = Console(soft_wrap=False, markup=False)
    data_name = join_data_dir(options.data, options.data_dir) or options.data
    data = cached_data(data_name, options.resolution, options.cache_dir, options.progress)
    task = task_of(options, data_name)
    growth = Growth(scales_of(task, data.sample_shape), options.grow) if options.grow else None
    controller = find_controller(options.controller)
    config = config_of(options, controller.settings, growth)
    extractor = make_extractor(options.extractor).to(options.device)
    name = f"gan-{options.data.partition(':')[0]}-{options.backbone}-{Path(options.controller).name}-{options.seed}"
    folder = folder_of(options, Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}", console)
    if folder is None:
        return
    training = GanTraining(
        config,
        task,
        task.instance(options.lr_g, options.lr_d, options.seed),
        controller.build(config),
        growth=growth,
        ema_halflife=options.ema_halflife,
    )
    record = provenance(options.device) | {"options": dataclasses.asdict(options)}
    record |= {"environment": dataclasses.asdict(config)}
    with going_on(folder, options, record, console, data=[data]) as (saved, checkpoints, interruption):
        console.print(f"writing {folder.path} (tensorboard --logdir {folder.path})", highlight=False)
        seconds = run(options, training, folder, saved, checkpoints, interruption, console)
        grade(options, training, folder, extractor, seconds, interruption, console)
    training.close()


def run(
    options: Options,
    training: GanTraining,
    folder: RunFolder,
    saved: Checkpoint | None,
    checkpoints: Checkpoints,
    interruption: Interruption,
    console: Console,
) -> float:
    """From ``saved`` to the end of the training; gives the seconds that it took, before a stop, too."""
    started, before, first = time.monotonic(), 0.0, 1
    latents = training.draw(options.snapshot_samples, options.seed)
    log = GanLog(folder, training, latents, console)
    if saved is not None:
        with restoring():
            require_like(saved.tree, {"training": None, "told": Each(""), "seconds": 0.0})
            training.set_state(saved.tree["training"])
            log.told, before, first = saved.tree["told"], saved.tree["seconds"], saved.step + 1

    def state() -> Tree:
        log.writer.flush()
        seconds = before + time.monotonic() - started
        return {"training": training.get_state(), "told": log.told, "seconds": seconds}

    looks = {round(options.decisions * (index + 1) / options.snapshots) for index in range(options.snapshots)}
    notes = {"data": training.core.data_of(0).name, "controller": options.controller, "seed": options.seed}
    hidden = None if options.progress else True
    bar = tqdm(total=options.updates, initial=training.updates, unit="update", disable=hidden, dynamic_ncols=True)
    for decision in range(first, options.decisions + 1):
        if training.ended:
            break
        log.decision(training.step())
        bar.update(options.updates_per_decision)
        if decision in looks and not training.ended:
            bar.set_postfix_str(f"distance {log.look():.4g}")
            training.save(folder.path, notes)
        if training.ended or decision == options.decisions:
            checkpoints.save(decision, state)
        else:
            checkpoints.offer(decision, state, interruption)
    bar.close()
    log.writer.close()
    return before + time.monotonic() - started


def grade(
    options: Options,
    training: GanTraining,
    folder: RunFolder,
    extractor: Extractor,
    seconds: float,
    interruption: Interruption,
    console: Console,
) -> None:
    """Score what was trained; ``evaluation.json`` is the last file that is written.

    The training is saved; after a stop, scoring begins anew and gives the same.
    """
    data = training.core.data_of(0)
    scores: dict[str, list[Score]] = {}
    for weights, generator in training.generators().items() if training.ended is None else ():
        interruption.check()
        if data.is_image:
            images = draw_images(
                generator,
                training.core.population.latent_size,
                options.samples,
                seed=options.seed,
                device=options.device,
                progress=options.progress,
            )
            interruption.check()
            subject = Subject(
                images,
                data,
                extractor,
                real_count=options.real,
                seed=options.seed,
                cache_dir=options.cache_dir,
                progress=options.progress,
            )
            scores[weights] = score_images(subject, options.metrics.split(","))
        else:
            latents = training.draw(options.snapshot_samples, options.seed)
            scores[weights] = point_scores(training, generator, latents)
        console.print(score_table(scores[weights], f"{weights} weights against {data.name}"))
    interruption.check()
    folder.write_json(
        "evaluation.json",
        {
            "data": data.name,
            "updates": training.updates,
            "ended": training.ended,
            "training_seconds": round(seconds, 1),
            "scores": {weights: as_record(rows) for weights, rows in scores.items()},
        },
    )
    if training.ended:
        console.print(f"the GAN {training.ended} at update {training.updates}; nothing is scored", style="yellow")


def check(options: Options) -> None:
    """Raise ``ValueError`` for numbers that make no sense."""
    if min(options.updates, options.updates_per_decision) < 1 or options.updates % options.updates_per_decision:
        raise ValueError(
            f"--updates must be a multiple of --updates-per-decision, not {options.updates} of "
            f"{options.updates_per_decision}"
        )
    if options.snapshots < 1 or min(options.samples, options.snapshot_samples) < 2:
        raise ValueError("--snapshots must be at least 1, --samples and --snapshot-samples at least 2")
    if not 0 <= options.ema_halflife < math.inf:
        raise ValueError(f"--ema-halflife must be a number of updates, not {options.ema_halflife}")
    if not 0 <= options.grow <= 1 - 1 / options.decisions:
        raise ValueError(f"--grow must lie in [0, {1 - 1 / options.decisions:g}], so that the end sees every scale")
    check_measures(options.metrics.split(","))


def task_of(options: Options, data: str) -> Task:
    """The training problem that the options describe."""
    return Task(
        data=data,
        resolution=options.resolution,
        backbone=options.backbone,
        backbone_options=tuple(sorted(parse_overrides(options.backbone_options, "--backbone-options").items())),
        batch_size=options.batch_size,
        updates_per_step=options.updates_per_decision,
        decisions=options.decisions,
        metric="",
        worst_grade=math.inf,
        worst_proxy=10.0,
        proxy_samples=_PROXY_SAMPLES,
        grade_samples=options.snapshot_samples,
        loss=options.loss,
    )


def config_of(options: Options, needed: Mapping[str, Any], growth: Growth | None) -> EnvConfig:
    """The environment's options: what the controller needs, then the command line's."""
    given = {name: getattr(options, name) for name in ("knobs", "observation") if getattr(options, name) is not None}
    for name in given:
        if name in needed:
            raise ValueError(f"--{name} is not to be chosen: controller {options.controller!r} has {needed[name]!r}")
    settings = {"knobs": RATE_KNOBS, "observation": "default"} | given | dict(needed)
    constants = parse_overrides(options.constants, "--constants")
    if growth is not None:
        if "stage" in constants:
            raise ValueError("--grow sets the knob 'stage'; leave it out of --constants")
        constants["stage"] = growth.stage(0.0)
    return EnvConfig(
        **settings,
        constants=tuple(constants.items()),
        reward="stability",  # nobody looks at it, and it needs no proxy
        measure_quality="quality" in parse_groups(settings["observation"]),
        loss=options.loss,
        device=options.device,
        precision=options.precision,
        cache_dir=options.cache_dir,
        progress=options.progress,
    )


def print_rules() -> None:
    """Every rule with its kind."""
    table = Table("controller", "kind", "what it does", box=None, padding=(0, 2, 0, 0))
    for name, rule in RULES.items():
        table.add_row(name, rule.kind, escape(rule.description))
    Console().print(table, highlight=False)


if __name__ == "__main__":
    fail_in_one_line(main)
