"""Reinforced adversarial learning: a prior over codes, tuned by a policy gradient against a patch discriminator.

Ak, Xu, Lin, Wang, "Incorporating Reinforced Adversarial Learning in Autoregressive Image Generation", arXiv 2007.09923.
"""

from agents.ral.trainer import RalOptions, RalStats, RalTrainer
from agents.ral.windows import Windows

__all__ = ["RalOptions", "RalStats", "RalTrainer", "Windows"]
