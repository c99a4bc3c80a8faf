"""Train an autoregressive generator of images in three stages, the last by reinforced adversarial learning (RAL).

vqvae: an autoencoder with a codebook. prior: a causal transformer over its codes, by maximum likelihood. ral: the same
transformer by a policy gradient with a patch discriminator's scores as rewards (arXiv 2007.09923).

Examples:
    python scripts/train_ral.py --data faces --stage vqvae,prior,ral
    python scripts/train_ral.py --stage ral --start runs/ral-faces-0 --ral.likelihood-weight 0.5
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter
from torchvision.utils import make_grid
from tqdm import tqdm

from agents.cli import fail_in_one_line
from agents.ral import RalOptions, RalTrainer
from agents.ral.course import STAGES, Stages
from agents.ral.grading import GRADED, grade, grade_vqvae, tables
from agents.ral.images import (
    Grader,
    Split,
    decode_all,
    encode_all,
    load_weights,
    save_weights,
    split_images,
    to_pixels,
)
from agents.ral.pretraining import train_prior, train_vqvae
from agents.ral.rendering import Against, DecodedImages
from agents.resuming import folder_of, going_on, parse_options
from agents.run_folder import RunFolder, provenance
from gan_backbones.data import load_data
from gan_backbones.patch_critic import PatchCritic, PatchCriticOptions
from gan_backbones.prior import CodePrior, PriorOptions, batched_nll
from gan_backbones.vqvae import VqVae, VqVaeOptions
from gan_env.config import check_device

_SHOWN = 32  # images in a picture
_EVERY = 50  # updates between two points of stats.jsonl
_GRADED_EVERY = 100  # updates of RAL between two distances


@dataclass(frozen=True)
class Options:
    """Options of train_ral.py."""

    data: str = "faces"
    """Images; folder:PATH for your own."""
    resolution: int = 32
    """Pixels of a side."""
    stage: str = "vqvae,prior,ral"
    """Stages to train, in this order; the others are read from --start."""
    start: Path | None = None
    """Run folder whose stages stand for those that are not trained; of the same sizes and seed."""
    vqvae: VqVaeOptions = field(default_factory=VqVaeOptions)
    """Sizes of the autoencoder."""
    prior: PriorOptions = field(default_factory=lambda: PriorOptions(channels=64, layers=3, heads=4))
    """Sizes of the transformer."""
    critic: PatchCriticOptions = field(default_factory=PatchCriticOptions)
    """Sizes of the discriminator."""
    vqvae_updates: int = 4000
    """Updates of the autoencoder."""
    prior_updates: int = 3000
    """Updates of maximum likelihood; the best weights on validation images are kept."""
    ral_updates: int = 250
    """Updates of RAL after its warm-up."""
    ral: RalOptions = field(
        default_factory=lambda: RalOptions(
            batch_size=128, critic_learning_rate=5e-4, penalty_weight=1.0, warm_up=50, likelihood_weight=2.0
        )
    )
    """How RAL tunes."""
    against: Against = "reconstructions"
    """What decoded samples stand against: reconstructions, or images (where the decoder is tuned, too)."""
    decoder_learning_rate: float = 0.0
    """Of the decoder's joint tuning; 0 leaves it alone."""
    reconstruction_weight: float = 10.0
    """Of the squared error in the decoder's tuning."""
    samples: int = 1024
    """Images per graded distance."""
    seed: int = 0
    """Seed of weights, batches and samples; the data are always the same."""
    device: str = "cpu"
    """cpu, cuda or cuda:INDEX."""
    run_dir: Path | None = None
    """Folder to write, new or empty; by default runs/ral-DATA-SEED-TIME."""
    resume: Path | None = None
    """Run folder of a run that was stopped or killed: go on with it, as if it had not been. Other options stay."""
    checkpoint_every: float | None = None
    """Seconds between two checkpoints, at least; by default 60, or more where they would take over 2 % of the time."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    progress: bool = True
    """Show progress bars."""


class Log:
    """TensorBoard, ``stats.jsonl`` and the progress bar of one stage."""

    def __init__(self, writer: SummaryWriter, folder: RunFolder, stage: str, total: int, progress: bool) -> None:
        self.writer, self.folder, self.stage = writer, folder, stage
        self.bar = tqdm(total=total, desc=stage, disable=None if progress else True, dynamic_ncols=True)

    def __call__(self, update: int, figures: dict[str, float]) -> None:
        self.bar.update(update - self.bar.n)
        for name, value in figures.items():
            self.writer.add_scalar(f"{self.stage}/{name}", value, update)
        if update % _EVERY == 0 or update == self.bar.total:
            self.folder.append_stats({"stage": self.stage, "update": update} | figures)
        if update == self.bar.total:
            self.bar.close()


def add_picture(writer: SummaryWriter, name: str, images: Tensor, update: int) -> None:
    """Images in [-1, 1] as a grid."""
    writer.add_image(name, make_grid((images.cpu() + 1) / 2, nrow=8, padding=1).clamp(0, 1), update)


def main() -> None:
    train(parse_options(Options, __doc__))


def train(options: Options) -> None:
    """Prepare, train or read every stage, grade, report; or go on with it."""
    torch.set_num_threads(1)
    console, device, stages = Console(markup=False), check_device(options.device), check(options)
    folder = folder_of(options, Path("runs") / name_of(options), console)
    if folder is None:
        return
    data = load_data(
        options.data, resolution=options.resolution, cache_dir=options.cache_dir, progress=options.progress
    )
    split = split_images(data)
    grader = Grader(data, options.cache_dir, progress=options.progress)
    draws = [torch.Generator().manual_seed(3 * options.seed + index) for index in range(3)]  # one per stage
    vqvae = VqVae(data.sample_shape[0], data.sample_shape[1], options.vqvae, draws[0]).to(device)
    prior = CodePrior(vqvae.codes, vqvae.length, options.prior, draws[1]).to(device)
    for stage, module in (("vqvae", vqvae), ("prior", prior)):
        if stage not in stages and options.start is not None:
            load_weights(options.start / f"{stage}.safetensors", module)
    vqvae.eval()
    record = provenance(options.device) | {"options": dataclasses.asdict(options)}
    with going_on(folder, options, record, console, data=[data]) as (saved, checkpoints, interruption):
        writer = SummaryWriter(str(folder.path))
        lengths = {"vqvae": options.vqvae_updates, "prior": options.prior_updates}
        lengths["ral"] = options.ral.warm_up + options.ral_updates
        console.print(f"writing {folder.path} (tensorboard --logdir {folder.path})", highlight=False)
        course = Stages(checkpoints, interruption, writer, saved, lengths)
        results = run(options, stages, folder, writer, course, (vqvae, prior), split, grader, draws)
        folder.write_json("evaluation.json", results)
        writer.close()
    for view in tables(options.data, results):
        console.print(view)


def run(
    options: Options,
    stages: tuple[str, ...],
    folder: RunFolder,
    writer: SummaryWriter,
    course: Stages,
    networks: tuple[VqVae, CodePrior],
    split: Split,
    grader: Grader,
    draws: list[torch.Generator],
) -> dict[str, Any]:
    """Every stage that is left, and the grades."""
    vqvae, prior = networks
    files = {stage: folder.path / f"{stage}.safetensors" for stage in STAGES}

    def log(stage: str, total: int) -> Log:
        return Log(writer, folder, stage, total, options.progress)

    if course.passed("vqvae"):
        load_weights(files["vqvae"], vqvae)
    elif "vqvae" in stages:
        report, kept, before = log("vqvae", options.vqvae_updates), course.keep("vqvae"), course.state("vqvae")
        train_vqvae(vqvae, split.training, options.vqvae_updates, draws[0], report, keep=kept, saved=before)
    codes = {part: encode_all(vqvae, images) for part, images in vars(split).items()}
    if not course.passed("vqvae"):
        save_weights(files["vqvae"], vqvae)
        shown = split.test[:_SHOWN]
        both = torch.cat([to_pixels(shown), decode_all(vqvae, codes["test"][:_SHOWN]).cpu()])
        add_picture(writer, "vqvae/reconstructions", both, options.vqvae_updates)
    if course.passed("prior"):
        load_weights(files["prior"], prior)
    else:
        if "prior" in stages:
            report, kept, before = log("prior", options.prior_updates), course.keep("prior"), course.state("prior")
            train_prior(
                prior,
                codes["training"],
                codes["validation"],
                options.prior_updates,
                draws[1],
                report,
                keep=kept,
                saved=before,
            )
        save_weights(files["prior"], prior)
    course.check()  # all stages are saved; grading begins anew and gives the same
    results: dict[str, Any] = {"autoencoder": grade_vqvae(vqvae, split, codes, grader, options.samples)}
    models = {"ml": (prior, vqvae)}
    if "ral" in stages:
        decoder = copy.deepcopy(vqvae)
        report = log("ral", options.ral.warm_up + options.ral_updates)
        tuned = tune(copy.deepcopy(prior), decoder, split, codes, grader, draws[2], report, options, course)
        save_weights(files["ral"], tuned)
        save_weights(folder.path / "decoder.safetensors", decoder)
        models |= {"ral": (tuned, decoder)}
        if options.decoder_learning_rate > 0:
            models |= {"ml_tuned_decoder": (prior, decoder), "ral_first_decoder": (tuned, vqvae)}
    results["models"] = {}
    for name, pair in tqdm(models.items(), desc="grading", disable=None if options.progress else True):
        course.check()
        results["models"][name] = grade(*pair, codes["test"], grader, options.samples, options.seed)
    course.check()
    return results | {"metric": f"{grader.name}, n={options.samples}", "seconds": course.seconds}


def check(options: Options) -> tuple[str, ...]:
    """The stages to train. Raises ``ValueError`` for what makes no sense."""
    stages = tuple(name.strip() for name in options.stage.split(","))
    unknown = sorted(set(stages) - set(STAGES))
    if unknown or list(stages) != [stage for stage in STAGES if stage in stages]:
        raise ValueError(f"--stage takes {', '.join(STAGES)}, in this order, not {options.stage!r}")
    if STAGES[0] not in stages and options.start is None:
        raise ValueError(f"--stage {options.stage} needs --start, the run folder of the stages before it")
    if "vqvae" in stages and "prior" not in stages and "ral" in stages:
        raise ValueError("a new vqvae has other codes; train the prior, too: --stage vqvae,prior,ral")
    if min(options.vqvae_updates, options.prior_updates, options.ral_updates) < 1 or options.samples < 2:
        raise ValueError("--vqvae-updates, --prior-updates and --ral-updates must be at least 1, --samples 2")
    if min(options.decoder_learning_rate, options.reconstruction_weight) < 0:
        raise ValueError("--decoder-learning-rate and --reconstruction-weight must not be negative")
    return stages


def name_of(options: Options) -> str:
    """The run folder's name by default."""
    data = options.data.partition(":")[0]
    return f"ral-{data}-{options.seed}-{datetime.now():%Y%m%d-%H%M%S}"


