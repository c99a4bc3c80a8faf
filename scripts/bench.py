"""Throughput, cost and exactness, measured side by side in one run. ``bench.py env --help`` and the like say more.

Example: python scripts/bench.py env --suite faces
Example: python scripts/bench.py population --sizes 1 4 16
Example: python scripts/bench.py attention --resolutions 32 64
Example: python scripts/bench.py metrics --json docs/results/metrics/bench.json
Example: python scripts/bench.py proxy --data faces,digits
Example: python scripts/bench.py ral
Example: python scripts/bench.py profile --device cuda --num-envs 64
Example: python scripts/bench.py latent --json docs/results/latent/speed.json
"""

from __future__ import annotations

from typing import Annotated

import tyro
from benchmarks import attention, environment, latent, metrics, population, profiling, proxy, ral

from agents.cli import fail_in_one_line

_RUN = {
    environment.EnvOptions: environment.run,
    population.PopulationOptions: population.run,
    attention.AttentionOptions: attention.run,
    metrics.MetricsOptions: metrics.run,
    proxy.ProxyOptions: proxy.run,
    ral.RalBenchOptions: ral.run,
    profiling.ProfileOptions: profiling.run,
    latent.LatentBenchOptions: latent.run,
}


def main() -> None:
    options = tyro.cli(
        Annotated[environment.EnvOptions, tyro.conf.subcommand("env", description=environment.__doc__)]
        | Annotated[population.PopulationOptions, tyro.conf.subcommand("population", description=population.__doc__)]
        | Annotated[attention.AttentionOptions, tyro.conf.subcommand("attention", description=attention.__doc__)]
        | Annotated[metrics.MetricsOptions, tyro.conf.subcommand("metrics", description=metrics.__doc__)]
        | Annotated[proxy.ProxyOptions, tyro.conf.subcommand("proxy", description=proxy.__doc__)]
        | Annotated[ral.RalBenchOptions, tyro.conf.subcommand("ral", description=ral.__doc__)]
        | Annotated[profiling.ProfileOptions, tyro.conf.subcommand("profile", description=profiling.__doc__)]
        | Annotated[latent.LatentBenchOptions, tyro.conf.subcommand("latent", description=latent.__doc__)],
        description=__doc__,
    )
    _RUN[type(options)](options)


if __name__ == "__main__":
    fail_in_one_line(main)
