"""The whole study in order, and the answer that stands above it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from agents.checkpoint import Checkpoint, Checkpoints
from agents.interruption import Interruption
from agents.latent_study.conditions import compare_resolutions, write_conditions
from agents.latent_study.drawing import write_bandit, write_noisy
from agents.latent_study.experiments import EXPERIMENTS
from agents.latent_study.lab import Lab
from agents.latent_study.looking import write_confusion, write_pairs, write_reproducibility
from agents.latent_study.objectives import write_objectives
from agents.latent_study.rivals import answer, fidelity_and_variety, write_rivals
from agents.latent_study.training import train_all
from agents.page import Markup, tag
from agents.restoring import require_like, restoring
from agents.run_folder import provenance
from agents.tree_file import Tree
from gan_backbones.files import write_atomically

ANSWER = "The answer"


def begin_answer(lab: Lab) -> None:
    """The section that is written last and stands first."""
    lab.page.section(ANSWER)


def begin_experiments(lab: Lab) -> None:
    """The section of all that follows."""
    lab.page.section("Experiments")


PARTS: tuple[Callable[[Lab], None], ...] = (
    begin_answer,
    train_all,
    write_pairs,
    write_confusion,
    write_reproducibility,
    write_bandit,
    write_noisy,
    write_rivals,
    begin_experiments,
    write_conditions,
    compare_resolutions,
    *EXPERIMENTS,
    write_objectives,
)
"""In the order of the page. One that is finished is never run again."""


def run(
    lab: Lab, saved: Checkpoint | None, checkpoints: Checkpoints, interruption: Interruption, *, quick: bool
) -> None:
    """Do everything that is left after ``saved``, write ``report.html``, ``study.json`` and the figures."""
    started, before, step = time.monotonic(), 0.0, 0
    if saved is not None:
        with restoring():
            require_like(saved.tree, {"lab": {}, "steps": {}, "begun": None, "seconds": 0.0})
            lab.set_state(saved.tree["lab"])
        lab.made, lab.begun = saved.tree["steps"], saved.tree["begun"]
        before, step = saved.tree["seconds"], saved.step
        lab.say(f"{lab.done} of {len(PARTS)} parts are finished")

    def keep(begun: Callable[[], Tree]) -> None:
        nonlocal step
        step += 1
        seconds = before + time.monotonic() - started

        def state() -> Tree:
            return {"lab": finished, "steps": lab.made, "begun": begun(), "seconds": seconds}

        checkpoints.offer(step, state, interruption)

    lab.keep = keep
    finished = lab.get_state()  # without what a part has added that is not finished
    for part in PARTS[lab.done :]:
        part(lab)
        lab.done += 1
        lab.made, lab.begun = {}, None
        finished = lab.get_state()
        keep(lambda: None)
    origin = provenance(lab.device)
    seconds = round(before + time.monotonic() - started)
    _write_origin(lab, origin, seconds)
    lab.page.add(*_answer(lab, quick=quick), section=ANSWER)
    lab.folder.write_json("study.json", {"numbers": lab.numbers, "seconds": seconds} | origin)
    write_atomically(lab.folder.path / "report.html", lab.page.render().encode())


def _answer(lab: Lab, *, quick: bool) -> list[Markup]:
    """What was asked, the answer, what it cost, and what else was found."""
    numbers = lab.numbers
    asked = (
        "A GAN is trained and frozen. Its discriminator has an opinion on every image, and a bandit learns which "
        "latents please it. Are those images better than images of random latents, and what do they cost?"
    )
    preliminary = (
        "This is the quick run: one small GAN, hardly trained, short chains, few seeds. It shows what the study does. "
        "Its numbers are no findings."
    )
    falls = [f"{numbers['fall'][name]:.2f}" for name in lab.gans]
    pairs, bandit = numbers["pairs"], numbers["bandit"]
    shares = numbers["confusion"]["shares"]
    accuracy = (shares["fake called fake"] + shares["real called real"]) / 2
    reached = {name: float(np.mean(one["reached"])) for name, one in numbers["noisy bandits"]["bandits"].items()}
    best = max(reached, key=lambda name: reached[name])
    found = [
        f"From a tenth of the training to its end the Frechet distance falls {' and '.join(falls)} times"
        + (f"; diverged: {', '.join(numbers['diverged'])}." if numbers["diverged"] else "."),
        f"Random pairs of images differ by {pairs['generated']['mean']:.3f} on average, real ones by "
        f"{pairs['real']['mean']:.3f}.",
        f"The discriminator is right in {accuracy:.0%} of the cases.",
        "Equal latents gave "
        f"{'equal bits' if numbers['reproducibility']['equal'] else 'DIFFERENT bits'} in two processes.",
        f"The bandit's last 1,000 pulls paid {bandit['reward of the last 1,000']:.3f}; the best code pays "
        f"{bandit['best code']:.3f}, a random one {bandit['mean code']:.3f}.",
        f"Under noise {best} came closest to the best mean reward: {reached[best]:.1%} of it ("
        + ", ".join(f"{name} {share:.1%}" for name, share in reached.items() if name != best)
        + ").",
    ]
    return [
        tag("p", asked, class_="lead"),
        tag("p", answer(numbers), class_="answer"),
        *([tag("p", preliminary, class_="alert")] if quick else []),
        tag("p", fidelity_and_variety(numbers), class_="alert"),
        Markup(lab.kept["beside"]),
        tag("h3", "What else was found"),
        tag("ul", *(tag("li", one) for one in found)),
    ]


def _write_origin(lab: Lab, origin: dict[str, object], seconds: int) -> None:
    begun = lab.folder.read_json("config.json")
    told = (
        tag("code", str(begun["command"])),
        *((", gone on with after a stop,",) if "continued" in begun else ()),
        f" on {lab.data_name}, {len(lab.data)} images of {lab.data.sample_shape[-1]} pixels, seed {lab.seed}; "
        f"{seconds // 60} minutes {seconds % 60} seconds on {origin['hardware']}. "
        f"Commit {origin['git_commit'] or 'unknown'}. Every number is in study.json, every figure in the folder "
        "figures, the GAN in gan.safetensors.",
    )
    lab.page.section("How this was made", tag("p", *told))
