"""Throughput, measured side by side in one run. ``bench.py env``, ``bench.py population`` and ``bench.py ral`` say
more with --help.

Example: python scripts/bench.py env --suite faces
Example: python scripts/bench.py population --sizes 1 4 16
Example: python scripts/bench.py ral
"""

from __future__ import annotations

from typing import Annotated

import tyro
from benchmarks import environment, population, ral

from agents.cli import fail_in_one_line


def main() -> None:
    options = tyro.cli(
        Annotated[environment.EnvOptions, tyro.conf.subcommand("env", description=environment.__doc__)]
        | Annotated[population.PopulationOptions, tyro.conf.subcommand("population", description=population.__doc__)]
        | Annotated[ral.RalBenchOptions, tyro.conf.subcommand("ral", description=ral.__doc__)],
        description=__doc__,
    )
    if isinstance(options, environment.EnvOptions):
        environment.run(options)
    elif isinstance(options, population.PopulationOptions):
        population.run(options)
    else:
        ral.run(options)


if __name__ == "__main__":
    fail_in_one_line(main)
