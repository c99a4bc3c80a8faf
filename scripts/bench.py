"""Throughput, cost and exactness, measured side by side in one run. ``bench.py env --help`` and the like say more.

Examples:
    python scripts/bench.py env --suite faces
    python scripts/bench.py population --sizes 1 4 16
    python scripts/bench.py balancer --policy recommended
    python scripts/bench.py attention --resolutions 32 64
    python scripts/bench.py metrics --json docs/results/metrics/bench.json
    python scripts/bench.py proxy --data faces,digits
    python scripts/bench.py ral
    python scripts/bench.py profile --device cuda --num-envs 64
    python scripts/bench.py latent --json docs/results/latent/speed.json
"""

from __future__ import annotations

from benchmarks import attention, balancer, environment, latent, metrics, population, profiling, proxy, ral

from agents.cli import fail_in_one_line, run_subcommand

_PARTS = {
    "env": (environment, environment.EnvOptions),
    "population": (population, population.PopulationOptions),
    "balancer": (balancer, balancer.BalancerBenchOptions),
    "attention": (attention, attention.AttentionOptions),
    "metrics": (metrics, metrics.MetricsOptions),
    "proxy": (proxy, proxy.ProxyOptions),
    "ral": (ral, ral.RalBenchOptions),
    "profile": (profiling, profiling.ProfileOptions),
    "latent": (latent, latent.LatentBenchOptions),
}


def main() -> None:
    run_subcommand(_PARTS, __doc__)


if __name__ == "__main__":
    fail_in_one_line(main)
