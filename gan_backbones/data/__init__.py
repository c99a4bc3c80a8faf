"""Data sets: everything seeded, everything in memory, registered in one table.

`load_data` is the way in: ``load_data("faces", resolution=32)``, ``load_data("ring")``, ``load_data("folder:PATH")``,
``load_data("cifar10:PATH")``, ``load_data("faces+photos")``. `register_data` adds a source. Each source has its own
file; `cache` keeps what was expensive to compute.
"""

from gan_backbones.data.dataset import DataError, DataSet, Mixture
from gan_backbones.data.registry import (
    DATA_SETS,
    PATH_SETS,
    DataSource,
    PathSource,
    known_names,
    load_data,
    register_data,
)

__all__ = [
    "DATA_SETS",
    "PATH_SETS",
    "DataError",
    "DataSet",
    "DataSource",
    "Mixture",
    "PathSource",
    "known_names",
    "load_data",
    "register_data",
]
