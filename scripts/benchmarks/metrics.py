"""Are the metrics right, and are they fast?

Agreement: the Frechet distance with 50-digit arithmetic, SciPy and torch-fidelity, with few samples and constant
features; the kernel distance, precision and recall with torch-fidelity.
Speed: a generator's 5,000 images of 64 pixels scored, 50,000 features of 2,048 numbers reduced to a distance.

The agreement needs the development extra: pip install -e '.[dev]'.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Generator, Tensor

from agents.run_folder import provenance
from gan_backbones import build, initialise
from gan_backbones.data import load_data
from gan_backbones.files import write_atomically
from gan_backbones.metrics import (
    EfficientNetLite0,
    FeatureMoments,
    GaussianReference,
    Subject,
    frechet_distance,
    kernel_distance,
    load_real_features,
    neighbour_scores,
    score_images,
)
from gan_backbones.metrics.generated import draw_images

_WIDTH = 2048


@dataclass(frozen=True)
class MetricsOptions:
    """Agreement and speed of the metrics."""

    parts: tuple[str, ...] = ("agreement", "speed")
    """What to measure; SciPy alone takes a minute."""
    json: Path | None = None
    """File for the record."""
    threads: int = 2
    """Threads of torch outside the extractors, which take two."""


def run(options: MetricsOptions) -> None:
    """Measure, print and record."""
    if options.threads < 1 or not options.parts or set(options.parts) - set(_PARTS):
        raise ValueError(f"--threads must be at least 1 and --parts some of {', '.join(_PARTS)}")
    torch.set_num_threads(options.threads)
    rows = [row for part in options.parts for row in _PARTS[part]()]
    table = Table("what", "found", "limit", "")
    for row in rows:
        table.add_row(row["what"], f"{row['found']:.3g}", f"{row['limit']:g}", "ok" if row["ok"] else "NOT REACHED")
    Console().print(table)
    if options.json is not None:
        record = {"rows": rows, "threads": options.threads} | provenance("cpu")
        write_atomically(options.json, (json.dumps(record, indent=1) + "\n").encode())


def _row(what: str, found: float, limit: float, **more: Any) -> dict[str, Any]:
    return {"what": what, "found": found, "limit": limit, "ok": found <= limit} | more


def speed() -> list[dict[str, Any]]:
    """Seconds, the best of three: what other processes take is not the program's."""
    data = load_data("faces", resolution=64)
    pair = build("dcgan", data.sample_shape)
    initialise(pair.generator, Generator().manual_seed(0))
    extractor = EfficientNetLite0(64)
    load_real_features(data, extractor)  # cached once, whoever is scored

    def score() -> None:
        images = draw_images(pair.generator, pair.latent_size, 5000, seed=0, progress=False)
        score_images(Subject(images, data, extractor, real_count=len(data), progress=False), ["fd"])

    features, real = _features(50_000, seed=0), GaussianReference.fit(_features(10_000, seed=1))

    def reduce() -> None:
        moments = FeatureMoments.of(features)
        frechet_distance(moments.mean, moments.covariance, real.mean, real.covariance)

    rows = []
    for what, work, limit in (
        ("seconds: 5,000 images of 64 pixels generated (dcgan) and scored, FD efficientnet-lite0@64", score, 15),
        ("seconds: 50,000 features of 2,048 to a Frechet distance", reduce, 20),
    ):
        times, busy = [], []
        for _ in range(3):
            start, busy_start = time.perf_counter(), time.process_time()
            work()
            times.append(time.perf_counter() - start)
            busy.append(time.process_time() - busy_start)
        rows.append(_row(what, min(times), limit, all=times, core_seconds=busy))
    return rows


def agreement() -> list[dict[str, Any]]:
    """Largest differences from other programs, relative."""
    return [_fifty_digits(), *_wide(), *_few_samples(), *_neighbours_and_kernel()]


def _fifty_digits() -> dict[str, Any]:
    import mpmath

    worst, cases = 0.0, 0
    with mpmath.workdps(50):
        for width in (1, 2, 3, 5, 8):
            for seed, condition, nearness in ((0, 1e1, 1.0), (1, 1e4, 1.0), (2, 1e8, 1.0), (3, 1e2, 0.1)):
                mean_a, cov_a = _gaussian(width, condition, seed)
                mean_b, cov_b = _gaussian(width, condition, seed + 100)
                mean_b, cov_b = mean_a + nearness * (mean_b - mean_a), cov_a + nearness * (cov_b - cov_a)
                values, vectors = mpmath.eigsy(mpmath.matrix(cov_a.tolist()))
                root = vectors * mpmath.diag([mpmath.sqrt(value) for value in values]) * vectors.T
                product = mpmath.eigsy(root * mpmath.matrix(cov_b.tolist()) * root, eigvals_only=True)
                exact = sum((mpmath.mpf(a) - b) ** 2 for a, b in zip(mean_a.tolist(), mean_b.tolist(), strict=True))
                exact += sum(mpmath.mpf(v) for v in [*cov_a.diagonal().tolist(), *cov_b.diagonal().tolist()])
                exact -= 2 * sum(mpmath.sqrt(value) for value in product)
                found = float(frechet_distance(mean_a, cov_a, mean_b, cov_b))
                worst, cases = max(worst, float(abs(found - exact) / exact)), cases + 1
    return _row("relative: Frechet distance against 50 digits, d up to 8", worst, 1e-9, cases=cases)


