"""Runs an unmodified script of CleanRL under Gymnasium 1.x, with the vector interface that the script was written for.

Example: python examples/cleanrl.py cleanrl/cleanrl/dqn.py --env-id gan_env:GanBalanceEnv-ring-v0

CleanRL expects Gymnasium 0.29: an environment that ends is reset within the same step, ``infos["final_info"]`` is a
list and ``infos["final_observation"]`` holds last observations. Gymnasium 1.x resets in the next step by default and
names and packs these differently (https://gymnasium.farama.org/introduction/migration_guide/).
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorWrapper


class FormerVectorEnv(VectorWrapper):
    """Environments one after the other, as Gymnasium 0.29 gave them."""

    def __init__(self, env_fns: Sequence[Callable[[], gym.Env]]) -> None:
        super().__init__(SyncVectorEnv(env_fns, autoreset_mode=AutoresetMode.SAME_STEP))

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        if "final_info" in infos:
            ended = np.logical_or(terminations, truncations)
            infos["final_observation"] = infos.pop("final_obs")
            infos["final_info"] = [_row(infos["final_info"], index) if end else None for index, end in enumerate(ended)]
        return observations, rewards, terminations, truncations, infos


def _row(columns: dict[str, Any], index: int) -> dict[str, Any]:
    """One environment's part of packed infos."""
    return {
        name: _row(column, index) if isinstance(column, dict) else column[index]
        for name, column in columns.items()
        if not name.startswith("_")
    }


def main() -> None:
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        print("error: name a script of CleanRL, e.g. cleanrl/cleanrl/dqn.py", file=sys.stderr)
        sys.exit(2)
    script = Path(sys.argv[1]).resolve()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(script.parents[1]))  # where cleanrl_utils lies
    gym.vector.SyncVectorEnv = FormerVectorEnv  # type: ignore[misc,assignment]  # what the script will find
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
