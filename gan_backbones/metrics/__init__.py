"""Metrics: extractors turn images into features, distances turn features into a number."""

from gan_backbones.metrics.extractors import EfficientNetLite0, Extractor, ModuleExtractor, extract, judge
from gan_backbones.metrics.frechet import DiagonalReference, GaussianReference, frechet_distance, gaussian_statistics
from gan_backbones.metrics.inception import InceptionV3
from gan_backbones.metrics.infinity import Extrapolation, frechet_infinity
from gan_backbones.metrics.kernel import KernelDistance, kernel_distance
from gan_backbones.metrics.modes import high_quality_share, mode_coverage
from gan_backbones.metrics.moments import FeatureMoments
from gan_backbones.metrics.names import make_extractor, name_number
from gan_backbones.metrics.neighbours import NeighbourScores, neighbour_scores
from gan_backbones.metrics.perceptual import (
    EfficientNetDistance,
    Lpips,
    PerceptualDistance,
    pairwise_variety,
    perceptual_distance,
)
from gan_backbones.metrics.proxy import ProxyExtractor, distil_proxy
from gan_backbones.metrics.references import load_proxy, load_real_features, load_reference
from gan_backbones.metrics.scores import MEASURES, Score, Subject, score_images
from gan_backbones.metrics.sliced import fixed_directions, squared_sliced_wasserstein

__all__ = [
    "MEASURES",
    "DiagonalReference",
    "EfficientNetDistance",
    "EfficientNetLite0",
    "Extractor",
    "Extrapolation",
    "FeatureMoments",
    "GaussianReference",
    "InceptionV3",
    "KernelDistance",
    "Lpips",
    "ModuleExtractor",
    "NeighbourScores",
    "PerceptualDistance",
    "ProxyExtractor",
    "Score",
    "Subject",
    "distil_proxy",
    "extract",
    "fixed_directions",
    "frechet_distance",
    "frechet_infinity",
    "gaussian_statistics",
    "high_quality_share",
    "judge",
    "kernel_distance",
    "load_proxy",
    "load_real_features",
    "load_reference",
    "make_extractor",
    "mode_coverage",
    "name_number",
    "neighbour_scores",
    "pairwise_variety",
    "perceptual_distance",
    "score_images",
    "squared_sliced_wasserstein",
]
