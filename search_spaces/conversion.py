"""Domains as Optuna knows them; the only module here that needs it.

A log-scaled domain that admits 0 (a weight that may be switched off) has no logarithm there, so a search
over it must name its own lower bound above 0.
"""

from __future__ import annotations

import math
from typing import Any

from search_spaces.domains import Choice, Domain, Int, SpaceError


def to_optuna(name: str, domain: Domain) -> Any:
    """Return the Optuna distribution that draws what ``domain`` admits.

    Raises:
        SpaceError: If the domain has no finite bounds that can be searched.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    low, high = searchable(name, domain.low, domain.high, log=domain.log)
    if isinstance(domain, Int):
        return IntDistribution(int(low), int(high), log=domain.log)
    return FloatDistribution(low, high, log=domain.log)


def searchable(name: str, low: float, high: float, *, log: bool) -> tuple[float, float]:
    """Return the bounds, or raise `SpaceError` when nothing can be drawn between them."""
    if not math.isfinite(high):
        raise SpaceError(f"{name} has no upper bound. Narrow it before a search: Float(low, high, ...).")
    if log and low <= 0:
        raise SpaceError(
            f"{name} is log-scaled from {low:g}. A search needs a lower bound above 0, such as 1e-5."
        )
    return low, high
