"""First part: GANs are trained side by side, two of them under conditions that are known to hurt."""

from __future__ import annotations

from torch import Tensor

from agents.latent_gans import GanRow, GanTrainer
from agents.latent_study.conditions import (
    PROCESSED,
    STRONG,
    STRONG_RATES,
    heavily_processed,
    over_training,
    slopes,
)
from agents.latent_study.lab import MEASURES, Lab
from agents.page import listing, panels, tag
from agents.page.numbers import significant
from agents.restoring import Each, require_like, restoring
from agents.tree_file import Tree

_SHOWN = 16
_PICTURES = 4  # looks that are shown
_COLLAPSED = 0.5
"""A GAN has collapsed when its coverage ends below this share of the largest that it had."""


def train_all(lab: Lab) -> None:
    """Train, save the GANs that differ in their seed alone, and write the sections on training.

    Raises ``ValueError`` where the first of them, on which the rest of the study stands, diverges.
    """
    settings = lab.settings
    plain = [GanRow(lab.data, lab.seed + index) for index in range(settings.seeds)]
    rows = [*plain, GanRow(lab.data, lab.seed, *STRONG_RATES), GanRow(heavily_processed(lab.data), lab.seed)]
    names = [*(f"seed {row.seed}" for row in plain), STRONG, PROCESSED]
    lab.say(f"training {len(rows)} GANs, {settings.sizes.updates} updates each ...")
    trainer = GanTrainer(rows, settings.sizes, lab.device)
    total = settings.sizes.updates
    looks = sorted({round(total * (index + 1) / settings.looks) for index in range(settings.looks)} | {total // 10})
    measured: dict[str, dict[int, dict[str, float]]] = {name: {} for name in names}
    gradients: dict[str, dict[int, dict[str, float]]] = {name: {} for name in (names[0], STRONG)}
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
        if trainer.records[0].diverged:
            raise ValueError(f"the GAN of {names[0]} diverged within {update} updates; try another --seed")
        for row, name in enumerate(names):
            if trainer.records[row].diverged:
                continue
            measured[name][update] = lab.measure(trainer.images(row, latents))
            if name in gradients:
                gradients[name][update] = slopes(trainer, row, latents[:64])
        shown[update] = trainer.images(0, latents[:_SHOWN])

    trainer.train(looks, look, after=lambda: lab.keep(state), progress=lab.progress)
    gans = {
        name: f"gan-{plain[row].seed}.safetensors" if row else lab.gan_path.name
        for row, name in enumerate(names[: len(plain)])
    }
    lab.kept["gans"] = {
        name: file for row, (name, file) in enumerate(gans.items()) if not trainer.records[row].diverged
    }
    for row, name in enumerate(gans):
        if name in lab.kept["gans"]:
            trainer.save(row, lab.folder.path / gans[name], {"data": lab.data_name})
    samples = {name: trainer.images(row, latents[:_SHOWN]) for row, name in enumerate(names)}
    lab.numbers["training"] = {"measures": measured, "gradients": gradients}
    lab.numbers["diverged"] = [name for name in names if total not in measured[name]]
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
    record = trainer.records[0]
    losses = {
        name: list(zip(record.updates, record.statistics[key], strict=True))
        for name, key in (("generator", "loss_g"), ("discriminator", "loss_d"))
    }
    variety = {name: over_training(measured[name], "coverage") for name in names}
    page.add(
        panels(
            [
                lab.chart(
                    "fd.svg",
                    f"FD {lab.extractor.name}, n={settings.samples}, over training, by seed.",
                    {name: over_training(measured[name], "FD") for name in names},
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
                    "Coverage by seed: a collapse would show here.",
                    variety,
                    "update",
                    "share",
                    limits=(0.0, 1.0),
                ),
            ]
        )
    )
    rows, falls, varieties = [], {}, {}
    for name in names:
        points = measured[name]
        early, final = points.get(total // 10), points.get(total)
        if early is None or final is None:
            rows.append([name, "diverged", "", "", "", "", ""])
            continue
        most = max(values["coverage"] for values in points.values())
        falls[name], varieties[name] = early["FD"] / final["FD"], final["coverage"] / most if most else None
        shares = [final["recall"], final["coverage"], most]
        numbers = [significant(early["FD"]), significant(final["FD"]), f"{falls[name]:.2f}"]
        rows.append([name, *numbers, *(f"{share:.2f}" for share in shares)])
    header = ("GAN", "FD at a tenth", "FD at the end", "times lower", "recall", "coverage", "largest coverage before")
    page.add(listing("The distance is meant to fall to less than half of its value at a tenth", header, rows))
    collapsed = [name for name, share in varieties.items() if share is not None and share < _COLLAPSED]
    page.add(
        tag(
            "p",
            f"Collapsed, by a coverage that ends below {_COLLAPSED:g} of the largest it had: "
            f"{', '.join(collapsed) or 'none of them'}.",
        )
    )
    lab.numbers |= {"fall": falls, "coverage at the end of its largest": varieties, "collapsed": collapsed}
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
