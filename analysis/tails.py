"""Tails of Student's t by SciPy's compiled functions: a report asks for hundreds, and `scipy.stats` is slow at one."""

from __future__ import annotations

import math

from scipy import special


def quantile(tail_size: float, df: float) -> float:
    """Return the value that is exceeded with probability ``tail_size``; of the normal law for infinite ``df``."""
    return float(-special.stdtrit(df, tail_size) if math.isfinite(df) else -special.ndtri(tail_size))


def tail(value: float, df: float) -> float:
    """Return the probability of more than ``value``; of the normal law for infinite ``df``."""
    return float(special.stdtr(df, -value) if math.isfinite(df) else special.ndtr(-value))
