"""What is known to hurt: a discriminator that is too strong, heavy preprocessing, twice the pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from agents.latent_gans import LEARNING_RATE, GanRecord, GanRow, GanSizes, GanTrainer
from agents.latent_study.lab import MEASURES, Lab
from agents.page import listing, panels, tag
from agents.page.numbers import significant
from gan_backbones.data import DataSet
from gan_backbones.metrics.damage import damaged

STRONG, PROCESSED = "too strong D", "heavy processing"
"""Names of the two GANs that are trained under such conditions."""
STRONG_RATES = LEARNING_RATE / 4, 5 * LEARNING_RATE
"""Of the first one's generator and discriminator."""
_DAMAGES = (("contrast", 0.8), ("blur", 0.5), ("noise", 0.6))
_VANISHED = 10.0
"""A gradient that is so many times smaller than usual."""
_SHOWN = 16
_Curves = Mapping[str, Mapping[int, Mapping[str, float]]]


def heavily_processed(data: DataSet) -> DataSet:
    """The data with contrast, sharpness and a clean background taken away, one after the other."""
    rng = torch.Generator().manual_seed(0)
    parts = []
    for rows in torch.arange(len(data)).split(256):
        images = data.batch(rows)
        for kind, strength in _DAMAGES:
            images = damaged(images, kind, strength, rng)
        parts.append(((images + 1) * 127.5).round().to(torch.uint8))
    return dataclasses.replace(data, name=f"{data.name} heavily processed", samples=torch.cat(parts))


def slopes(trainer: GanTrainer, row: int, latents: Tensor) -> dict[str, float]:
    """What of the discriminator's gradient reaches a generator: mean norms over the images of ``latents``.

    With p = sigmoid(D(x)): the saturating loss log(1 - p) passes on p |grad D|, the other one (1 - p) |grad D|.
    """
    _, discriminator = trainer.population.networks(row)
    images = trainer.images(row, latents).to(trainer.population.device).requires_grad_()
    logits = discriminator(images)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    norms, share = gradient.flatten(1).norm(dim=1), torch.sigmoid(logits.detach())
    return {
        "saturating": float((share * norms).mean()),
        "non-saturating": float(((1 - share) * norms).mean()),
        "fooled": float((logits > 0).float().mean()),
    }


def write_conditions(lab: Lab) -> None:
    """The sections on a too strong discriminator and on heavy preprocessing."""
    page, settings, kept = lab.page, lab.settings, lab.kept.pop("training")
    names, measured, gradients = kept["names"], kept["measured"], kept["gradients"]
    records, samples = [GanRecord(**record) for record in kept["records"]], kept["samples"]
    strong, base = names.index(STRONG), names[0]
    passed_on = {
        f"{name}, {kind}": over_training(points, kind)
        for name, points in gradients.items()
        for kind in ("saturating", "non-saturating")
    }
    losses = {
        names[index]: list(zip(records[index].updates, records[index].statistics["loss_d"], strict=True))
        for index in (0, strong)
    }
    generator, discriminator = (rate / LEARNING_RATE for rate in STRONG_RATES)
    told = (
        f"The same GAN, its generator at {generator:g} and its discriminator at {discriminator:g} times the usual "
        "learning rate. "
    )
    told += "It diverged." if STRONG in lab.numbers["diverged"] else _told_of_strong(base, measured, gradients)
    page.add(
        tag("h3", "A discriminator that is too strong"),
        tag("p", told),
        panels(
            [
                lab.chart(
                    "gradients.svg",
                    "What of the discriminator's gradient reaches an image.",
                    passed_on,
                    "update",
                    "mean gradient norm at an image",
                    logarithmic=True,
                ),
                lab.chart(
                    "strong-losses.svg",
                    "Loss of the discriminators.",
                    losses,
                    "update",
                    "cross-entropy (nats)",
                    logarithmic=True,
                ),
                lab.picture("strong.png", "Images under a too strong discriminator.", samples[STRONG], 4),
                lab.picture("plain.png", f"Images of {base}, the same latents.", samples[base], 4),
            ]
        ),
    )
    kinds = ", ".join(kind for kind, _ in _DAMAGES)
    processed = heavily_processed(lab.data).batch(range(min(settings.samples, len(lab.data))))
    limit = lab.measure(processed)["FD"]
    lab.numbers["processed data"] = {"FD": limit}
    ended = "diverged" if PROCESSED in lab.numbers["diverged"] else f"ends at {_final(measured[PROCESSED])}"
    told = (
        f"The same GAN on images that went through {kinds} first. It can only learn what is left: measured against the "
        f"images as they are, the processed ones themselves stand at {significant(limit)}, the GAN that learned from "
        f"them {ended}, the one without preprocessing at {_final(measured[base])}."
    )
    page.add(
        tag("h3", "Heavy preprocessing"),
        tag("p", told),
        panels(
            [
                lab.picture("processed.png", "What it was shown.", processed[:_SHOWN], 4),
                lab.picture("heavy.png", "What it makes.", samples[PROCESSED], 4),
            ]
        ),
    )


