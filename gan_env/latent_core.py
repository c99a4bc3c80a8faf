"""Drawing from a frozen GAN, for N rows at once: one forward pass for a batch of actions, none where all is known."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_backbones.attributes import AttributeReader
from gan_backbones.calibration import Calibration
from gan_env.config import check_device
from gan_env.core import StepResult
from gan_env.frozen_gan import (
    Facts,
    FrozenGan,
    Looks,
    calibration_of,
    data_name_of,
    frozen_gan,
    parse_target,
    readable_attributes,
    reader_of,
    reference_latents,
    typical_distance,
    value_frequencies,
)
from gan_env.latent_actions import Codebook, LatentActions, Reach
from gan_env.latent_config import BanditConfig, BoxConfig, LatentConfig
from gan_env.latent_reward import Draw, needs_of, parse_latent_reward, reward_terms


@dataclass(frozen=True)
class LatentEpisode:
    """What an episode is of: the seed of its noise."""

    seed: int


class LatentCore:
    """N episodes of drawing from one frozen GAN.

    What depends on the action alone is computed once: without noise the images of a codebook are judged before the
    first draw, and without terms that look back their rewards are, too.
    """

    def __init__(self, config: LatentConfig, size: int) -> None:
        self.config, self.size = config, size
        self.gan = frozen_gan(Path(config.gan), check_device(config.device))
        self.weights = parse_latent_reward(config.reward)
        self.actions: LatentActions = actions_of(config, self.gan.latent_size)
        needs = needs_of(self.weights)
        self._reader, self.facts = gather_facts(self.gan, config, needs)
        self.instances: list[LatentEpisode | None] = [None] * size
        self._pulls = np.zeros(size, dtype=np.int64)
        self._seen = self.actions.blank(size)
        self.latents = torch.zeros(size, self.gan.latent_size)
        """``(N, latent_size)``: what each row drew last, noise included; zeros before its first draw."""
        self._rngs: list[np.random.Generator | None] = [None] * size
        self._looks_back = "history" in needs
        memory = config.memory if self._looks_back else 0
        look = self.gan.look(reference_latents(self.gan)[:1], self._reader)
        self._recent = np.zeros((size, memory, look.thumbnails.shape[1]), np.float32)
        self._recent_attributes = np.zeros((size, memory, look.attributes.shape[1]), np.float32)

    @cached_property
    def known(self) -> Looks | None:
        """What every code's image is, where that does not change."""
        if not isinstance(self.actions, Codebook) or self.config.noise:
            return None
        return self.gan.look(self.actions.codes, self._reader, self.config.progress)

    @cached_property
    def known_terms(self) -> dict[str, NDArray[np.float64]] | None:
        """Every code's weighted reward terms ``(K,)``, where they do not change."""
        if self.known is None or self._looks_back:
            return None
        return self._terms(self.known, [])

    def draw(self, row: int, rng: np.random.Generator) -> LatentEpisode:
        """A fresh episode."""
        return LatentEpisode(int(rng.integers(2**62)))

    def reset(self, rows: Sequence[int], instances: Sequence[LatentEpisode]) -> NDArray[Any]:
        """Begin an episode in each of ``rows``; returns their observations."""
        chosen = list(rows)
        for row, instance in zip(chosen, instances, strict=True):
            self.instances[row] = instance
            self._rngs[row] = np.random.default_rng(instance.seed) if self.config.noise else None
        self._pulls[chosen] = 0
        self._seen[chosen] = self.actions.blank(len(chosen))
        self.latents[chosen] = 0.0
        return self.observations(chosen)

    def step(self, rows: Sequence[int], actions: object) -> StepResult:
        """Draw once in each of ``rows``; other rows stay as they are."""
        chosen = list(rows)
        read = self.actions.read(actions, len(chosen))
        latents = self._noisy(chosen, self.actions.latents(read))
        if self.known_terms is not None and self.known is not None:
            terms = {name: column[read] for name, column in self.known_terms.items()}
            logits = self.known.logits[read]
        else:
            looks = self.gan.look(latents, self._reader) if self.known is None else self.known.rows(read)
            terms = self._terms(looks, chosen)
            logits = looks.logits
            if self._looks_back:
                slots = self._pulls[chosen] % self.config.memory
                self._recent[chosen, slots] = looks.thumbnails
                self._recent_attributes[chosen, slots] = looks.attributes
        self._pulls[chosen] += 1
        self.latents[chosen] = latents
        self._seen[chosen] = self.actions.shown(read, latents)
        infos = {"reward_terms": terms, "logit": logits} | self.infos(chosen)
        rewards = np.sum(list(terms.values()), axis=0)
        ended = self._pulls[chosen] >= self.config.pulls
        return StepResult(self.observations(chosen), rewards, ended, infos, truncated=np.zeros_like(ended))

    def observations(self, rows: Sequence[int]) -> NDArray[Any]:
        """What each of ``rows`` shows at present."""
        return self._seen[list(rows)]

    def infos(self, rows: Sequence[int]) -> dict[str, Any]:
        """Draws made in each row's episode."""
        return {"pulls": self._pulls[list(rows)]}

    def image(self, row: int) -> Tensor:
        """``(1, C, H, W)``: what ``row`` drew last; before its first draw, the image of the latent 0."""
        return self.gan.sample(self.latents[row : row + 1])

    def get_state(self) -> dict[str, Any]:
        """Everything in mid-episode, copied: plain values, arrays and tensors. :meth:`set_state` continues exactly."""
        return {name: copy.deepcopy(getattr(self, name)) for name in _ROWS} | {
            "instances": [None if one is None else dataclasses.asdict(one) for one in self.instances],
            "rngs": [None if rng is None else rng.bit_generator.state for rng in self._rngs],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`get_state` of an environment with equal options returned."""
        for name in _ROWS:
            setattr(self, name, copy.deepcopy(state[name]))
        self.instances = [None if one is None else LatentEpisode(**one) for one in state["instances"]]
        self._rngs = [None if saved is None else np.random.default_rng() for saved in state["rngs"]]
        for rng, saved in zip(self._rngs, state["rngs"], strict=True):
            if rng is not None:
                rng.bit_generator.state = saved

    def close(self) -> None:
        """Nothing is held."""

    def _noisy(self, rows: Sequence[int], latents: Tensor) -> Tensor:
        if not self.config.noise:
            return latents
        noise = np.empty(latents.shape, np.float32)
        for place, row in enumerate(rows):
            rng = self._rngs[row]
            assert rng is not None
            rng.standard_normal(dtype=np.float32, out=noise[place])
        return latents + self.config.noise * torch.from_numpy(noise)

    def _terms(self, looks: Looks, rows: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        chosen = list(rows)
        drawn = np.arange(self._recent.shape[1]) < self._pulls[chosen][:, None]
        counts = np.maximum(drawn.sum(1), 1)
        means = (self._recent_attributes[chosen] * drawn[..., None]).sum(1, dtype=np.float64) / counts[:, None]
        return reward_terms(self.weights, Draw(looks, self._recent[chosen], drawn, means, self.facts))


_ROWS = ("_pulls", "_seen", "latents", "_recent", "_recent_attributes")


def actions_of(config: LatentConfig, latent_size: int) -> LatentActions:
    """What reads the actions of an environment with these options."""
    if isinstance(config, BanditConfig):
        shows_last = config.observation == "last"
        return Codebook.draw(config.codes, latent_size, config.codebook_seed, shows_last=shows_last)
    assert isinstance(config, BoxConfig)
    return Reach(latent_size, config.reach, config.noise)


def gather_facts(gan: FrozenGan, config: LatentConfig, needs: frozenset[str]) -> tuple[AttributeReader | None, Facts]:
    """What the terms of a reward need to know, and no more."""
    reader: AttributeReader | None = None
    columns: Mapping[str, slice] = {}
    readable: tuple[str, ...] = ()
    wanted: tuple[tuple[int, ...], ...] = ()
    frequencies, calibration, distance = np.zeros(0), Calibration(), 1.0
    if "attributes" in needs:
        reader, data = reader_of(gan, data_name_of(gan, config.data), config.cache_dir, config.progress)
        columns, readable, frequencies = reader.columns, readable_attributes(reader, data), value_frequencies(data)
        if not readable:
            raise ValueError(f"no attribute of data set {data.name!r} can be read at {data.sample_shape[-1]} pixels")
        if "target" in needs:
            wanted = parse_target(config.target, reader, readable)
        reader = reader.to(gan.device)
    if "calibration" in needs:
        calibration = calibration_of(gan, data_name_of(gan, config.data), config.cache_dir, config.progress)
    if "history" in needs:
        distance = typical_distance(gan.look(reference_latents(gan)))
    return reader, Facts(calibration, columns, readable, frequencies, wanted, distance)
