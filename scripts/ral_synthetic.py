"""Reinforced adversarial learning where the truth is known: the data come from an oracle, a fixed random autoregressive
model over an 8x8 map, which scores the learner's samples by its exact likelihood.

For each seed: few training maps; a prior by maximum likelihood, stopped where it predicts held-out maps best; the same
prior tuned by RAL. Both then sample with the same random numbers. Sampling maximum likelihood at lower temperatures is
the rival that costs nothing: it, too, trades likelihood of held-out maps for likelier samples.

Example: python scripts/ral_synthetic.py --json docs/results/ral/synthetic.json
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from agents.cli import fail_in_one_line
from agents.ral import RalOptions, RalTrainer
from agents.ral.exposure import completions, prefixes, sample_many
from agents.ral.oracle import Oracle
from agents.ral.pretraining import train_prior
from agents.ral.rendering import OneHotMaps
from agents.run_folder import provenance
from agents.statistics import bootstrap_interval
from gan_backbones.files import write_atomically
from gan_backbones.patch_critic import PatchCritic, PatchCriticOptions
from gan_backbones.prior import CodePrior, PriorOptions, batched_nll

TEMPERATURES = (0.9, 0.8)
"""At which maximum likelihood is sampled, too."""

MODELS = {"oracle": "oracle", "ml": "maximum likelihood", "ral": "RAL"}


@dataclass(frozen=True)
class Options:
    """Options of ral_synthetic.py."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of data, priors and discriminators; the oracle is always the same."""
    side: int = 8
    """Codes of a side of the map."""
    codes: int = 4
    """Values of a code."""
    sharpness: float = 2.0
    """Scale of the oracle's logits."""
    maps: int = 200
    """Training maps."""
    held_out: int = 300
    """Maps on which maximum likelihood is stopped."""
    samples: int = 2000
    """Maps that are sampled from each prior and graded, and that measure its held-out likelihood."""
    prior: PriorOptions = field(default_factory=lambda: PriorOptions(channels=32, layers=2, heads=4))
    """Sizes of the learner."""
    critic: PatchCriticOptions = field(default_factory=lambda: PatchCriticOptions(width=32, layers=2))
    """Sizes of the discriminator."""
    ml_updates: int = 200
    """Updates of maximum likelihood; the best weights on the held-out maps are kept."""
    ml_learning_rate: float = 4e-3
    """Its rate."""
    ral_updates: int = 200
    """Updates of RAL after its warm-up."""
    ral: RalOptions = field(default_factory=RalOptions)
    """How RAL tunes."""
    json: Path | None = None
    """File for the record."""
    progress: bool = True
    """Show progress bars."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    if min(options.maps, options.held_out, options.ml_updates, options.ral_updates, len(options.seeds)) < 1:
        raise ValueError("--seeds, --maps, --held-out, --ml-updates and --ral-updates must be at least 1")
    if options.samples < 2:
        raise ValueError(f"--samples must be at least 2, not {options.samples}")
    started = time.monotonic()
    oracle = Oracle(options.side, options.codes, sharpness=options.sharpness)
    rows = [run_seed(oracle, seed, options) for seed in options.seeds]
    for view in tables(rows):
        Console().print(view)
    if options.json is not None:
        record = {"options": dataclasses.asdict(options), "seconds": time.monotonic() - started, "seeds": rows}
        record |= {"summary": summary(rows)} | provenance("cpu")
        write_atomically(options.json, (json.dumps(record, indent=1, default=str) + "\n").encode())


def run_seed(oracle: Oracle, seed: int, options: Options) -> dict[str, Any]:
    """Everything for one seed: figures of the oracle, of maximum likelihood and of RAL, nats per code."""
    data = torch.Generator().manual_seed(seed)
    training, held_out, test = (oracle.sample(n, data) for n in (options.maps, options.held_out, options.samples))
    draws = torch.Generator().manual_seed(10_000 + seed)
    prior = CodePrior(options.codes, options.side**2, options.prior, draws)
    hidden = None if options.progress else True
    with tqdm(total=options.ml_updates, desc=f"seed {seed}: likelihood", disable=hidden) as bar:
        fit = train_prior(
            prior,
            training,
            held_out,
            options.ml_updates,
            draws,
            lambda update, figures: bar.update(),
            learning_rate=options.ml_learning_rate,
        )
    critic = PatchCritic(options.codes, 1, options.critic, draws)
    shape = (options.side, options.side)
    rendering = OneHotMaps(training, shape, options.codes)
    trainer = RalTrainer(copy.deepcopy(prior), critic, training, (shape,), rendering, options.ral, draws)
    updates = options.ral.warm_up + options.ral_updates
    for _ in tqdm(range(updates), desc=f"seed {seed}: RAL", disable=hidden):
        trainer.update()
    return {
        "seed": seed,
        "ml_best_update": fit.best_update,
        "oracle": floor(oracle, test),
        "ml": grade(prior, oracle, test, seed),
        "ral": grade(trainer.average, oracle, test, seed),
        "ml_at_temperature": {str(t): grade(prior, oracle, test, seed, t, brief=True) for t in TEMPERATURES},
    }


def floor(oracle: Oracle, test: Tensor) -> dict[str, Any]:
    """What :func:`grade` gives for the oracle itself."""
    scored = oracle.nll(test)
    return {
        "oracle_nll": float(scored.mean()),
        "held_out_nll": float(scored.mean()),
        "oracle_nll_by_row": scored.unflatten(1, (oracle.side, oracle.side)).mean((0, 2)).tolist(),
        "completions": {str(prefix): float(scored[:, prefix:].mean()) for prefix in prefixes(oracle.side**2)},
    }


@torch.no_grad()
def grade(
    prior: CodePrior, oracle: Oracle, test: Tensor, seed: int, temperature: float = 1.0, *, brief: bool = False
) -> dict[str, Any]:
    """The oracle's likelihood of the prior's samples, and the prior's of the oracle's, at a temperature.

    Unless ``brief`` also: the former by row of the map, and of completions of the oracle's prefixes, over the codes
    that were sampled; nats per code.
    """
    draws = torch.Generator().manual_seed(20_000 + seed)  # the same for every prior
    scored = oracle.nll(sample_many(prior, len(test), draws, temperature=temperature))
    nll = functools.partial(prior.nll, temperature=temperature)
    figures: dict[str, Any] = {
        "oracle_nll": float(scored.mean()),
        "held_out_nll": float(batched_nll(nll, test).mean()),
    }
    if not brief:
        figures["oracle_nll_by_row"] = scored.unflatten(1, (oracle.side, oracle.side)).mean((0, 2)).tolist()
        given = test[: min(500, len(test))]
        figures["completions"] = {
            str(prefix): float(oracle.nll(completions(prior, given, prefix, draws))[:, prefix:].mean())
            for prefix in prefixes(oracle.side**2)
        }
    return figures


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and RAL minus maximum likelihood with its 95 % bootstrap interval over seeds."""
    result: dict[str, Any] = {}
    for figure in ("oracle_nll", "held_out_nll"):
        for model in MODELS:
            result[f"{model}_{figure}"] = float(np.mean([row[model][figure] for row in rows]))
        for temperature in TEMPERATURES:
            values = [row["ml_at_temperature"][str(temperature)][figure] for row in rows]
            result[f"ml_at_{temperature}_{figure}"] = float(np.mean(values))
        difference = np.array([row["ral"][figure] - row["ml"][figure] for row in rows])
        result[f"ral_minus_ml_{figure}"] = float(difference.mean())
        result[f"ral_minus_ml_{figure}_ci95"] = bootstrap_interval(difference, lambda values: values.mean(-1))
    for model in MODELS:
        result[f"{model}_by_row"] = np.mean([row[model]["oracle_nll_by_row"] for row in rows], axis=0).tolist()
        lengths = rows[0][model]["completions"]
        result[f"{model}_completions"] = {
            length: float(np.mean([row[model]["completions"][length] for row in rows])) for length in lengths
        }
    return result