def compare_resolutions(lab: Lab) -> None:
    """The section on the doubled resolution: equal updates, equal data."""
    page, settings = lab.page, lab.settings
    side = lab.data.sample_shape[-1]
    page.add(tag("h3", f"{side} against {2 * side} pixels"))
    try:
        large = lab.load(2 * side)
    except ValueError as error:
        page.add(tag("p", f"Left out: {error}."))
        return
    updates = settings.large_updates
    lab.say(f"training a GAN at {2 * side} pixels and one at {side}, {updates} updates each ...")
    rows, pictures, record = [], [], {}
    for data in (lab.data, large):
        pixels = data.sample_shape[-1]
        values, shown = lab.once(f"{pixels} pixels", partial(_train_briefly, lab, data, updates))
        record[str(pixels)] = values
        rows.append([f"{pixels} pixels", *(significant(values[measure]) for measure in MEASURES)])
        pictures.append(lab.picture(f"pixels-{pixels}.png", f"{pixels} pixels.", shown, 3))
    lab.numbers["resolutions"] = record
    better = "closer" if record[str(side)]["FD"] < record[str(2 * side)]["FD"] else "not closer"
    told = (
        f"After the same {updates} updates on the same images the smaller GAN is {better} to its data, "
        "and an update of the larger one takes more than four times the arithmetic. The judge scales both to one size. "
        "This is one seed, and two ends: it says nothing on how steady either of them is."
    )
    listed = listing("After equally many updates", ("GAN", *MEASURES), rows)
    page.add(tag("p", told), listed, panels(pictures))


def _train_briefly(lab: Lab, data: DataSet, updates: int) -> tuple[dict[str, float], Tensor]:
    """Measures of a GAN that is trained on ``data``, and nine of its images."""
    settings = lab.settings
    sizes: GanSizes = dataclasses.replace(settings.sizes, updates=updates)
    trainer = GanTrainer([GanRow(data, lab.seed)], sizes, lab.device)
    if lab.begun is not None:
        trainer.set_state(lab.begun)
    trainer.train(after=lambda: lab.keep(trainer.get_state), progress=lab.progress)
    values = lab.measure(trainer.images(0, lab.draw(settings.samples, lab.seed + 10_000)), data)
    shown = trainer.images(0, lab.draw(9, lab.seed + 10_000))
    trainer.close()
    return values, shown


def over_training(points: dict[int, dict[str, float]], name: str) -> list[tuple[float, float]]:
    """The curve of one measure: updates and values."""
    return [(update, values[name]) for update, values in points.items()]


def _told_of_strong(base: str, measured: _Curves, gradients: _Curves) -> str:
    last, usual = (points[max(points)] for points in (gradients[STRONG], gradients[base]))
    ratio = usual["saturating"] / max(last["saturating"], 1e-30)
    return (
        f"At the end the discriminator is fooled by {last['fooled']:.0%} of the images (usually "
        f"{usual['fooled']:.0%}). Of its gradient, the saturating loss of the minimax game passes on "
        f"{'less' if ratio > 1 else 'more'} than usual by a factor of {significant(max(ratio, 1 / ratio))}"
        f"{': where the discriminator is sure, that gradient vanishes' if ratio > _VANISHED else ''}. The "
        "non-saturating loss, which is trained here, keeps the slope of the discriminator itself, and spectral norm "
        f"keeps that bounded. Distance at the end: {_final(measured[STRONG])} against "
        f"{_final(measured[base])}; the generator's slower learning has its part in that."
    )


def _final(points: Mapping[int, Mapping[str, float]]) -> str:
    return significant(points[max(points)]["FD"])
