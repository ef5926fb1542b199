"""How many seeds would decide what these seeds could not."""

from __future__ import annotations

import math

from scipy import special

from analysis.spread import Estimate
from analysis.tails import quantile

POWER = 0.8  # Cohen (1988)
LARGE_DF = 300.0  # the t distribution is normal from here on, and the noncentral t loses its digits
MOST_SEEDS = 1000  # beyond it more seeds are not the answer, and None is said


def seeds_to_decide(value: float, found: Estimate, alpha: float, margin: float) -> int | None:
    """Return the smallest number of seeds per cell at which a contrast is decided with power 0.8.

    Decided either way: as a difference of the size that is seen now, or as equivalence within the margin.

    Args:
        value: Estimate minus reference, on the scale of the fit.
        found: The estimate with its standard error and degrees of freedom.
        alpha: Error rate of this one contrast.
        margin: Largest absolute value that counts as the same.

    Returns:
        None when the spread is unknown (one seed), zero, or more than `MOST_SEEDS` would be needed.

    Source:
        Power of the t test from the noncentral t distribution, Cohen (1988).
    """
    se, df = found.widest(alpha)
    if se is None or se == 0 or found.n < 2:
        return None
    found = Estimate(found.value, se, df, found.n)
    as_difference = smallest_n(abs(value), found, alpha, POWER, "two-sided")
    room = margin - abs(value)
    both_sides = 1 - (1 - POWER) / 2
    as_same = smallest_n(room, found, alpha / 2, both_sides, "larger") if room > 0 else None
    known = [n for n in (as_difference, as_same) if n is not None]
    return min(known) if known else None


def smallest_n(size: float, found: Estimate, alpha: float, power: float, side: str) -> int | None:
    """Return the smallest number of seeds above the present one that shows ``size`` with ``power``."""
    assert found.se is not None
    per_seed = size / (found.se * math.sqrt(found.n))

    def reaches(n: int) -> bool:
        df = min(found.df * (n - 1) / (found.n - 1), LARGE_DF)
        return power_of_t(per_seed * math.sqrt(n), df, alpha, side) >= power

    low, high = found.n, found.n + 1
    while not reaches(high):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def power_of_t(shift: float, df: float, alpha: float, side: str) -> float:
    """Return the power of a t test, ``larger`` or ``two-sided``, whose statistic is shifted by ``shift``."""
    bound = quantile(alpha / 2 if side == "two-sided" else alpha, df)
    below = special.nctdtr(df, shift, -bound) if side == "two-sided" else 0.0
    return float(1 - special.nctdtr(df, shift, bound) + below)
