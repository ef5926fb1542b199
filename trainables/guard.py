"""Rules that end a trial whose representation has collapsed, instead of paying for its last epochs.

A guard is part of the study's question, and so of a trial's identity: with another rule the same trial
may end at another epoch. Imports no torch: guards are declared and checked where studies are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.domains import value_text
from search_spaces.errors import RefusedError


class GuardError(RefusedError):
    """A rule that cannot be checked as it is written."""


@dataclass(frozen=True)
class Guard:
    """A bound on one monitor; it breaks when the monitor lies outside for ``patience`` epochs in a row.

    Args:
        metric: The monitor as it is recorded, such as ``valid/K_eff`` or ``grad_share/recon``.
        below: It breaks under this value; None when it has no lower bound.
        above: It breaks over this value; None when it has no upper bound.
        patience: Epochs in a row outside the bound.
        grace: Epochs at the start that do not count.

    Raises:
        GuardError: If there is no bound or two, or a number of epochs makes no sense.
    """

    metric: str
    below: float | None = None
    above: float | None = None
    patience: int = 3
    grace: int = 0

    def __post_init__(self) -> None:
        if (self.below is None) == (self.above is None):
            raise GuardError(f"Guard on {self.metric} needs one bound. Write below=VALUE or above=VALUE.")
        if not math.isfinite(self.bound):
            raise GuardError(f"Guard on {self.metric} has the bound {self.bound}. Give a finite number.")
        if self.patience < 1 or self.grace < 0:
            raise GuardError(
                f"Guard on {self.metric} has patience={self.patience}, grace={self.grace}. "
                "Give a patience of at least 1 and a grace of at least 0 epochs."
            )

    @property
    def bound(self) -> float:
        """The value that the monitor may not cross."""
        return float(self.below if self.below is not None else self.above or 0.0)

    @property
    def text(self) -> str:
        """The rule in words: ``valid/K_eff < 1.5 for 3 epochs``."""
        sign = "<" if self.below is not None else ">"
        epochs = "epoch" if self.patience == 1 else "epochs"
        return f"{self.metric} {sign} {value_text(self.bound)} for {self.patience} {epochs}"

    def outside(self, value: float) -> bool:
        """Return whether ``value`` lies on the wrong side of the bound."""
        return value < self.bound if self.below is not None else value > self.bound

    def is_broken(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Return whether the last ``patience`` epochs after the grace all lie outside the bound.

        An epoch without a finite value breaks nothing: divergence has a state of its own.
        """
        counted = history[self.grace :][-self.patience :]
        values = [metrics[self.metric] for metrics in counted if self.metric in metrics]
        return len(values) == self.patience and all(self.outside(value) for value in values)


def first_broken(guards: Sequence[Guard], history: Sequence[Mapping[str, float]]) -> Guard | None:
    """Return the first of ``guards`` that is broken at the last epoch of ``history``, None when all hold."""
    return next((guard for guard in guards if guard.is_broken(history)), None)


def refuse_unknown(guards: Sequence[Guard], metrics: Mapping[str, float]) -> None:
    """Raise `GuardError` when a monitor is not among the ``metrics`` of an epoch, finite or not."""
    for guard in guards:
        if guard.metric not in metrics:
            split = guard.metric.partition("/")[0]
            same = sorted(name for name in metrics if name.startswith(f"{split}/")) or sorted(metrics)
            raise GuardError(
                f"Guard's monitor {guard.metric!r} is not reported. It takes one of {', '.join(same)}."
            )
