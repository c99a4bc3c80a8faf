"""First part: GANs are trained side by side, and three of them under conditions that are known to hurt."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import torch
from torch import Tensor

from agents.latent_gans import LEARNING_RATE, GanRecord, GanRow, GanSizes, GanTrainer
from agents.latent_study.lab import MEASURES, Lab
from agents.page import listing, panels, tag
from agents.page.numbers import significant
from agents.restoring import Each, require_like, restoring
from agents.tree_file import Tree
from gan_backbones.data import DataSet
from gan_backbones.metrics.damage import damaged

_SHOWN = 16
_STRONG = 20.0
"""How many times faster the too strong discriminator learns than its generator."""
_DAMAGES = (("contrast", 0.8), ("blur", 0.5), ("noise", 0.6))
_PICTURES = 4  # looks that are shown


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


def train_all(lab: Lab) -> None:
    """Train, save the first GAN as the study's, and write the sections on training."""
    settings = lab.settings
    plain = [GanRow(lab.data, lab.seed + index) for index in range(settings.seeds)]
    strong = GanRow(lab.data, lab.seed, LEARNING_RATE / 4, LEARNING_RATE / 4 * _STRONG)
    rows = [*plain, strong, GanRow(heavily_processed(lab.data), lab.seed)]
    names = [*(f"seed {row.seed}" for row in plain), "too strong D", "heavy processing"]
    lab.say(f"training {len(rows)} GANs, {settings.sizes.updates} updates each ...")
    trainer = GanTrainer(rows, settings.sizes, lab.device)
    total = settings.sizes.updates
    looks = sorted({round(total * (index + 1) / settings.looks) for index in range(settings.looks)} | {total // 10})
    measured: dict[str, dict[int, dict[str, float]]] = {name: {} for name in names}
    gradients: dict[str, dict[int, dict[str, float]]] = {name: {} for name in (names[0], "too strong D")}
    shown: dict[int, Tensor] = {}
    latents = lab.draw(settings.samples, lab.seed + 10_000)
    if lab.begun is not None:
        seen = {"measured": dict.fromkeys(names, Each(dict.fromkeys(MEASURES, 0.0)))}
        seen |= {"gradients": dict.fromkeys(gradients, Each(None))}
        with restoring():
            require_like(lab.begun, seen | {"trainer": {}, "shown": Each(None)})
            trainer.set_state(lab.begun["trainer"])
            measured, gradients, shown = (lab.begun[name] for name in ("measured", "gradients", "shown"))

    def state() -> Tree:
        return {"trainer": trainer.get_state(), "measured": measured, "gradients": gradients, "shown": shown}

    def look(update: int) -> None:
        for row, name in enumerate(names):
            if not trainer.records[row].diverged:
                measured[name][update] = lab.measure(trainer.images(row, latents))
            if name in gradients:
                gradients[name][update] = slopes(trainer, row, latents[:64])
        shown[update] = trainer.images(0, latents[:_SHOWN])

    trainer.train(looks, look, after=lambda: lab.keep(state), progress=lab.progress)
    trainer.save(0, lab.gan_path, {"data": lab.data_name})
    samples = {name: trainer.images(row, latents[:_SHOWN]) for row, name in enumerate(names)}
    lab.numbers["training"] = {"measures": measured, "gradients": gradients}
    _write_training(lab, trainer, names[: settings.seeds], measured, shown, total)
    lab.kept["training"] = {
        "names": names,
        "measured": measured,
        "gradients": gradients,
        "samples": samples,
        "records": [vars(record) for record in trainer.records],
    }
    trainer.close()


def _write_training(
    lab: Lab,
    trainer: GanTrainer,
    names: list[str],
    measured: dict[str, dict[int, dict[str, float]]],
    shown: dict[int, Tensor],
    total: int,
) -> None:
    page, settings = lab.page, lab.settings
    page.section(
        "The GAN over its training",
        tag(
            "p",
            f"A DCGAN with {settings.sizes.latent_size} latent numbers, its discriminator spectrally normalised and "
            "without batch norm, cross-entropy, Adam. Distances are on the features of ",
            tag("code", lab.extractor.name),
            f", {settings.samples} images against up to {2 * settings.samples} real ones; lower is better. They are no "
            "Inception FIDs and can be compared within this page only. Precision, recall, density and coverage look "
            "for neighbours among the features of ",
            tag("code", lab.neighbours.name),
            ", which sees what is in an image and not its texture.",
        ),
    )
    record, first = trainer.records[0], measured[names[0]]
    losses = {
        name: list(zip(record.updates, record.statistics[key], strict=True))
        for name, key in (("generator", "loss_g"), ("discriminator", "loss_d"))
    }
    variety = {name: _over_training(first, name) for name in ("recall", "coverage")}
    page.add(
        panels(
            [
                lab.chart(
                    "fd.svg",
                    f"FD {lab.extractor.name}, n={settings.samples}, over training, by seed.",
                    {name: _over_training(measured[name], "FD") for name in names},
                    "update",
                    "Frechet distance",
                ),
                lab.chart(
                    "losses.svg",
                    f"Losses of {names[0]}. The discriminator's starts at 2 ln 2.",
                    losses,
                    "update",
                    "cross-entropy (nats)",
                ),
                lab.chart(
                    "variety.svg",
                    f"Variety of {names[0]}: a collapse would show here.",
                    variety,
                    "update",
                    "share",
                    limits=(0.0, 1.0),
                ),
            ]
        )
    )
    rows, ratios = [], {}
    for name in names:
        points = measured[name]
        early, final = points.get(total // 10), points.get(total)
        if early is None or final is None:
            rows.append([name, "diverged", "", "", "", ""])
            continue
        ratios[name] = early["FD"] / final["FD"]
        rows.append(
            [name, significant(early["FD"]), significant(final["FD"]), f"{ratios[name]:.2f}"]
            + [f"{final[measure]:.2f}" for measure in ("recall", "coverage")]
        )
    page.add(
        listing(
            "The distance is meant to fall to less than half of its value at a tenth of the training",
            ("GAN", "FD at a tenth", "FD at the end", "times lower", "recall", "coverage"),
            rows,
        )
    )
    lab.numbers["fall"] = ratios
    chosen = sorted(shown)[:: max(1, len(shown) // _PICTURES)]
    page.add(
        panels(
            (
                lab.picture(f"at-{update}.png", f"After {update} updates, the same latents.", shown[update], 4)
                for update in dict.fromkeys([*chosen[: _PICTURES - 1], max(shown)])
            ),
            "many",
        )
    )


def write_conditions(lab: Lab) -> None:
    """The sections on a too strong discriminator and on heavy preprocessing."""
    page, kept = lab.page, lab.kept.pop("training")
    names, measured, gradients = kept["names"], kept["measured"], kept["gradients"]
    records, samples = [GanRecord(**record) for record in kept["records"]], kept["samples"]
    strong = names.index("too strong D")
    passed_on = {
        f"{name}, {kind}": _over_training(points, kind)
        for name, points in gradients.items()
        for kind in ("saturating", "non-saturating")
    }
    losses = {
        names[index]: list(zip(records[index].updates, records[index].statistics["loss_d"], strict=True))
        for index in (0, strong)
    }
    last = {name: points[max(points)] for name, points in gradients.items()}
    base = names[0]
    ratio = last[base]["saturating"] / max(last["too strong D"]["saturating"], 1e-30)
    told = (
        f"The same GAN, its discriminator's learning rate {_STRONG:g} times its generator's. At the end it is fooled "
        f"by {last['too strong D']['fooled']:.0%} of the images (usually {last[base]['fooled']:.0%}). Of its "
        "gradient, the saturating loss of the minimax game passes on "
        f"{'less' if ratio > 1 else 'more'} than usual by a factor of "
        f"{significant(max(ratio, 1 / ratio))}: where the discriminator is sure, that gradient vanishes. The "
        "non-saturating loss, which is trained here, keeps the slope of the discriminator itself, and spectral norm "
        f"keeps that bounded. Distance at the end: {_final(measured['too strong D'])} against {_final(measured[base])}."
    )
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
                lab.picture("strong.png", "Images under a too strong discriminator.", samples["too strong D"], 4),
                lab.picture("plain.png", f"Images of {base}, the same latents.", samples[base], 4),
            ]
        ),
    )
    kinds = ", ".join(kind for kind, _ in _DAMAGES)
    processed = heavily_processed(
        dataclasses.replace(lab.data, samples=lab.data.samples[:_SHOWN], **_bare(_SHOWN, lab))
    )
    told = (
        f"The same GAN on images that went through {kinds} first. It can only learn what is left: measured against the "
        f"images as they are, it ends at {_final(measured['heavy processing'])}, without preprocessing at "
        f"{_final(measured[base])}."
    )
    page.add(
        tag("h3", "Heavy preprocessing"),
        tag("p", told),
        panels(
            [
                lab.picture("processed.png", "What it was shown.", processed.batch(range(_SHOWN)), 4),
                lab.picture("heavy.png", "What it makes.", samples["heavy processing"], 4),
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
        "and an update of the larger one takes more than four times the arithmetic. The judge looks at 64 pixels in "
        "both cases. This is one seed."
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


def _over_training(points: dict[int, dict[str, float]], name: str) -> list[tuple[float, float]]:
    return [(update, values[name]) for update, values in points.items()]


def _final(points: dict[int, dict[str, float]]) -> str:
    return significant(points[max(points)]["FD"]) if points else "nothing, as it diverged"


def _bare(count: int, lab: Lab) -> dict[str, Any]:
    return {"attributes": {name: labels[:count] for name, labels in lab.data.attributes.items()}}
