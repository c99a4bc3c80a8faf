"""Compare methods of steering GANs: prepare each with the same budget, play it on the test instances, write it down.

A cell is one method on one table with one seed; cells run side by side, one on each core. A finished cell is never run
again, and one that was learning on this machine goes on from its last checkpoint: --resume RUN_DIR goes on after an
interruption, also with more methods, tables or seeds. docs/comparison.md tells the protocol.

Examples:
    python scripts/compare.py --suite ring --seeds 3
    python scripts/compare.py --suite ring --table rescue,free --methods noop,best_static,ppo,ppo[reward=terminal]
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from agents.cli import fail_in_one_line, parse_overrides
from agents.cluster import connected
from agents.comparison import (
    Cell,
    cell_files,
    check_cell,
    clear_unfinished,
    context_of,
    missing_cells,
    run_cell,
    store_cell,
    write_results,
)
from agents.methods import METHODS, TABLES, Context, default_budget, find_method
from agents.processes import OnStep, run_jobs
from agents.resuming import parse_options
from agents.retries import run_tasks
from agents.run_folder import RunFolder, git_commit, hold, provenance
from agents.variants import split_names
from gan_backbones.files import read_json
from gan_backbones.threads import available_cores
from gan_env import get_suite
from gan_env.quality import cached_data, make_grader, make_proxy

PROBLEM = (
    "data",
    "resolution",
    "backbone",
    "backbone_options",
    "loss",
    "batch_size",
    "updates_per_step",
    "decisions",
    "precision",
    "strategy",
)
"""Options of the environment that describe the problem; what an agent sees and does is the method's."""
FIXED = ("suite", "budget", "env")
"""Options that all cells of a run folder share."""


@dataclass(frozen=True)
class Options:
    """Options of compare.py."""

    suite: str = "ring"
    """Suite whose test instances are played; train_agent.py --list names all."""
    table: str = "rescue"
    """rescue, free, or both with a comma."""
    methods: str = "noop,random,oracle,cosine,best_static,best_schedule,ada,gap_aware,apfl,pbt,dqn,ppo,taught_ppo"
    """Methods with commas, --list names all; NAME[OPTION=VALUE;...] is a variant: docs/comparison.md."""
    seeds: int = 10
    """Cells of each method that depends on its seed: seeds 0 to this one less 1."""
    budget: int | None = None
    """GAN updates of each cell for tuning, training and validation; by default 360000 for points, 320000 for images."""
    env: tuple[str, ...] = ()
    """The problem, where it is not the suite's, as NAME=VALUE, e.g. --env decisions=50 batch_size=32."""
    jobs: int | None = None
    """Cells that run side by side; by default one per core, of all machines of a cluster."""
    cluster: str | None = None
    """Run cells as Ray tasks: local, auto or HOST:PORT; docs/cluster.md."""
    run_dir: Path | None = None
    """Folder to write or to go on with; by default runs/compare-SUITE-TIME."""
    resume: Path | None = None
    """Folder of a comparison to go on with: as --run-dir, with the options that it had."""
    cache_dir: Path | None = None
    """Where prepared data are kept; by default the user's cache folder."""
    progress: bool = True
    """Show a progress bar."""
    list: bool = False
    """Print every method, and stop."""


def main() -> None:
    options = parse_options(Options, __doc__, FIXED)
    if options.list:
        print_methods()
    else:
        compare(options)


