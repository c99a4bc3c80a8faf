"""Train an autoregressive generator of images in three stages, the last by reinforced adversarial learning (RAL).

vqvae: an autoencoder with a codebook. prior: a causal transformer over its codes, by maximum likelihood. ral: the same
transformer by a policy gradient with a patch discriminator's scores as rewards (arXiv 2007.09923).

Example: python scripts/train_ral.py --data faces --stage vqvae,prior,ral
Example: python scripts/train_ral.py --stage ral --start runs/ral-faces-0 --ral.likelihood-weight 2
"""

from __future__ import annotations

import copy
import dataclasses
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter
from torchvision.utils import make_grid
from tqdm import tqdm

from agents.cli import fail_in_one_line
from agents.ral import RalOptions, RalTrainer
from agents.ral.exposure import completions, prefixes
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
from agents.run_folder import RunFolder, provenance
from gan_backbones.data import load_data
from gan_backbones.patch_critic import PatchCritic, PatchCriticOptions
from gan_backbones.prior import CodePrior, PriorOptions, batched_nll, bits_per_dimension
from gan_backbones.vqvae import VqVae, VqVaeOptions, code_perplexity
from gan_env.config import check_device

STAGES = ("vqvae", "prior", "ral")
_SHOWN = 32  # images in a picture
_EVERY = 50  # updates between two points of stats.jsonl
_GRADED_EVERY = 100  # updates of RAL between two distances
_GRADED = 256  # images of such a distance


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
    vqvae_updates: int = 1600
    """Updates of the autoencoder."""
    prior_updates: int = 1000
    """Updates of maximum likelihood; the best weights on validation images are kept."""
    ral_updates: int = 200
    """Updates of RAL after its warm-up."""
    ral: RalOptions = field(
        default_factory=lambda: RalOptions(batch_size=32, critic_learning_rate=5e-4, penalty_weight=1.0, warm_up=50)
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
    train(tyro.cli(Options, description=__doc__))


def train(options: Options) -> None:
    """Train or read every stage, grade, report."""
    started = time.monotonic()
    torch.set_num_threads(1)
    console, device, stages = Console(), check_device(options.device), check(options)
    folder = RunFolder(options.run_dir or Path("runs") / name_of(options))
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
    folder.create()
    folder.write_json("config.json", provenance(options.device) | {"options": dataclasses.asdict(options)})
    console.print(f"writing {folder.path} (tensorboard --logdir {folder.path})", highlight=False)
    writer = SummaryWriter(str(folder.path))

    def log(stage: str, total: int) -> Log:
        return Log(writer, folder, stage, total, options.progress)

    if "vqvae" in stages:
        train_vqvae(vqvae, split.training, options.vqvae_updates, draws[0], log("vqvae", options.vqvae_updates))
    save_weights(folder.path / "vqvae.safetensors", vqvae)
    codes = {part: encode_all(vqvae, images) for part, images in vars(split).items()}
    shown = split.test[:_SHOWN]
    both = torch.cat([to_pixels(shown), decode_all(vqvae, codes["test"][:_SHOWN]).cpu()])
    add_picture(writer, "vqvae/reconstructions", both, options.vqvae_updates)
    if "prior" in stages:
        report = log("prior", options.prior_updates)
        train_prior(prior, codes["training"], codes["validation"], options.prior_updates, draws[1], report)
    save_weights(folder.path / "prior.safetensors", prior)
    results: dict[str, Any] = {"autoencoder": grade_vqvae(vqvae, split, codes, grader, options.samples)}
    models = {"ml": (prior, vqvae)}
    if "ral" in stages:
        decoder = copy.deepcopy(vqvae)
        report = log("ral", options.ral.warm_up + options.ral_updates)
        tuned = tune(copy.deepcopy(prior), decoder, split, codes, grader, draws[2], report, options)
        save_weights(folder.path / "ral.safetensors", tuned)
        save_weights(folder.path / "decoder.safetensors", decoder)
        models |= {"ral": (tuned, decoder)}
        if options.decoder_learning_rate > 0:
            models |= {"ml_tuned_decoder": (prior, decoder), "ral_first_decoder": (tuned, vqvae)}
    graded = tqdm(models.items(), desc="grading", disable=None if options.progress else True)
    results["models"] = {name: grade(*pair, codes["test"], grader, options) for name, pair in graded}
    results |= {"metric": f"{grader.name}, n={options.samples}", "seconds": time.monotonic() - started}
    folder.write_json("evaluation.json", results)
    writer.close()
    for view in tables(options.data, results):
        console.print(view)


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

    add_picture(report.writer, "ral/samples", samples(), 0)
    total = options.ral.warm_up + options.ral_updates
    for update in range(1, total + 1):
        figures = vars(trainer.update())
        if update % _GRADED_EVERY == 0 or update == total:
            figures = figures | {
                "held_out_nll": float(batched_nll(tuned.nll, codes["validation"]).mean()),
                "frechet_distance": grader.of_prior(tuned, vqvae, _GRADED, options.seed),
            }
            add_picture(report.writer, "ral/samples", samples(), update)
        report(update, figures)
    return tuned


def grade_vqvae(
    vqvae: VqVae, split: Split, codes: dict[str, Tensor], grader: Grader, count: int
) -> dict[str, float | list[float]]:
    """Error and code use on test images, and the distance of reconstructed training images: what samples can reach."""
    test = decode_all(vqvae, codes["test"]).cpu()
    parts = codes["test"].split([rows * columns for rows, columns in vqvae.maps], 1)
    return {
        "error": float((test - to_pixels(split.test)).square().mean()),
        "perplexity": [code_perplexity(part, vqvae.codes) for part in parts],
        "frechet_distance": grader.distance(decode_all(vqvae, codes["training"][:count])),
    }


def grade(prior: CodePrior, vqvae: VqVae, test: Tensor, grader: Grader, options: Options) -> dict[str, Any]:
    """Distance of samples, likelihood of test maps in bits per code, and distance of completions of test maps."""
    draws = torch.Generator().manual_seed(100_000 + options.seed)
    given = test[torch.arange(_GRADED) % len(test)]
    return {
        "frechet_distance": grader.of_prior(prior, vqvae, options.samples, 50_000 + options.seed),
        "bits_per_code": bits_per_dimension(batched_nll(prior.nll, test)),
        "completions": {
            str(prefix): grader.distance(decode_all(vqvae, completions(prior, given, prefix, draws)))
            for prefix in prefixes(prior.length)
        },
    }


def tables(data: str, results: dict[str, Any]) -> tuple[Table, Table]:
    """Maximum likelihood against RAL, over whole samples and over completions."""
    names = {
        "ml": "maximum likelihood",
        "ral": "RAL",
        "ml_tuned_decoder": "ML's prior, RAL's decoder",
        "ral_first_decoder": "RAL's prior, first decoder",
    }
    models, first = results["models"], results["models"]["ml"]
    reconstructed = results["autoencoder"]["frechet_distance"]
    whole = Table(
        title=f"{data}: {results['metric']}, lower is better",
        caption=f"FD of reconstructed training images: {reconstructed:.1f}; bits of held-out images",
    )
    completed = Table(title=f"FD of completions of held-out images, n={_GRADED}")
    lengths = list(first["completions"])
    for view, columns in (
        (whole, ["model", "FD", "to ML's", "bits per code", "to ML's"]),
        (completed, ["model", *(f"{length} codes given" for length in lengths)]),
    ):
        for column in columns:
            view.add_column(column, justify="left" if column == "model" else "right")
    for name, row in models.items():
        cells = [f"{row['frechet_distance']:.1f}", f"{row['frechet_distance'] / first['frechet_distance'] - 1:+.1%}"]
        cells += [f"{row['bits_per_code']:.4f}", f"{row['bits_per_code'] / first['bits_per_code'] - 1:+.1%}"]
        whole.add_row(names[name], *cells)
        completed.add_row(names[name], *(f"{row['completions'][length]:.1f}" for length in lengths))
    return whole, completed


if __name__ == "__main__":
    fail_in_one_line(main)
