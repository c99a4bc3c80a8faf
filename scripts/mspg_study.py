"""What MSPG-SEN is worth, part by part: the experiments of its source, each with a record. docs/mspg.md tells what came
out. ``mspg_study.py ablation --help`` and the like say more.

Example: python scripts/mspg_study.py ablation --seeds 0 1 2 --budget.updates 1000
Example: python scripts/mspg_study.py auxiliary-sweep --weights 0.01 0.1 1 10
Example: python scripts/mspg_study.py overfit
Example: python scripts/mspg_study.py q-values --total-timesteps 6000
Example: python scripts/mspg_study.py learning-rate --rates 1e-4 1e-3 1e-2 1e-1
Example: python scripts/mspg_study.py cost --turns 15
Example: python scripts/mspg_study.py equal-time --seeds 0 1 2 3 4
Example: python scripts/mspg_study.py sanity
"""

from __future__ import annotations

from typing import Annotated

import tyro
from mspg_parts import ablation, agent, auxiliary, cost, equal_time, overfit, rates, sanity

from agents.cli import fail_in_one_line

_RUN = {
    ablation.AblationOptions: ablation.run,
    auxiliary.AuxiliaryOptions: auxiliary.run,
    overfit.OverfitOptions: overfit.run,
    agent.AgentOptions: agent.run,
    rates.RatesOptions: rates.run,
    cost.CostOptions: cost.run,
    equal_time.EqualTimeOptions: equal_time.run,
    sanity.SanityOptions: sanity.run,
}


def main() -> None:
    options = tyro.cli(
        Annotated[ablation.AblationOptions, tyro.conf.subcommand("ablation", description=ablation.__doc__)]
        | Annotated[auxiliary.AuxiliaryOptions, tyro.conf.subcommand("auxiliary-sweep", description=auxiliary.__doc__)]
        | Annotated[overfit.OverfitOptions, tyro.conf.subcommand("overfit", description=overfit.__doc__)]
        | Annotated[agent.AgentOptions, tyro.conf.subcommand("q-values", description=agent.__doc__)]
        | Annotated[rates.RatesOptions, tyro.conf.subcommand("learning-rate", description=rates.__doc__)]
        | Annotated[cost.CostOptions, tyro.conf.subcommand("cost", description=cost.__doc__)]
        | Annotated[equal_time.EqualTimeOptions, tyro.conf.subcommand("equal-time", description=equal_time.__doc__)]
        | Annotated[sanity.SanityOptions, tyro.conf.subcommand("sanity", description=sanity.__doc__)],
        description=__doc__,
    )
    _RUN[type(options)](options)


if __name__ == "__main__":
    fail_in_one_line(main)
