"""Feed garbage to everything that takes something from outside, and see that it is taken or refused with a sentence.

Nothing may hang, nothing may end in a trace, and no number that is not finite may reach an agent. A case that fails is
told with its category and number; --only CATEGORY:NUMBER runs it again.

Examples:
    python scripts/fuzz.py --cases 10000 --seed 0 --json fuzz.json
    python scripts/fuzz.py --only images:17
"""

from __future__ import annotations

import collections
import faulthandler
import json
import os
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from fuzz_parts.actions import Actions
from fuzz_parts.caches import Caches
from fuzz_parts.command_lines import CommandLines
from fuzz_parts.going_on import RunsThatGoOn
from fuzz_parts.images import Images
from fuzz_parts.option_values import EnvironmentOptions, LearnerOptions
from fuzz_parts.run_folders import AgentRuns, Comparisons
from fuzz_parts.tensor_files import Checkpoints, Policies, Stages
from fuzz_parts.verdict import FAILED, REFUSED, TAKEN, Category, Verdict, judge
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from agents.cli import fail_in_one_line
from agents.run_folder import provenance
from gan_backbones.files import write_atomically

CATEGORIES: dict[str, tuple[type, int]] = {
    "command lines": (CommandLines, 20),
    "environment options": (EnvironmentOptions, 10),
    "learner options": (LearnerOptions, 5),
    "actions": (Actions, 20),
    "images": (Images, 10),
    "checkpoints": (Checkpoints, 10),
    "policies": (Policies, 10),
    "stages of RAL": (Stages, 2),
    "caches": (Caches, 5),
    "runs of agents": (AgentRuns, 4),
    "comparisons": (Comparisons, 4),
    "runs that go on": (RunsThatGoOn, 6),
}
"""By name: the class and its share of the cases, in hundredths."""
_SHOWN = 20  # failures that are told on the screen


@dataclass(frozen=True)
class Options:
    """Options of fuzz.py."""

    cases: int = 10_000
    """Cases of all categories together."""
    seed: int = 0
    """Seed of all cases."""
    only: str | None = None
    """A category by its name, or one case of it as CATEGORY:NUMBER."""
    seconds: float = 60.0
    """After so long a case counts as hanging."""
    memory: float = 12.0
    """Gigabytes of address space; what asks for more is refused it. 0: no limit."""
    json: Path | None = None
    """File for the record."""
    progress: bool = True
    """Show a progress bar."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory(prefix="fuzz-cache-") as cache:
        os.environ["GANBALANCE_CACHE"] = cache
        handled = fuzz(options)
    sys.exit(0 if handled else 1)


def fuzz(options: Options) -> bool:
    """Run the cases and print what came of them; gives whether all were handled."""
    plan = _plan(options)
    torch.set_num_threads(1)
    if options.memory:
        _limit_memory(options.memory)
    started = time.monotonic()
    outcomes: dict[str, collections.Counter[str]] = {}
    failures: list[dict[str, object]] = []
    slowest = Verdict(TAKEN, "", 0.0)
    bar = tqdm(total=sum(map(len, plan.values())), unit="case", disable=None if options.progress else True)
    for name, numbers in plan.items():
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            category: Category = CATEGORIES[name][0](Path(folder))
            for number in numbers:
                case = category.case(random.Random(f"{options.seed} {name} {number}"))
                faulthandler.dump_traceback_later(
                    2 * options.seconds, exit=True, file=sys.__stderr__
                )  # no alarm stops C
                verdict = judge(case, options.seconds)
                faulthandler.cancel_dump_traceback_later()
                outcomes.setdefault(name, collections.Counter())[verdict.outcome] += 1
                slowest = max(slowest, verdict, key=lambda one: one.seconds)
                if verdict.outcome == FAILED:
                    failures.append({"case": f"{name}:{number}", "title": case.title, "said": verdict.said})
                    if len(failures) <= _SHOWN or options.only:
                        bar.write(f"{name}:{number}: {case.title}\n{verdict.said}", file=sys.stderr)
                bar.update()
    bar.close()
    total, handled = sum(map(len, plan.values())), sum(map(len, plan.values())) - len(failures)
    seconds = time.monotonic() - started
    Console(markup=False).print(_table(outcomes))
    print(f"{handled:,} of {total:,} cases handled in {seconds:.0f} s; the slowest took {slowest.seconds:.1f} s")
    if options.json is not None:
        record = {
            "handled": handled,
            "cases": total,
            "seed": options.seed,
            "categories": {name: dict(counts) for name, counts in outcomes.items()},
            "slowest_seconds": round(slowest.seconds, 2),
            "failures": failures,
            "seconds": round(seconds, 1),
        }
        content = json.dumps(record | provenance("cpu"), indent=1, default=ascii) + "\n"
        write_atomically(options.json, content.encode())
    return not failures


def _plan(options: Options) -> dict[str, list[int]]:
    """The numbers of the cases of each category."""
    if options.cases < 1 or not options.seconds > 0 or not options.memory >= 0:
        raise ValueError("--cases must be at least 1, --seconds above 0 and --memory not negative")
    if options.only is not None:
        name, _, number = options.only.partition(":")
        if name not in CATEGORIES or not (number.isdecimal() or not number):
            raise ValueError(f"--only takes CATEGORY or CATEGORY:NUMBER, not {options.only!r}; {', '.join(CATEGORIES)}")
        return {name: [int(number)] if number else list(range(options.cases))}
    shares = {name: share for name, (_, share) in CATEGORIES.items()}
    counts = {name: options.cases * share // sum(shares.values()) for name, share in shares.items()}
    counts[next(iter(counts))] += options.cases - sum(counts.values())
    return {name: list(range(count)) for name, count in counts.items() if count}


def _limit_memory(gigabytes: float) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = int(gigabytes * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _table(outcomes: dict[str, collections.Counter[str]]) -> Table:
    table = Table("category", "cases", "taken", "refused", "failed", title="garbage")
    for name, counts in outcomes.items():
        table.add_row(
            name, *(f"{number:,}" for number in (counts.total(), counts[TAKEN], counts[REFUSED], counts[FAILED]))
        )
    return table


if __name__ == "__main__":
    fail_in_one_line(main)
