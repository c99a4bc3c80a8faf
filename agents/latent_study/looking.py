"""Second part: how alike the images are, what the discriminator makes of them, and whether they come out again."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.latent_study.lab import Lab, frozen
from agents.page import listing, panels, tag
from gan_backbones.metrics import perceptual_distance
from gan_env.frozen_gan import FrozenGan

PAIRS, _ENDS = 100, 3
_EXAMPLES = 8
CELLS = {
    "fake called fake": "true positive",
    "fake called real": "false negative",
    "real called fake": "false positive",
    "real called real": "true negative",
}
"""A positive is a fake called fake, as in the source's examples."""


def write_pairs(lab: Lab) -> None:
    """Distances of 100 random pairs of generated images, the most alike and the most different of them shown."""
    distance = perceptual_distance()

    def between(left: Tensor, right: Tensor) -> Tensor:
        parts = [distance(a, b) for a, b in zip(left.split(25), right.split(25), strict=True)]
        return torch.cat(parts).double()

    left, right = frozen(lab).sample(lab.draw(2 * PAIRS, lab.seed + 20_000)).split(PAIRS)
    values = between(left, right)
    order = torch.randperm(len(lab.data), generator=torch.Generator().manual_seed(0))
    count = min(PAIRS, len(order) // 2)
    real = between(lab.data.batch(order[:count]), lab.data.batch(order[count : 2 * count]))
    lab.numbers["pairs"] = {
        "distance": distance.name,
        "generated": {"mean": float(values.mean()), "sd": float(values.std()), "all": values.tolist()},
        "real": {"mean": float(real.mean()), "sd": float(real.std())},
    }
    told = (
        f"{PAIRS} random pairs, none with a common image, by {distance.name}: mean {values.mean():.3f}, standard "
        f"deviation {values.std():.3f}, from {values.min():.3f} to {values.max():.3f}. Pairs of real images: mean "
        f"{real.mean():.3f}, standard deviation {real.std():.3f}. A generator whose pairs are more alike than "
        "the data's has lost variety."
        + ("" if distance.name.startswith("LPIPS") else " This is LPIPS's protocol on another network, not LPIPS.")
    )

    edges = np.linspace(0, float(torch.cat([values, real]).max()), 21)
    outlines = {"generated": _histogram(values.numpy(), edges), "real": _histogram(real.numpy(), edges)}
    order = values.argsort()
    figures = [lab.chart("pairs.svg", "Distances of pairs.", outlines, distance.name, "pairs")]
    for name, chosen in (("most alike", order[:_ENDS]), ("most different", order.flip(0)[:_ENDS])):
        both = torch.cat([left[chosen], right[chosen]])
        distances = ", ".join(f"{float(values[index]):.3f}" for index in chosen)
        caption = f"The {_ENDS} {name} pairs, one a column: {distances}."
        figures.append(lab.picture(f"{name.replace(' ', '-')}.png", caption, both, _ENDS))
    lab.page.section("How alike its images are", tag("p", told), panels(figures))


def _histogram(values: NDArray[np.float64], edges: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Its outline."""
    counts = np.histogram(values, edges)[0].repeat(2).tolist()
    return list(zip(edges.repeat(2).tolist(), [0, *counts, 0], strict=True))


def write_confusion(lab: Lab) -> None:
    """The discriminator's verdict on real images and on generated ones, with examples of each cell."""
    gan, count = frozen(lab), lab.settings.samples
    fake = gan.sample(lab.draw(count, lab.seed + 30_000))
    real, where = lab.unseen(count)
    cells: dict[str, Tensor] = {}
    shares: dict[str, float] = {}
    for kind, images in (("fake", fake), ("real", real)):
        called_real = gan.logits(images) > 0
        for verdict, chosen in (("fake", ~called_real), ("real", called_real)):
            cells[f"{kind} called {verdict}"] = images[chosen]
            shares[f"{kind} called {verdict}"] = float(chosen.double().mean())
    accuracy = (shares["fake called fake"] + shares["real called real"]) / 2
    lab.numbers["confusion"] = {"shares": shares, "images of each kind": count, "real images": where}
    page = lab.page
    page.section(
        "What the discriminator says",
        tag(
            "p",
            f"{count} generated images and as many real ones ({where}); a logit above 0 calls an image real. A "
            "positive is a ",
            tag("b", "fake called fake"),
            f". It is right in {accuracy:.1%} of the cases.",
        ),
        listing(
            "Shares of the images of each row",
            ("images", "called fake", "called real"),
            [
                [kind] + [f"{shares[cell]:.1%}, {CELLS[cell]}: {cell}" for cell in CELLS if cell.startswith(kind)]
                for kind in ("fake", "real")
            ],
            "text wide",
        ),
    )
    figures = []
    for cell, name in CELLS.items():
        if len(cells[cell]):
            shown = cells[cell][:_EXAMPLES]
            caption = f"{cell[0].upper()}{cell[1:]} ({name}), {len(cells[cell])} images."
            figures.append(lab.picture(f"{cell.replace(' ', '-')}.png", caption, shown, 4))
        else:
            page.add(tag("p", f"There is no {cell} ({name})."))
    page.add(panels(figures))


def fingerprint(path: Path, seed: int) -> str:
    """SHA-256 of the bits of 64 images of a checkpoint, for latents of a seed, computed on the CPU."""
    torch.set_num_threads(1)
    gan = FrozenGan(path, torch.device("cpu"))
    latents = torch.randn(64, gan.latent_size, generator=torch.Generator().manual_seed(seed))
    return hashlib.sha256(gan.sample(latents).numpy().tobytes()).hexdigest()


def write_reproducibility(lab: Lab) -> None:
    """The same latents in two other processes."""
    code = (
        "import sys; from pathlib import Path; from agents.latent_study.looking import fingerprint; "
        "print(fingerprint(Path(sys.argv[1]), int(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(lab.gan_path.absolute()), str(lab.seed)]
    root = Path(__file__).parents[2]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    found = [run.communicate()[0].strip() for run in runs]
    if any(run.returncode for run in runs):
        raise RuntimeError("a process that computes images once more failed; its error stands above")
    equal = found[0] == found[1]
    gan = frozen(lab)
    latents = lab.draw(8, lab.seed)
    both = [gan.sample(latents) for _ in range(2)]
    lab.numbers["reproducibility"] = {"sha256 in two processes": found, "equal": equal}
    page = lab.page
    page.section(
        "Same latents, same images",
        tag(
            "p",
            "64 images of one seed, computed in two processes: their bits are ",
            tag("b", "the same" if equal else "NOT the same"),
            " (SHA-256 ",
            tag("code", found[0][:16]),
            " and ",
            tag("code", found[1][:16]),
            f"). In one process, twice: {'the same' if torch.equal(*both) else 'NOT the same'}.",
        ),
    )
    if not equal:
        disagree = "Two processes disagree. Something in this installation is not deterministic."
        page.add(tag("p", disagree, class_="alert"))
    again = zip(("In this process.", "In this process again."), both, strict=True)
    page.add(
        panels((lab.picture(f"run-{run}.png", said, images, 8) for run, (said, images) in enumerate(again, 1)), "wide")
    )