def tables(rows: list[dict[str, Any]]) -> tuple[Table, Table]:
    """What a person reads: samples as a whole, and exposure bias by row and by what is given."""
    told = summary(rows)
    differences = [
        "{} {:.4f} [{:.4f}, {:.4f}]".format(name, told[f"ral_minus_ml_{figure}"], *told[f"ral_minus_ml_{figure}_ci95"])
        for name, figure in (("of samples", "oracle_nll"), ("of held-out maps", "held_out_nll"))
    ]
    whole = Table(
        title=f"mean of {len(rows)} seeds, nats per code", caption=f"RAL minus ML: {'; '.join(differences)} (95 %)"
    )
    exposure = Table(title="the oracle's NLL of samples, nats per code")
    for view, columns in (
        (whole, ("model", "oracle's NLL of its samples", "its NLL of held-out maps")),
        (exposure, ("codes", *MODELS.values())),
    ):
        for index, column in enumerate(columns):
            view.add_column(column, justify="right" if index else "left")
    for key, name in (MODELS | {f"ml_at_{t}": f"ML at temperature {t}" for t in TEMPERATURES}).items():
        whole.add_row(name, f"{told[f'{key}_oracle_nll']:.4f}", f"{told[f'{key}_held_out_nll']:.4f}")
    for row in range(len(told["ml_by_row"])):
        exposure.add_row(f"row {row + 1}", *(f"{told[f'{model}_by_row'][row]:.4f}" for model in MODELS))
    exposure.add_section()
    for prefix in told["ml_completions"]:
        exposure.add_row(
            f"sampled after {prefix} given", *(f"{told[f'{model}_completions'][prefix]:.4f}" for model in MODELS)
        )
    return whole, exposure


if __name__ == "__main__":
    fail_in_one_line(main)
