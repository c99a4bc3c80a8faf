"""Generative models and everything about them; torch only.

The table :data:`BACKBONES` names the generator/discriminator pairs, :func:`build` makes one, and
:class:`GanPopulation` trains any number of them as one batch.
"""

from gan_backbones import dcgan, mlp  # noqa: F401  (each registers itself in BACKBONES)
from gan_backbones.backbone import BACKBONES, Backbone, GanPair, build, initialise, register_backbone
from gan_backbones.losses import LOSSES, AdversarialLoss, register_loss
from gan_backbones.population import GanPopulation, ReplicaSetup, TrainStats
from gan_backbones.regularisers import REGULARISERS

__all__ = [
    "BACKBONES",
    "LOSSES",
    "REGULARISERS",
    "AdversarialLoss",
    "Backbone",
    "GanPair",
    "GanPopulation",
    "ReplicaSetup",
    "TrainStats",
    "build",
    "initialise",
    "register_backbone",
    "register_loss",
]
