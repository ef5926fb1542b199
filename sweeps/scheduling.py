"""Schedulers: trials start in their order, and unpromising points of a search end early, finalists never.

Ray Tune's schedulers compare all trials they see. Here every grid point is compared with itself, the
finalists' further seeds are left alone, and what an earlier start has recorded is shown to the scheduler
again, so that a search which was killed prunes as if it had not been.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from sweeps.study import Study

TIME, VALUE = "epoch", "objective"  # keys of a result that every trial reports
ASHA_REDUCTION = 3  # a third of the points goes on from each rung; eta of Li et al. 2020
GRACE = 4  # nothing is ended in the first quarter, where schedules and warm-up still decide the order
MEDIAN_FEWEST = 3  # points that must have come as far before one is compared with their median


@dataclass(frozen=True)
class Recorded:
    """Stands for a trial of an earlier start."""

    trial_id: str


def make_scheduler(study: Study) -> TrialScheduler:
    """Return a fresh scheduler of one grid point.

    Source:
        ASHA: Li et al. 2020, A system for massively parallel hyperparameter tuning; median stopping rule:
        Golovin et al. 2017, Google Vizier, section 3.2.1.
    """
    grace = max(1, study.epochs // GRACE)
    if study.scheduler == "asha":
        return AsyncHyperBandScheduler(
            time_attr=TIME,
            metric=VALUE,
            mode=study.objective.mode,
            max_t=study.epochs + 1,  # the last epoch ends a trial by itself
            grace_period=grace,
            reduction_factor=ASHA_REDUCTION,
        )
    return MedianStoppingRule(
        time_attr=TIME,
        metric=VALUE,
        mode=study.objective.mode,
        grace_period=grace,
        min_samples_required=MEDIAN_FEWEST,
        min_time_slice=math.inf,  # never pause a trial: ours keep their checkpoints to themselves
    )


class InOrder(FIFOScheduler):  # type: ignore[misc]
    """Starts trials in the order in which they came; Tune's own looks at every step through all that ever ran."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Trial] = deque()

    def __getstate__(self) -> dict[str, Any]:
        """Leave Tune's snapshots without it: resume rests on records."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take a new trial, or one whose process died."""
        self._waiting.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the first trial that has not begun."""
        while self._waiting and self._waiting[0].status != Trial.PENDING:
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None


class GroupedScheduler(InOrder):
    """Asks one scheduler per grid point; trials without a group are never ended.

    Args:
        make: Returns a fresh scheduler.
    """

    def __init__(self, make: Callable[[], TrialScheduler]) -> None:
        super().__init__()
        self._make = make
        self._schedulers: dict[str, TrialScheduler] = {}
        self._begun: dict[str, Sequence[dict[str, Any]]] = {}

    def replay(self, group: str, trial_id: str, results: Iterable[dict[str, Any]]) -> None:
        """Show a group's scheduler the results of a trial that an earlier start has ended."""
        scheduler, recorded, shown = self._of(group), Recorded(trial_id), list(results)
        scheduler.on_trial_add(None, recorded)
        for result in shown:
            if scheduler.on_trial_result(None, recorded, result) == TrialScheduler.STOP:
                break  # shown alone it may look worse than it did in company; it is not to be judged twice
        if shown:
            scheduler.on_trial_complete(None, recorded, shown[-1])

    def expect(self, trial_id: str, results: Sequence[dict[str, Any]]) -> None:
        """Keep what an earlier start has recorded of a trial that was under way, for when it is taken up."""
        self._begun[trial_id] = results

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take a new trial."""
        super().on_trial_add(tune_controller, trial)
        if (group := group_of(trial)) is None:
            return
        scheduler = self._of(group)
        scheduler.on_trial_add(tune_controller, trial)
        if isinstance(scheduler, AsyncHyperBandScheduler):  # its rungs must hold the values of their epochs
            for result in self._begun.get(trial.config["trial"]["trial_id"], ()):
                scheduler.on_trial_result(tune_controller, trial, result)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return whether the trial goes on; one that is audited for a broken guard always does."""
        group = group_of(trial)
        if group is None or result.get("guard") or VALUE not in result:
            return str(TrialScheduler.CONTINUE)
        return str(self._of(group).on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Take the end of a trial."""
        if (group := group_of(trial)) is not None and VALUE in result and not result.get("guard"):
            self._of(group).on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Take a trial that is lost."""
        if (group := group_of(trial)) is not None:
            self._of(group).on_trial_error(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Take a trial that never ran."""
        if (group := group_of(trial)) is not None:
            self._of(group).on_trial_remove(tune_controller, trial)

    def _of(self, group: str) -> TrialScheduler:
        if group not in self._schedulers:
            self._schedulers[group] = self._make()
        return self._schedulers[group]


def group_of(trial: Any) -> str | None:
    """Return the grid point whose scheduler a Tune trial is under."""
    group: str | None = trial.config["trial"]["group"]
    return group
