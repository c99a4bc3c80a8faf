"""Names of methods and of their variants: ``ppo``, ``ppo[reward=terminal;suite=faces]``."""

from __future__ import annotations

import re

SUITE = "suite"
"""Option of a variant that is prepared on another suite than it is tested on."""


def split_names(text: str) -> list[str]:
    """Names joined by commas, those within brackets left alone; each once. Raises ``ValueError`` for a repeated one."""
    names = [name.strip() for name in re.split(r",(?![^\[]*\])", text)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or "" in names:
        raise ValueError(f"{text!r} names {repeated[0]!r} twice" if repeated else f"{text!r} has an empty name")
    return names


def split_variant(name: str) -> tuple[str, list[str]]:
    """The method and the options of a variant, as they are written; no options where it is none."""
    parts = re.fullmatch(r"(\w+)\[(.+)\]", name)
    return (parts.group(1), parts.group(2).split(";")) if parts else (name, [])


def at_home(name: str) -> str:
    """The variant that differs from this one in being prepared on the suite that it is tested on."""
    base, options = split_variant(name)
    own = [option for option in options if not option.startswith(f"{SUITE}=")]
    return f"{base}[{';'.join(own)}]" if own else base