def compare(options: Options) -> None:
    """Run the cells that are missing."""
    console = Console(soft_wrap=False, markup=False)
    torch.set_num_threads(1)
    tables, methods = split_names(options.table), split_names(options.methods)
    unknown = [table for table in tables if table not in TABLES]
    if unknown:
        raise ValueError(f"unknown table {unknown[0]!r}; known: {', '.join(TABLES)}")
    chosen = {name: find_method(name) for name in methods}
    if options.seeds < 1 or (options.jobs is not None and options.jobs < 1):
        raise ValueError(f"--seeds and --jobs must be at least 1, not {options.seeds} and {options.jobs}")
    get_suite(options.suite)
    env = parse_overrides(options.env, "--env")
    strangers = sorted(set(env) - set(PROBLEM))
    if strangers:
        raise ValueError(f"--env: unknown option {strangers[0]!r}; known: {', '.join(PROBLEM)}")
    env |= {"cache_dir": options.cache_dir and options.cache_dir.absolute()}
    budget = default_budget(options.suite) if options.budget is None else options.budget
    context = Context(options.suite, tables[0], 0, budget, env)
    run = options.resume or options.run_dir or Path("runs") / f"compare-{options.suite}-{datetime.now():%Y%m%d-%H%M%S}"

    options = dataclasses.replace(options, budget=budget)
    require_same_problem(run, options)
    for cell in missing_cells(run, tables, methods, range(options.seeds)):
        check_cell(cell, context)

    commit = git_commit()

    def work(cell: Cell, on_step: OnStep) -> None:
        run_cell(run, cell, dataclasses.replace(context, on_step=on_step), commit)

    with connected(options.cluster) as cluster, run_folder(run, options, console):
        clear_unfinished(run)
        for suite in dict.fromkeys([options.suite, *(method.suite for method in chosen.values() if method.suite)]):
            prepare_data(dataclasses.replace(context, suite=suite), console)
        cells = missing_cells(run, tables, methods, range(options.seeds))
        expected = {cell: chosen[cell.method].expected_updates(context_of(cell, context)) for cell in cells}
        tasks = None if cluster is None else cluster.tasks(functools.partial(cell_files, context, commit))
        jobs = options.jobs or (available_cores() if tasks is None else tasks.room())
        console.print(
            f"{len(methods)} methods on {options.suite}, {budget} GAN updates for each: {len(cells)} cells to run, "
            f"{jobs} side by side; writing {run}",
            highlight=False,
        )
        hidden = None if options.progress else True
        bar = tqdm(
            total=sum(expected.values()),
            unit="update",
            unit_scale=True,
            dynamic_ncols=True,
            smoothing=0.02,
            disable=hidden,
        )
        failures: list[Cell] = []
        ended: list[Cell] = []

        def done(cell: Cell, problem: str | None) -> None:
            ended.append(cell)
            bar.set_postfix_str(f"{len(cells) - len(ended)} of {len(cells)} cells left")
            if problem is not None:
                failures.append(cell)
                tqdm.write(f"cell {cell} failed:\n{problem}", file=sys.stderr)
            write_results(run)

        def arrived(cell: Cell, files: Mapping[str, bytes]) -> None:
            store_cell(run, cell, files)
            bar.update(expected[cell])

        def stalled(left: int) -> None:
            tqdm.write(f"waiting for a machine: {left} cells left", file=sys.stderr)

        try:
            if tasks is None:
                run_jobs(cells, work, jobs, on_progress=lambda made: bar.update(made - bar.n), on_done=done)
            elif lost := run_tasks(cells, tasks, options.jobs, on_result=arrived, on_done=done, on_stall=stalled):
                print(f"{lost} cells were lost with the machines that ran them, and begun again", file=sys.stderr)
        except KeyboardInterrupt:
            bar.close()
            again = shlex.join(["python", sys.argv[0], "--resume", str(run)])
            print(f"stopped; finished cells are kept. Go on with: {again}")
            raise
        finally:
            bar.close()
            clear_unfinished(run)
            write_results(run)
    if failures:
        print(f"{len(failures)} of {len(cells)} cells failed; the same command tries them again", file=sys.stderr)
        sys.exit(1)
    console.print(
        f"{run / 'results.jsonl'} holds every grade; python scripts/report.py {run} makes a page of it", highlight=False
    )


@contextlib.contextmanager
def run_folder(run: Path, options: Options, console: Console) -> Iterator[None]:
    """Hold a run folder, begun now or earlier.

    Raises ``ValueError`` where its cells were made with other options, or another process is writing there.
    """
    given = as_json(options)
    record, here = run / "config.json", provenance("cpu")
    if not record.is_file():
        folder = RunFolder(run)
        folder.create()
        folder.write_json(record.name, here | {"options": given})
    with hold(run):
        require_same_problem(run, options)
        config = read_config(record)
        if config != here | {"options": given}:
            again = here | {"options": given}
            RunFolder.existing(run).note_continuation(again, lambda text: console.print(text, style="yellow"))
        yield


def require_same_problem(run: Path, options: Options) -> None:
    """Raise ``ValueError`` where ``run`` was begun with another suite, budget or problem."""
    record, given = run / "config.json", as_json(options)
    if record.is_file():
        config = read_config(record)
        for name in FIXED:
            if (begun := config["options"].get(name)) != given[name]:
                raise ValueError(f"{run} was begun with --{name} {begun}, not {given[name]}; name another --run-dir")


def as_json(options: Options) -> dict[str, Any]:
    """The options as they stand in a record."""
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(options), default=str))
    return content


def read_config(path: Path) -> dict[str, Any]:
    """What a comparison wrote."""
    try:
        config: dict[str, Any] = read_json(path)
        config["options"]["methods"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path.parent} is no run folder of compare.py; name another --run-dir") from None
    return config


def prepare_data(context: Context, console: Console) -> None:
    """Load and measure once what each cell would otherwise load and measure for itself."""
    config = context.config()
    tasks = context.resolved_suite.all_tasks()
    console.print(f"preparing {', '.join(dict.fromkeys(task.data for task in tasks))} ...", highlight=False)
    device = torch.device(config.device)
    for task in tasks:
        data = cached_data(task.data, task.resolution, config.cache_dir, config.progress)
        make_proxy(data, task.proxy_samples, device, config.cache_dir, config.progress)
        make_grader(data, task.grade_samples, device, config.cache_dir, config.progress)


def print_methods() -> None:
    """Every method with its kind."""
    table = Table("method", "kind", "what it does", box=None, padding=(0, 2, 0, 0))
    for name, method in METHODS.items():
        table.add_row(name, method.kind, escape(method.description))
    Console().print(table, highlight=False)


if __name__ == "__main__":
    fail_in_one_line(main)
