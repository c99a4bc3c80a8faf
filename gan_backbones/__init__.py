"""Generative models and everything about them; torch only.

The table :data:`BACKBONES` names the generator/discriminator pairs, :func:`build` makes one, and
:class:`GanPopulation` trains any number of them as one batch.
"""

from gan_backbones import dcgan, mlp, mspg  # noqa: F401  (each registers itself in BACKBONES)
from gan_backbones.backbone import BACKBONES, PAIR_KNOBS, Backbone, GanPair, build, initialise, register_backbone
from gan_backbones.checkpoint import GanMeta, load_gan, save_gan
from gan_backbones.foreign import register_gan
from gan_backbones.losses import LOSSES, AdversarialLoss, register_loss
from gan_backbones.population import OPTIONAL_KNOBS, GanPopulation, ReplicaSetup
from gan_backbones.regularisers import REGULARISERS
from gan_backbones.train_stats import TrainStats

__all__ = [
    "BACKBONES",
    "LOSSES",
    "OPTIONAL_KNOBS",
    "PAIR_KNOBS",
    "REGULARISERS",
    "AdversarialLoss",
    "Backbone",
    "GanMeta",
    "GanPair",
    "GanPopulation",
    "ReplicaSetup",
    "TrainStats",
    "build",
    "initialise",
    "load_gan",
    "register_backbone",
    "register_gan",
    "register_loss",
    "save_gan",
]
