"""Options of the environments over a frozen GAN."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gan_env.config import check_device, require_folder, require_texts
from gan_env.latent_reward import needs_of, parse_latent_reward

LARGEST = 1000.0
"""Of what noise and reach may be, in standard deviations of the latents that a GAN is trained on."""


@dataclass(frozen=True)
class LatentConfig:
    """What both environments accept. A wrong value raises ``ValueError`` with one line that names the allowed ones."""

    gan: str | Path = ""
    """Checkpoint of a GAN, as ``train_gan.py`` writes it; there is no default."""
    reward: str = "discriminator"
    """Preset, or terms with weights, as ``calibrated=1,diversity=0.5``; the terms are in ``gan_env.latent_reward``."""
    target: str = ""
    """Attributes that the term ``target`` asks for, as ``hair_colour=red,accessory=round|kurt``."""
    noise: float = 0.0
    """Standard deviation of what is added to every latent: the same action gives another image each time."""
    pulls: int = 100
    """Draws of an episode."""
    memory: int = 64
    """Draws that the terms ``diversity`` and ``balance`` look back, within the episode."""
    data: str | None = None
    """Data set of calibration and attributes; by default the one that the checkpoint was trained on."""
    device: str = "cpu"
    """Where the networks are."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    progress: bool = False
    """Show progress while latents are scored and attributes are learned."""

    def __post_init__(self) -> None:
        require_texts(self, "target", "device")
        require_texts(self, "data", optional=True)
        require_folder(self)
        if not isinstance(self.gan, str | Path):
            raise ValueError(f"gan must be the path of a checkpoint, not {self.gan!r}")
        if not self.gan:
            raise ValueError("gan=PATH has to name the checkpoint of a GAN; scripts/train_gan.py writes one")
        needs = needs_of(parse_latent_reward(self.reward))
        if ("target" in needs) != bool(self.target):
            raise ValueError(
                "target= names attributes for the reward term 'target', as target='hair_colour=red'; "
                f"got reward {self.reward!r} and target {self.target!r}"
            )
        if not isinstance(self.noise, int | float) or not 0 <= self.noise <= LARGEST:
            raise ValueError(f"noise must be a standard deviation from 0 to {LARGEST:g}, not {self.noise!r}")
        require_counts(self, "pulls", "memory")
        check_device(self.device)


@dataclass(frozen=True)
class BanditConfig(LatentConfig):
    """Options of ``GanLatentBandit-v0``."""

    codes: int = 1024
    """K: latents in the codebook, drawn from N(0, I)."""
    codebook_seed: int = 0
    """Seed of the codebook, which is the same in every episode."""
    observation: str = "constant"
    """``constant``, or ``last``: the index of the last draw."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(self, "codes")
        if self.observation not in ("constant", "last"):
            raise ValueError(f"unknown observation {self.observation!r}; known: constant, last")
        if not isinstance(self.codebook_seed, int) or not 0 <= self.codebook_seed < 2**63:
            raise ValueError(f"codebook_seed must lie in 0..2^63-1, not {self.codebook_seed!r}")


@dataclass(frozen=True)
class BoxConfig(LatentConfig):
    """Options of ``GanLatentBox-v0``."""

    reach: float = 3.0
    """Largest entry of a latent: what an action of 1 means."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.reach, int | float) or not 0 < self.reach <= LARGEST:
            raise ValueError(f"reach must be a number above 0, {LARGEST:g} at most, not {self.reach!r}")


def require_counts(config: object, *names: str) -> None:
    """Raise ``ValueError`` unless the fields are whole numbers from 1 up."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