def tune(
    prior: CodePrior,
    vqvae: VqVae,
    split: Split,
    codes: dict[str, Tensor],
    grader: Grader,
    draws: torch.Generator,
    report: Log,
    options: Options,
    course: Stages,
) -> CodePrior:
    """The stage of RAL; gives the tuned prior. Where the decoder of ``vqvae`` learns, it does so in place."""
    device = prior.device
    channels = split.training.shape[1]
    critic = PatchCritic(channels, options.vqvae.downsampling, options.critic, draws).to(device)
    rendering = DecodedImages(
        vqvae,
        split.training.to(device),
        codes["training"],
        options.against,
        options.decoder_learning_rate,
        options.reconstruction_weight,
    )
    trainer = RalTrainer(prior, critic, codes["training"], vqvae.maps, rendering, options.ral, draws)

    tuned = trainer.average

    def samples() -> Tensor:
        return decode_all(vqvae, tuned.sample(_SHOWN, torch.Generator().manual_seed(options.seed)))

    keep, saved = course.keep("ral"), course.state("ral")
    if saved is None:
        add_picture(report.writer, "ral/samples", samples(), 0)
    else:
        trainer.set_state(saved)
    total = options.ral.warm_up + options.ral_updates
    for update in range(trainer.updates + 1, total + 1):
        figures = vars(trainer.update())
        if update % _GRADED_EVERY == 0 or update == total:
            figures = figures | {
                "held_out_nll": float(batched_nll(tuned.nll, codes["validation"]).mean()),
                "frechet_distance": grader.of_prior(tuned, vqvae, GRADED, options.seed),
            }
            add_picture(report.writer, "ral/samples", samples(), update)
        report(update, figures)
        keep(update, trainer.get_state)
    return tuned


if __name__ == "__main__":
    fail_in_one_line(main)
