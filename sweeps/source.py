"""Where trials come from: a grid knows them all beforehand, a search draws them while it learns.

Whoever runs trials asks for the next one and tells how each of them went; what a source does with that
is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from sweeps.plan import Plan, PlannedTrial
from sweeps.records import TrialRow

FINISHED: Literal["finished"] = "finished"
Next = PlannedTrial | None | Literal["finished"]  # None: not now, something that runs must end first


class Source(Protocol):
    """Supplies trials one by one."""

    def next(self) -> Next:
        """Return the next trial, None when one that runs must end first, `FINISHED` when there is no more."""
        ...

    def observe(self, trial_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one epoch."""
        ...

    def tell(self, row: TrialRow) -> None:
        """Take how a trial ended."""
        ...

    @property
    def missing(self) -> int:
        """Trials that the budget allows and that were not asked for."""
        ...


class Grid:
    """The open trials of a grid, in the order of the plan.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._waiting = list(reversed(plan.open_trials))

    def next(self) -> Next:
        """Return the next trial."""
        return self._waiting.pop() if self._waiting else FINISHED

    def observe(self, trial_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Learn nothing: a grid is decided beforehand."""

    def tell(self, row: TrialRow) -> None:
        """Learn nothing."""

    @property
    def missing(self) -> int:
        """None: the plan knows all trials of a grid, begun or not."""
        return 0
