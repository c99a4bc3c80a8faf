"""What a bandit draws when it is paid for something else, and when several share its pulls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.annealing import over_half
from agents.bandit_teams import TEAMS, make_team
from agents.bandit_training import WINDOW, PullRecord, make_bandit_env, pull
from agents.bandits import BANDITS, Bandit, choice_entropy, make_bandit
from agents.latent_study.lab import Lab, frozen
from agents.page import Markup, listing, panels, tag
from agents.tree_file import Tree
from gan_env.latent_env import GanLatentBanditVectorEnv
from gan_env.latent_reward import TERMS

_BATCH = 32
_LEARNER = "ema"
_TARGETS: Mapping[str, str] = {"faces": "accessory=round|wayfarers,hair_colour=red"}
"""Attributes that are asked for, by data set."""
_TOGETHER = ("calibrated", "diversity")
"""Terms that teams are paid for in equal parts, a member for each."""
_SHOWN = 16


def write_objectives(lab: Lab) -> None:
    """One bandit for each term of a reward there is, then every kind of team."""
    pulls, codes = lab.settings.noisy_pulls, lab.settings.noisy_codes
    lab.say("other objectives ...")
    found: dict[str, Any] = {}
    pictures: list[Markup] = []
    rows, left_out = [], []
    for name in TERMS:
        options = {"reward": f"{name}=1"} | ({"target": _TARGETS.get(lab.data.name, "")} if name == "target" else {})
        try:
            envs = make_bandit_env(_BATCH, lab.latents | {"codes": codes} | options)
        except ValueError as error:  # no such attributes, or none that can be read
            left_out.append(f"{name} ({error})")
            continue
        bandit = make_bandit(_LEARNER, codes, lab.seed, over_half(BANDITS[_LEARNER], pulls))
        record = _pull(lab, name, bandit, envs)
        found[name] = _told(record)
        rows.append(_row(name, found[name]))
        pictures.append(_picture(lab, f"objective-{len(pictures)}.png", f"Paid for {name}.", record))
    joint, together = {"reward": ",".join(f"{name}=1" for name in _TOGETHER)}, []
    for name, team in TEAMS.items():
        own = over_half(BANDITS[_LEARNER], pulls * team.lessons(len(_TOGETHER)))
        bandit = make_team(name, _LEARNER, _TOGETHER, codes, lab.seed, over_half(team, pulls), own)
        record = _pull(lab, f"team {name}", bandit, make_bandit_env(_BATCH, lab.latents | {"codes": codes} | joint))
        found[f"team {name}"] = _told(record)
        together.append(_row(name, found[f"team {name}"]))
        pictures.append(_picture(lab, f"objective-{len(pictures)}.png", f"Together: {name}.", record))
    lab.numbers["objectives"] = found
    told = (
        f"The moving averages again, {pulls} pulls of {codes} codes without noise, each paid for one term alone. What "
        "does not look back has a best code, and ends there. What compares an image with those drawn lately pays less "
        "for a code the more often it is drawn: the averages go from one to the next, and may end below random "
        f"choices. A team has a member for each of {' and '.join(_TOGETHER)}, and both in equal parts for its reward. "
        "One seed each."
    )
    header = ("first 1,000 pulls", "last 1,000", "codes among them", "their entropy (nats)")
    lab.page.add(
        tag("h3", "Other objectives, and several at once"),
        tag("p", told, f" Left out: {'; '.join(left_out)}." if left_out else ""),
        listing("Mean reward, and what was chosen in the end", ("paid for", *header), rows),
        listing(f"Teams, paid for {' + '.join(_TOGETHER)}", ("team", *header), together),
        panels(pictures, "many"),
    )


def _pull(lab: Lab, step: str, bandit: Bandit, envs: GanLatentBanditVectorEnv) -> PullRecord:
    """All pulls of ``bandit``."""

    def make() -> Tree:
        return vars(pull(envs, bandit, lab.settings.noisy_pulls, seed=lab.seed, points=1))

    return PullRecord(**lab.once(step, make))


def _told(record: PullRecord) -> dict[str, float]:
    last = record.actions[-WINDOW:]
    return {
        "first": float(record.rewards[:WINDOW].mean()),
        "last": float(record.rewards[-WINDOW:].mean()),
        "codes": float(len(np.unique(last))),
        "entropy": choice_entropy(last, int(last.max()) + 1),
    }


def _row(name: str, told: Mapping[str, float]) -> list[str]:
    return [name, f"{told['first']:.3f}", f"{told['last']:.3f}", f"{told['codes']:.0f}", f"{told['entropy']:.2f}"]


def _picture(lab: Lab, file: str, caption: str, record: PullRecord) -> Markup:
    """What was drawn last."""
    images = frozen(lab).sample(lab.codes(record.actions[-_SHOWN:], lab.settings.noisy_codes))
    return lab.picture(file, f"{caption} The last {_SHOWN} pulls.", images, 8)
