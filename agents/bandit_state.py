"""The state of a bandit, or of a team of bandits, between two pulls, as a tree: all that it has, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from agents.bandits import Bandit
from agents.tree_file import Tree


def bandit_state(bandit: Bandit) -> Tree:
    """Everything that ``bandit`` goes on from, its random generator and its members among it; nothing is copied."""
    return _tree(bandit)


def restore_bandit(bandit: Bandit, state: Tree) -> None:
    """Put a :func:`bandit_state` of a bandit with the same options into ``bandit``, which then owns it."""
    _restored(bandit, state)


def _tree(own: Any) -> Tree:
    if isinstance(own, np.random.Generator):
        return own.bit_generator.state
    if isinstance(own, torch.Generator):
        return own.get_state()
    if isinstance(own, Mapping):
        return {name: _tree(part) for name, part in own.items()}
    return _tree(vars(own)) if hasattr(own, "__dict__") else own


def _restored(own: Any, saved: Tree) -> Any:
    """What stands in the place of ``own``: itself where it is more than a value, and as it was."""
    if isinstance(own, np.random.Generator):
        own.bit_generator.state = saved
    elif isinstance(own, torch.Generator):
        own.set_state(saved)
    elif isinstance(own, Mapping):
        return {name: _restored(part, saved[name]) for name, part in own.items()}
    elif hasattr(own, "__dict__"):
        vars(own).update(_restored(vars(own), saved))
    else:
        return saved
    return own
