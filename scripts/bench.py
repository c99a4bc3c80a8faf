"""Throughput and cost, measured side by side in one run. ``bench.py env --help`` and the like say more.

Example: python scripts/bench.py env --suite faces
Example: python scripts/bench.py population --sizes 1 4 16
Example: python scripts/bench.py attention --resolutions 32 64
"""

from __future__ import annotations

from typing import Annotated

import tyro
from benchmarks import attention, environment, population

from agents.cli import fail_in_one_line


def main() -> None:
    options = tyro.cli(
        Annotated[environment.EnvOptions, tyro.conf.subcommand("env", description=environment.__doc__)]
        | Annotated[population.PopulationOptions, tyro.conf.subcommand("population", description=population.__doc__)]
        | Annotated[attention.AttentionOptions, tyro.conf.subcommand("attention", description=attention.__doc__)],
        description=__doc__,
    )
    if isinstance(options, environment.EnvOptions):
        environment.run(options)
    elif isinstance(options, population.PopulationOptions):
        population.run(options)
    else:
        attention.run(options)


if __name__ == "__main__":
    fail_in_one_line(main)
