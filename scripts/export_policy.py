"""Make a run's policy one that works without the library it was trained with: a file for agents.balancer.Balancer.

Example: python scripts/export_policy.py runs/ring-ppo-0-20260101-120000 --output policy.safetensors
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from agents.cli import fail_in_one_line
from agents.policies.export import export_policy
from agents.seen_features import read_ranges
from agents.trained import load_run
from gan_backbones.files import read_json


@dataclass(frozen=True)
class Options:
    """Options of export_policy.py."""

    run_dir: tyro.conf.Positional[Path]
    """Run folder that train_agent.py wrote."""
    output: Path | None = None
    """File to write, NAME.safetensors; by default policy.safetensors in the run folder."""
    decisions: int | None = None
    """Decisions that a balancer makes where nothing else is asked for; by default as many as in the suite's longest
    episodes. What a policy makes of other numbers, horizons.py tells."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    output = options.output or options.run_dir / "policy.safetensors"
    if output.suffix != ".safetensors":
        raise ValueError(f"--output must end with .safetensors, not {output.name!r}")
    if options.decisions is not None and options.decisions < 1:
        raise ValueError(f"--decisions must be at least 1, not {options.decisions}")
    policy, config, settings = load_run(options.run_dir)
    seen = read_ranges(options.run_dir / "feature_ranges.json")
    if not seen:
        print("no feature_ranges.json: the bounds of the features stand for what was seen in training")
    kept = ("command", "versions", "git_commit", "hardware", "total_timesteps", "num_envs", "options", "algorithm")
    training = {name: settings[name] for name in kept if name in settings}
    for name in ("validation", "evaluation"):
        training[name] = _read(options.run_dir / f"{name}.json")
    exported = export_policy(policy, config, seen, training, options.decisions)
    try:
        exported.save(output)
    except OSError as error:
        raise ValueError(f"cannot write {output}: {error.strerror}") from None
    print(f"wrote {output} ({output.stat().st_size:,} bytes): {', '.join(config.knobs)}, {config.action_type}")


def _read(path: Path) -> Any:
    return read_json(path) if path.exists() else None


if __name__ == "__main__":
    fail_in_one_line(main)
