"""Metrics: extractors turn images into features, distances turn features into a number."""

from gan_backbones.metrics.extractors import EfficientNetLite0, judge
from gan_backbones.metrics.frechet import GaussianReference, frechet_distance, gaussian_statistics
from gan_backbones.metrics.modes import high_quality_share, mode_coverage
from gan_backbones.metrics.proxy import ProxyExtractor, distil_proxy
from gan_backbones.metrics.references import load_grader_reference, load_proxy
from gan_backbones.metrics.sliced import fixed_directions, squared_sliced_wasserstein

__all__ = [
    "EfficientNetLite0",
    "GaussianReference",
    "ProxyExtractor",
    "distil_proxy",
    "fixed_directions",
    "frechet_distance",
    "gaussian_statistics",
    "high_quality_share",
    "judge",
    "load_grader_reference",
    "load_proxy",
    "mode_coverage",
    "squared_sliced_wasserstein",
]
