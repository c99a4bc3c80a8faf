"""How numbers are written on the page: the same digits in a column, real minus signs, intervals in brackets."""

from __future__ import annotations

import math

from agents.statistics.crossed import Estimate

MINUS, DASH, TIMES, NBSP = "\u2212", "\u2013", "\u00d7", "\u00a0"


def fixed(value: float, digits: int = 2) -> str:
    """Fixed digits; what rounds to zero has no sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def significant(value: float) -> str:
    """At least three significant digits, without an exponent from a thousandth up to a million; for grades."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e").replace("-", MINUS)
    digits = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.2e}")))))  # 0.9996 is 1.00, not 1.000
    return f"{value:.{digits}f}".replace("-", MINUS)


def interval(one: Estimate, digits: int = 2) -> str:
    """``[low, high]``."""
    return f"[{fixed(one.low, digits)},{NBSP}{fixed(one.high, digits)}]"


def with_interval(one: Estimate, digits: int = 2) -> str:
    """``value [low, high]``."""
    return f"{fixed(one.value, digits)}{NBSP}{interval(one, digits)}"


def percent(share: float) -> str:
    """A share as a whole percentage; a share that is not 0 never reads as 0."""
    if 0 < share < 0.005:
        return f"<1{NBSP}%"
    return f"{100 * share:.0f}{NBSP}%"


def count(value: float) -> str:
    """Whole numbers in groups of three."""
    return f"{value:,.0f}".replace(",", "\u202f")


def short(value: float) -> str:
    """``1.5k``, ``20M``: for axes."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """``8 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f}{NBSP}s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f}{NBSP}min"
    return f"{seconds / 3600:.1f}{NBSP}h"