def _wide() -> list[dict[str, Any]]:
    from scipy.linalg import sqrtm
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    a, b = _features(5000, seed=2), _features(4000, seed=3) * 1.1 + 0.05
    ours, other = FeatureMoments.of(a), FeatureMoments.of(b)
    found = float(frechet_distance(ours.mean, ours.covariance, other.mean, other.covariance))
    root = sqrtm((ours.covariance @ other.covariance).numpy())
    traces = float(ours.covariance.trace() + other.covariance.trace())
    scipy = float((ours.mean - other.mean).square().sum()) + traces - 2 * float(np.trace(root).real)
    statistics = [fid_features_to_statistics(features.double()) for features in (a, b)]
    fidelity = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    return [
        _row("relative: FD of 2,048-d features against SciPy's sqrtm", abs(found - scipy) / scipy, 1e-6, value=found),
        _row("relative: FD of 2,048-d features against torch-fidelity", abs(found - fidelity) / fidelity, 1e-6),
    ]


def _few_samples() -> list[dict[str, Any]]:
    """n = 64 at d = 2048: the trace term is the nuclear norm of the product of the centred features, 64 x 64."""
    a, b = (_features(64, seed=seed).double() for seed in (4, 5))
    left, right = ((features - features.mean(0)) / 63**0.5 for features in (a, b))
    exact = (a.mean(0) - b.mean(0)).square().sum() + left.square().sum() + right.square().sum()
    exact -= 2 * torch.linalg.svdvals(left @ right.mT).sum()
    one, other = FeatureMoments.of(a), FeatureMoments.of(b)
    found = frechet_distance(one.mean, one.covariance, other.mean, other.covariance)
    constant = FeatureMoments.of(a[:1].expand(64, _WIDTH))
    flat = frechet_distance(constant.mean, constant.covariance, other.mean, other.covariance)
    expected = (constant.mean - other.mean).square().sum() + other.covariance.trace()
    itself = frechet_distance(constant.mean, constant.covariance, constant.mean, constant.covariance)
    return [
        _row("relative: FD of n=64 at d=2048 against the nuclear norm", float((found - exact).abs() / exact), 1e-6),
        _row("relative: FD of constant features against its closed form", float((flat / expected - 1).abs()), 1e-9),
        _row("FD of constant features from themselves", float(itself), 0.0),
    ]


def _neighbours_and_kernel() -> list[dict[str, Any]]:
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    a, b = _features(3000, seed=6).double(), _features(2500, seed=7).double() * 1.1
    kernel = kernel_distance(a, b, seed=2020)
    theirs = kid_features_to_metric(a, b, rng_seed=2020, verbose=False)
    pairs = [
        (kernel.mean, theirs["kernel_inception_distance_mean"]),
        (kernel.deviation, theirs["kernel_inception_distance_std"]),
    ]
    scores, prc = neighbour_scores(a, b), prc_features_to_metric(a, b, verbose=False)
    return [
        _row(
            "relative: KD and its deviation against torch-fidelity, same 100 subsets",
            max(abs(ours / other - 1) for ours, other in pairs),
            1e-9,
            value=kernel.mean,
        ),
        _row(
            "precision and recall against torch-fidelity",
            max(abs(scores.precision - prc["precision"]), abs(scores.recall - prc["recall"])),
            1e-6,
            precision=scores.precision,
            recall=scores.recall,
        ),
    ]


def _features(count: int, seed: int) -> Tensor:
    """(count, 2048) float32, not negative, correlated, of falling variances: shaped like a network's."""
    rng = Generator().manual_seed(seed)
    mixing = torch.randn(256, _WIDTH, generator=Generator().manual_seed(99)) / torch.arange(1, 257)[:, None] ** 0.5
    hidden = torch.randn(count, 256, generator=rng) @ mixing
    return (hidden + 0.1 * torch.randn(count, _WIDTH, generator=rng)).relu_()


def _gaussian(width: int, condition: float, seed: int) -> tuple[Tensor, Tensor]:
    """Mean, and covariance with eigenvalues from 1 down to 1 / condition."""
    rng = Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(width, width, generator=rng, dtype=torch.float64))
    values = torch.logspace(0, -float(np.log10(condition)), width, dtype=torch.float64)
    covariance = (basis * values) @ basis.mT
    return torch.randn(width, generator=rng, dtype=torch.float64), (covariance + covariance.mT) / 2


_PARTS = {"agreement": agreement, "speed": speed}
