"""What the stages are worth: distances, likelihoods and completions of held-out images; and the tables of them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from agents.ral.exposure import completions, prefixes
from agents.ral.images import Grader, Split, decode_all, to_pixels
from gan_backbones.prior import CodePrior, batched_nll, bits_per_dimension
from gan_backbones.vqvae import VqVae, code_perplexity

GRADED = 256
"""Images of a completion's distance."""
TEMPERATURES = (0.9, 0.8)
"""At which priors are sampled, too: boldness that costs no training is RAL's rival."""


def grade_vqvae(
    vqvae: VqVae, split: Split, codes: dict[str, Tensor], grader: Grader, count: int
) -> dict[str, float | list[float]]:
    """Error and code use on test images, and the distance of reconstructed training images: what samples can reach."""
    test = decode_all(vqvae, codes["test"]).cpu()
    parts = codes["test"].split([rows * columns for rows, columns in vqvae.maps], 1)
    return {
        "error": float((test - to_pixels(split.test)).square().mean()),
        "perplexity": [code_perplexity(part, vqvae.codes) for part in parts],
        "frechet_distance": grader.distance(decode_all(vqvae, codes["training"][:count])),
    }


def grade(prior: CodePrior, vqvae: VqVae, test: Tensor, grader: Grader, count: int, seed: int) -> dict[str, Any]:
    """Distance of samples, likelihood of test maps in bits per code, both also at :data:`TEMPERATURES`, and distance of
    completions of test maps."""
    draws = torch.Generator().manual_seed(100_000 + seed)
    given = test[torch.arange(GRADED) % len(test)]
    return grade_samples(prior, vqvae, test, grader, count, seed) | {
        "tempered": {str(t): grade_samples(prior, vqvae, test, grader, count, seed, t) for t in TEMPERATURES},
        "completions": {
            str(prefix): grader.distance(decode_all(vqvae, completions(prior, given, prefix, draws)))
            for prefix in prefixes(prior.length)
        },
    }


def grade_samples(
    prior: CodePrior, vqvae: VqVae, test: Tensor, grader: Grader, count: int, seed: int, temperature: float = 1.0
) -> dict[str, float]:
    """Distance of samples and likelihood of test maps, at a temperature."""
    nll = functools.partial(prior.nll, temperature=temperature)
    return {
        "frechet_distance": grader.of_prior(prior, vqvae, count, 50_000 + seed, temperature),
        "bits_per_code": bits_per_dimension(batched_nll(nll, test)),
    }


def tables(data: str, results: dict[str, Any]) -> tuple[Table, Table]:
    """Maximum likelihood against RAL, over whole samples and over completions."""
    names = {
        "ml": "maximum likelihood",
        "ral": "RAL",
        "ml_tuned_decoder": "ML's prior, RAL's decoder",
        "ral_first_decoder": "RAL's prior, first decoder",
    }
    models, first = results["models"], results["models"]["ml"]
    reconstructed = results["autoencoder"]["frechet_distance"]
    whole = Table(
        title=f"{data}: {results['metric']}, lower is better",
        caption=f"FD of reconstructed training images: {reconstructed:.1f}; bits of held-out images; T: temperature",
    )
    completed = Table(title=f"FD of completions of held-out images by the codes that are given, n={GRADED}")
    lengths = list(first["completions"])
    for view, columns in (
        (whole, ["model", "T", "FD", "to ML's", "bits per code", "to ML's"]),
        (completed, ["model", *lengths]),
    ):
        for column in columns:
            view.add_column(column, justify="left" if column == "model" else "right")
    for name, model in models.items():
        for temperature, row in ({"1": model} | model["tempered"]).items():
            distance, bits = row["frechet_distance"], row["bits_per_code"]
            cells = [f"{distance:.1f}", f"{distance / first['frechet_distance'] - 1:+.1%}"]
            cells += [f"{bits:.4f}", f"{bits / first['bits_per_code'] - 1:+.1%}"]
            whole.add_row(names[name] if row is model else "", temperature, *cells)
        completed.add_row(names[name], *(f"{model['completions'][length]:.1f}" for length in lengths))
    return whole, completed
