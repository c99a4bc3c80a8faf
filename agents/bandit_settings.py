"""What ``train_agent.py --algo bandit`` is told on the command line, sorted out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.annealing import over_half
from agents.bandit_teams import TEAMS, make_team
from agents.bandits import BANDITS, Bandit, make_bandit
from agents.cli import join_data_dir, parse_overrides
from agents.latent_gans import GanSizes
from gan_env.latent_config import BanditConfig
from gan_env.latent_reward import parse_latent_reward

_PULLS, _NUM_ENVS = 20_000, 32
_GAN_OPTIONS = {f"gan_{field.name}": field.name for field in dataclasses.fields(GanSizes)}
_TEAM = "team_"
_LEFT_OUT = ("backbone", "loss", "action_type", "knobs", "observation", "cluster")
"""Options of the other algorithms."""


@dataclass(frozen=True)
class BanditSettings:
    """What the command line says, sorted out. A mistake raises ``ValueError`` in one line."""

    resolution: int | None
    sizes: GanSizes
    environment: dict[str, Any]
    learner: str
    learner_options: dict[str, Any]
    team: str | None
    team_options: dict[str, Any]
    pulls: int
    num_envs: int

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> BanditSettings:
        """From the options of ``train_agent.py``, by name.

        ``--env`` takes the fields of :class:`~gan_env.latent_config.BanditConfig` and, for a GAN that is to be
        trained, ``gan_updates``, ``gan_width``, ``gan_batch_size`` and ``gan_latent_size``; ``--algo-options`` takes
        ``learner``, ``team``, the options of the learner and, as ``team_NAME``, those of the team.
        """
        environment, sizes = _environment_of(options)
        learning = parse_overrides(options["algo_options"], "--algo-options")
        learner, team = learning.pop("learner", "ema"), learning.pop("team", None)
        of_team = [name for name in learning if name.startswith(_TEAM)]
        if of_team and team is None:
            raise ValueError(f"--algo-options: {of_team[0]!r} is for a team; name one by team=, of {', '.join(TEAMS)}")
        team_options = {name.removeprefix(_TEAM): learning.pop(name) for name in of_team}
        pulls = _PULLS if options["total_timesteps"] is None else options["total_timesteps"]
        num_envs = _NUM_ENVS if options["num_envs"] is None else options["num_envs"]
        if num_envs < 1 or pulls < 1:
            raise ValueError(f"--num-envs and --total-timesteps must be at least 1, not {num_envs} and {pulls}")
        settings = cls(
            options["resolution"], sizes, environment, learner, learning, team, team_options, pulls, num_envs
        )
        # A mistake in these is told before a GAN is trained.
        config = BanditConfig(**{"gan": "to be trained"} | environment)
        terms = list(parse_latent_reward(config.reward))
        settings.bandit(config.codes, terms, seed=0)
        return settings._annealed(len(terms))

    @property
    def data(self) -> str | None:
        """Data set of the GAN's training, of the rewards and of the grades; by default a checkpoint's own."""
        return self.environment.get("data")

    @property
    def algorithm(self) -> dict[str, Any]:
        """Who learns, by option."""
        of_team = {_TEAM + name: value for name, value in self.team_options.items()}
        return {"learner": self.learner, "team": self.team} | self.learner_options | of_team

    def bandit(self, codes: int, terms: list[str], seed: int) -> Bandit:
        """The learner, or the team of learners."""
        if self.team is None:
            return make_bandit(self.learner, codes, seed, self.learner_options)
        return make_team(self.team, self.learner, terms, codes, seed, self.team_options, self.learner_options)

    def _annealed(self, members: int) -> BanditSettings:
        """With ``anneal`` where nobody gave it: over half of the pulls that each learns from."""
        learner_pulls, of_team = float(self.pulls), self.team_options
        if self.team is not None:
            team = TEAMS[self.team]
            learner_pulls *= team.lessons(members)
            explorer = BANDITS[of_team["chooser"]] if "chooser" in of_team else team
            of_team = over_half(explorer, self.pulls) | of_team
        learning = over_half(BANDITS[self.learner], learner_pulls) | self.learner_options
        return dataclasses.replace(self, learner_options=learning, team_options=of_team)


def _environment_of(options: Mapping[str, Any]) -> tuple[dict[str, Any], GanSizes]:
    """The options of the environment, and those of the GAN that is to be trained for it."""
    for name in _LEFT_OUT:
        if options[name] is not None:
            raise ValueError(f"--{name.replace('_', '-')} is not for --algo bandit; see docs/latent.md")
    if options["suite"] != "faces":
        raise ValueError("--suite is not for --algo bandit; --data names what the GAN is trained on")
    environment = parse_overrides(options["env"], "--env")
    known = {field.name for field in dataclasses.fields(BanditConfig)}
    unknown = sorted(set(environment) - known - set(_GAN_OPTIONS))
    if unknown:
        raise ValueError(f"--env: unknown option {unknown[0]!r}; known: {', '.join(sorted(known | {*_GAN_OPTIONS}))}")
    sizes = {_GAN_OPTIONS[name]: environment.pop(name) for name in _GAN_OPTIONS if name in environment}
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"gan_{name} must be a whole number of at least 1, not {value!r}")
    if "gan" in environment and (sizes or options["resolution"] is not None):
        raise ValueError("a GAN that is loaded has its own resolution and sizes; leave them out beside gan=PATH")
    for name in ("reward", "cache_dir"):
        if options[name] is not None:
            environment[name] = options[name]
    data = join_data_dir(options["data"], options["data_dir"])
    if data is not None and environment.setdefault("data", data) != data:
        raise ValueError(f"--data {data} and --env data={environment['data']} differ; one of them is enough")
    environment |= {"device": options["device"], "progress": options["progress"]}
    return environment, GanSizes(**sizes)
