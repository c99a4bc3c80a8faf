"""The options that the loops of this folder share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch


def main(train: Callable[..., float], description: str | None) -> None:
    """Run one loop and print its final distance."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lr-g", type=float, default=3e-4)
    parser.add_argument("--lr-d", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", help="a shipped policy's name, or a file; without it the rates stay")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{train(options.lr_g, options.lr_d, options.seed, policy=options.policy):.4g}")
