"""Throughput, measured side by side in one run. ``bench.py env`` and ``bench.py population`` say more with --help.

Example: python scripts/bench.py env --suite faces
Example: python scripts/bench.py population --sizes 1 4 16
"""

from __future__ import annotations

from typing import Annotated

import tyro
from benchmarks import environment, population

from agents.cli import fail_in_one_line


def main() -> None:
    options = tyro.cli(
        Annotated[environment.EnvOptions, tyro.conf.subcommand("env", description=environment.__doc__)]
        | Annotated[population.PopulationOptions, tyro.conf.subcommand("population", description=population.__doc__)],
        description=__doc__,
    )
    (environment if isinstance(options, environment.EnvOptions) else population).run(options)


if __name__ == "__main__":
    fail_in_one_line(main)
