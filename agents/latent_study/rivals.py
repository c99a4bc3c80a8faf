"""Fourth part: the bandit's choices beside those of rivals that ask the same discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from agents.bandits import best_arms
from agents.latent_study.lab import MEASURES, Lab, frozen
from agents.page import Column, Markup, listing, panels, table, tag
from agents.page.charts import Axis, whisker
from agents.page.numbers import fixed, significant
from agents.tree_file import Tree
from gan_backbones.latent_samplers import CHEAP_SAMPLERS, SAMPLERS, Drawn, metropolis_hastings
from gan_env.frozen_gan import FrozenGan, calibration_of, frozen_gan

RANDOM, BEST, TRAINED = "random latents", "bandit (best tenth by Q)", "bandit (as trained)"
_CONFIDENCE = 0.95
_SHOWN = 16

Values = Mapping[str, float]


class Another(NamedTuple):
    """What another batch of random latents would measure: the mean of those that were drawn, and its 95 % limits."""

    mean: float
    low: float
    high: float


def prediction(values: list[float]) -> Another:
    """Student's prediction interval for one more value like these, ``t sd sqrt(1 + 1 / n)`` about their mean."""
    mean, count = float(np.mean(values)), len(values)
    width = stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1) * np.std(values, ddof=1) * (1 + 1 / count) ** 0.5
    return Another(mean, mean - float(width), mean + float(width))


def write_rivals(lab: Lab) -> None:
    """Everybody draws the same number of images; quality and variety apart, and what they cost."""
    settings, page, gan = lab.settings, lab.page, frozen(lab)
    lab.say("rivals ...")
    count = settings.samples
    calibration = calibration_of(gan, lab.data_name, lab.cache_dir, lab.progress)

    def judge(images: Tensor) -> Tensor:
        return calibration.logits(gan.judge(images))

    start = float(calibration.logits(gan.logits(lab.unseen(64)[0])).median())
    samplers = dict(CHEAP_SAMPLERS if settings.cheap_rivals else SAMPLERS)
    steps = 16 if settings.cheap_rivals else 64
    samplers["MH-GAN"] = partial(metropolis_hastings, start_logit=start, steps=steps)
    del samplers[RANDOM]

    def draw(name: str) -> Tree:
        lab.say(f"  {name}")
        one = samplers[name](gan.generate, judge, count, latent_size=gan.latent_size, seed=lab.seed + 50_000)
        return {"latents": one.latents, "images": one.images}

    drawn = {name: Drawn(**lab.once(name, partial(draw, name))) for name in samplers}
    first = next(iter(lab.gans))
    policy = lab.kept["bandits"][first]["probabilities"]
    trained = np.random.default_rng(lab.seed).choice(len(policy), size=count, p=policy / policy.sum())
    drawn[TRAINED] = Drawn(lab.codes(trained, settings.codes), settings.codes)
    lab.say("  random latents and the bandit, of each GAN")
    every = {name: lab.once(f"of {name}", partial(_prefer, lab, name)) for name in lab.gans}
    limits = {name: _limits(one["random"]) for name, one in every.items()}
    found = {RANDOM: {name: one.mean for name, one in limits[first].items()} | {"images per image kept": 1.0}}
    for name, one in drawn.items():
        found[name] = lab.once(f"measures of {name}", partial(_measure, lab, gan, one))
    found[BEST] = every[first]["best"]
    lab.numbers["rivals"] = found
    lab.numbers["another batch of random latents"] = {
        name: {measure: one._asdict() for measure, one in own.items()} for name, own in limits.items()
    }
    lab.numbers["bandit of every GAN"] = {name: one["best"] for name, one in every.items()}
    told = (
        f"Each draws {count} images. FD and its companions never saw the discriminator. Random latents are the mean of "
        f"{settings.batches} batches; what lies within the 95 % prediction interval of one more batch is not told "
        "apart from it. The last column is what was generated for each image kept: for the bandit its codebook, each "
        "code of which is looked at once, however often it is pulled. Its best tenth are as many codes as images; as "
        "trained it draws one code again and again, whose neighbourhood is a point, so that its recall and coverage "
        "say no more than that. Precision is fidelity, recall variety; both are drawn from 0 to 1, as lines from what "
        "random latents reach to the method's own."
    )
    page.section(
        "Rivals that ask the same discriminator",
        tag("p", told),
        _rivals_table(found),
        tag("p", fidelity_and_variety(lab.numbers), class_="alert"),
        _every_table(every, limits),
        panels(
            lab.picture(f"rival-{index}.png", f"{name[0].upper()}{name[1:]}.", gan.sample(one.latents[:_SHOWN]), 8)
            for index, (name, one) in enumerate(drawn.items())
        ),
    )


def _measure(lab: Lab, gan: FrozenGan, drawn: Drawn) -> dict[str, float]:
    images = gan.sample(drawn.latents)
    reward = float(torch.sigmoid(gan.logits(images)).mean())
    return lab.measure(images) | {"reward": reward, "images per image kept": drawn.cost}


