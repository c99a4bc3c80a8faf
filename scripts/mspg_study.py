"""What MSPG-SEN is worth, part by part: the experiments of its source, each with a record. docs/mspg.md tells what came
out. ``mspg_study.py ablation --help`` and the like say more.

Examples:
    python scripts/mspg_study.py ablation --seeds 0 1 2 --budget.updates 1000
    python scripts/mspg_study.py auxiliary-sweep --weights 0.01 0.1 1 10
    python scripts/mspg_study.py overfit
    python scripts/mspg_study.py q-values --total-timesteps 6000
    python scripts/mspg_study.py learning-rate --rates 1e-4 1e-3 1e-2 1e-1
    python scripts/mspg_study.py cost --turns 15
    python scripts/mspg_study.py equal-time --seeds 0 1 2 3 4
    python scripts/mspg_study.py sanity
"""

from __future__ import annotations

from mspg_parts import ablation, agent, auxiliary, cost, equal_time, overfit, rates, sanity

from agents.cli import fail_in_one_line, run_subcommand

_PARTS = {
    "ablation": (ablation, ablation.AblationOptions),
    "auxiliary-sweep": (auxiliary, auxiliary.AuxiliaryOptions),
    "overfit": (overfit, overfit.OverfitOptions),
    "q-values": (agent, agent.AgentOptions),
    "learning-rate": (rates, rates.RatesOptions),
    "cost": (cost, cost.CostOptions),
    "equal-time": (equal_time, equal_time.EqualTimeOptions),
    "sanity": (sanity, sanity.SanityOptions),
}


def main() -> None:
    run_subcommand(_PARTS, __doc__)


if __name__ == "__main__":
    fail_in_one_line(main)
