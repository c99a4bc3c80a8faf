"""What is written down of one GAN while it trains: numbers of every decision, pictures and distances of every look."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.tensorboard.writer import SummaryWriter

from agents.gan_training import GanTraining
from agents.run_folder import RunFolder
from gan_backbones.layers import dead_branches, fusion_weights
from gan_backbones.metrics import Score
from gan_backbones.mspg import MspgGenerator
from gan_env.core import StepResult
from gan_env.render import draw_samples

_SHOWN_IMAGES, _SHOWN_POINTS = 64, 512
_CHUNK = 256  # samples that are generated at once


class GanLog:
    """TensorBoard, ``stats.jsonl`` and warnings of one GAN in training; ``latents`` are those of every look."""

    def __init__(self, folder: RunFolder, training: GanTraining, latents: Tensor, console: Console) -> None:
        self.writer = SummaryWriter(str(folder.path))
        self._folder, self._training, self._console = folder, training, console
        self._data = training.core.data_of(0)
        self._latents = latents
        self.told: list[str] = []
        """Branches that were warned of."""

    def decision(self, result: StepResult) -> None:
        """What the training and the knobs did."""
        update = self._training.updates
        row = {name: float(value[0]) for name, value in result.infos["stats"].items()}
        row |= {f"knob/{name}": float(value[0]) for name, value in result.infos["knobs"].items()}
        row |= {f"knob/{name}": float(value[0]) for name, value in self._training.core.constants.items()}
        for path, weights in fusion_weights(self._training.generator).items():
            row |= {f"fusion/{path}/{branch}": float(weight) for branch, weight in weights.items()}
        self._write({f"gan/{name}" if "/" not in name else name: value for name, value in row.items()}, update)

    @torch.no_grad()
    def look(self) -> float:
        """Draw samples, measure distances, warn of dead branches; gives the distance of the present weights."""
        core, update = self._training.core, self._training.updates
        grader = core.grader(core.task.data)
        distances = {}
        for kind, generator in self._training.generators().items():
            shown = self._latents[: _SHOWN_IMAGES if self._data.is_image else _SHOWN_POINTS]
            pictures = {"samples": generator(shown)}
            if isinstance(generator, MspgGenerator):
                pictures |= {f"{images.shape[-1]} pixels": images for images in generator.scales(shown)}
            for name, samples in pictures.items():
                picture = draw_samples(samples.cpu(), self._data)
                self.writer.add_image(f"{kind}/{name}", picture, update, dataformats="HWC")
            samples = torch.cat([generator(chunk) for chunk in self._latents.split(_CHUNK)])
            distances[f"{kind}/{grader.metric}"] = float(grader.grade(samples[None])[0])
        self._write(distances, update)
        for warning in dead_branches(self._training.generator):
            branch = warning.partition(",")[0]
            if branch not in self.told:
                self._console.print(f"update {update}: warning: {warning}", style="yellow", highlight=False)
                self.told.append(branch)
        return next(iter(distances.values()))

    def _write(self, numbers: Mapping[str, float], update: int) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, update)
        self._folder.append_stats({"update": update, **numbers})


@torch.no_grad()
def point_scores(training: GanTraining, generator: nn.Module, latents: Tensor) -> list[Score]:
    """The grader's distance of points and, where the mixture is known, the share of its modes that are found."""
    grader = training.core.grader(training.core.task.data)
    samples = generator(latents)[None]
    others = [Score(name, float(value[0]), "higher") for name, value in grader.details(samples).items()]
    return [Score(grader.metric, float(grader.grade(samples)[0]), "lower"), *others]