def _prefer(lab: Lab, name: str) -> Tree:
    """Measures of batches of random latents of the GAN ``name``, and of the codes that its bandit values most."""
    settings = lab.settings
    path = lab.folder.path / lab.gans[name]
    gan = frozen_gan(path, torch.device(lab.device))
    batches = [
        _measure(lab, gan, Drawn(lab.draw(settings.samples, lab.seed + 50_000 + batch), settings.samples))
        for batch in range(settings.batches)
    ]
    best = best_arms(lab.kept["bandits"][name]["values"], settings.samples)
    chosen = Drawn(lab.codes(best, settings.codes), settings.codes)
    return {"random": batches, "best": _measure(lab, gan, chosen)}


def _limits(batches: list[dict[str, float]]) -> dict[str, Another]:
    return {name: prediction([batch[name] for batch in batches]) for name in (*MEASURES, "reward")}


def _rivals_table(found: Mapping[str, Values]) -> Markup:
    """Closest to the data first."""
    axis, base = Axis(0.0, 1.0, "share"), found[RANDOM]

    def column(name: str) -> Column:
        return Column(name, lambda method: significant(found[method][name]))

    def change(name: str) -> Column:
        def drawn(method: str) -> Markup:
            value = found[method][name]
            said = f"{name} {fixed(value)}, random latents {fixed(base[name])}"
            return whisker(axis, value, base[name], value, (base[name],), said)

        return Column(f"{name}, drawn", drawn, "picture small")

    columns = [
        Column("method", lambda method: tag("b", method), "name"),
        column("FD"),
        *(part(name) for name in ("precision", "recall") for part in (column, change)),
        *(column(name) for name in ("density", "coverage")),
        Column("D's reward", lambda method: fixed(found[method]["reward"], 3)),
        column("images per image kept"),
    ]
    ranking = sorted(found, key=lambda method: found[method]["FD"])
    return table("Quality, variety and price", columns, ranking, marked=lambda method: method in (BEST, TRAINED))


def _every_table(every: Mapping[str, Tree], limits: Mapping[str, Mapping[str, Another]]) -> Markup:
    shown = ("reward", "FD", "precision", "recall")
    rows = [
        [name, *(f"{significant(one['best'][measure])} against {_words(limits[name][measure])}" for measure in shown)]
        for name, one in every.items()
    ]
    title = "The bandit's best tenth against random latents [95 % limits of another batch], for each GAN"
    return listing(title, ("GAN", "D's reward", *shown[1:]), rows, "text wide")


def _words(another: Another) -> str:
    return f"{significant(another.mean)} [{significant(another.low)}, {significant(another.high)}]"


def limits_in(numbers: Mapping[str, Any]) -> dict[str, dict[str, Another]]:
    """By GAN and measure, from the study's numbers."""
    return {
        name: {measure: Another(**values) for measure, values in own.items()}
        for name, own in numbers["another batch of random latents"].items()
    }


def answer(numbers: Mapping[str, Any]) -> str:
    """Whether the images that the bandit prefers are better, in a few words."""
    bests, limits = numbers["bandit of every GAN"], limits_in(numbers)
    closer = sum(best["FD"] < limits[name]["FD"].low for name, best in bests.items())
    further = sum(best["FD"] > limits[name]["FD"].high for name, best in bests.items())
    pleased = sum(best["reward"] > limits[name]["reward"].high for name, best in bests.items())
    lost = sum(best["recall"] < limits[name]["recall"].low for name, best in bests.items())
    name, best = next(iter(bests.items()))
    base = limits[name]
    verdict = "Yes" if closer == len(bests) else "No" if not closer else "Not always"
    return (
        f"{verdict}: of {len(bests)} GANs, the codes that the bandit values most are closer to the data than random "
        f"latents for {closer} and further from it for {further}, beyond what another batch of random latents would "
        f"be; they please the discriminator more for {pleased} and have lost recall for {lost}. The first GAN: Frechet "
        f"distance {significant(best['FD'])} against {_words(base['FD'])}, reward {significant(best['reward'])} "
        f"against {_words(base['reward'])}, recall {significant(best['recall'])} against {_words(base['recall'])}."
    )


def fidelity_and_variety(numbers: Mapping[str, Any]) -> str:
    """What was bought with what on the first GAN, in words, against random latents."""
    found, limits = numbers["rivals"], next(iter(limits_in(numbers).values()))
    rivals = {name: values for name, values in found.items() if name not in (RANDOM, TRAINED)}
    base = {name: one.mean for name, one in limits.items()}
    bought = [
        f"{name} (precision {significant(values['precision'])}, recall {significant(values['recall'])})"
        for name, values in rivals.items()
        if values["precision"] > limits["precision"].high and values["recall"] < limits["recall"].low
    ]
    better = [name for name, values in rivals.items() if values["FD"] < limits["FD"].low]
    pleased = [name for name, values in rivals.items() if values["reward"] > limits["reward"].high]
    worse = [name for name in pleased if rivals[name]["FD"] > limits["FD"].high]
    text = (
        f"Fidelity is bought with variety: {_list(bought)} gained precision over random latents "
        f"({significant(base['precision'])}) and lost recall ({significant(base['recall'])}). "
        if bought
        else "In this run nobody gained precision at the cost of recall. "
    )
    text += f"Closer to the data by FD than random latents: {_list(better) if better else 'nobody'}. "
    return text + (f"More to the discriminator's taste and yet further from the data: {_list(worse)}." if worse else "")


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
