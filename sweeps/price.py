"""What the open trials of a plan will take, in time and memory: from trials that are recorded, or from a rehearsal.

Cells differ: a model of four times the size takes longer. So the time of a cell is its own where it is known, and the
median of the known ones where it is not.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from search_spaces.domains import Float, Params, Space
from search_spaces.errors import RefusedError, first_line
from sweeps.plan import GridPoint, Plan, PlannedTrial
from sweeps.progress import duration
from sweeps.records import TRIALS_FILE, TrialRow, read_trial_rows
from trainables.families import load_family
from trainables.rehearsal import Rehearsed, rehearse
from trainables.trial_spec import TrialSpec

SAFE_SHARE = 0.8  # of a machine's memory: beyond it Ray begins to end processes
RECORDED, REHEARSED = "recorded trials of this study", "an epoch of each kind of model, trained just now"


@dataclass(frozen=True)
class Price:
    """What the trials of a study take, as far as it is known.

    Args:
        epoch_s: Seconds of one core per epoch, by cell.
        memory_mb: The most memory that one trial took, in MB; None when unknown.
        source: Where this is known from.
    """

    epoch_s: Mapping[str, float]
    memory_mb: float | None
    source: str = RECORDED

    def cpu_s(self, plan: Plan) -> float | None:
        """Return the core-seconds of the open trials of ``plan``, None when nothing is known."""
        if not self.epoch_s:
            return None
        usual = statistics.median(self.epoch_s.values())
        if plan.study.search:
            return usual * plan.study.epochs * plan.n_open
        return sum(self.epoch_s.get(trial.cell, usual) * plan.study.epochs for trial in plan.open_trials)

    def affordable(self, plan: Plan, time_budget_s: float | None) -> int | None:
        """Return how many of the open trials a time budget buys here, one per core; None when unknown."""
        seconds = self.cpu_s(plan)
        if time_budget_s is None or seconds is None or not plan.n_open:
            return None
        per_trial_s = seconds / plan.n_open
        return min(plan.n_open, int(time_budget_s * (os.cpu_count() or 1) / per_trial_s))

    def cost_text(self, plan: Plan) -> str:
        """Return what the open trials will take, in words."""
        seconds = self.cpu_s(plan)
        if seconds is None:
            return "unknown: no trial of this study is recorded here yet; `sweeps plan --measure` finds out"
        return f"about {duration(seconds)} of one core, from {self.source}"

    def memory_text(self) -> str:
        """Return what the trials take, in words, with a warning when this machine has not got it."""
        here, slots = node_memory_mb(), os.cpu_count() or 1
        if self.memory_mb is None:
            return "unknown: no trial of this study is recorded here yet; its process starts at about 400 MB"
        at_once = slots * self.memory_mb
        taken = f"at most {self.memory_mb:,.0f} MB per trial, {at_once:,.0f} MB for {slots} at once"
        if at_once < SAFE_SHARE * here:
            return f"{taken}, of {here:,.0f} MB here"
        return (
            f"{taken}, and this machine has {here:,.0f} MB. WARNING: give --memory-per-trial, by which Ray runs fewer "
            "at once, or more --cpus-per-trial"
        )

    def budget_text(self, plan: Plan, time_budget_s: float) -> str:
        """Return what a time budget buys, in words."""
        bought, time = self.affordable(plan, time_budget_s), duration(time_budget_s)
        if bought is None:
            return f"{time} buy: unknown, no trial of this study is recorded here yet"
        share = ""
        if plan.study.budget is not None:
            points = plan.study.budget.n_search / plan.study.budget.n_trials
            share = f"; new points are drawn for {points:.0%} of the time, the rest is kept for the finalists"
        cores = os.cpu_count() or 1
        return f"{time} buy: about {bought} of {plan.n_open} open trials on {cores} cores{share}"


def node_memory_mb() -> float:
    """Return the memory of this machine in MB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6


def recorded_price(plan: Plan, *kin: Path) -> Price:
    """Return what trials of the same study took, in whatever sweep, or else those of the studies in ``kin``."""
    by_cell: dict[str, list[float]] = {}
    rows = next(filter(None, map(recorded_in, [plan.folder.parent, *kin])), [])
    for row in rows:
        if row.n_epochs:
            by_cell.setdefault(row.cell, []).append(row.wall_s / row.n_epochs)
    memory = max((row.memory_mb for row in rows if row.memory_mb is not None), default=None)
    return Price({cell: statistics.median(values) for cell, values in by_cell.items()}, memory)


def recorded_in(folder: Path) -> list[TrialRow]:
    """Return the recorded trials below the folder of a study that completed, in whatever sweep."""
    rows: list[TrialRow] = []
    for path in folder.glob(f"*/{TRIALS_FILE}"):
        with suppress(RefusedError):  # the damage of another sweep is no reason not to plan this one
            rows += [row for row in read_trial_rows(path.parent).values() if row.state == "complete"]
    return rows


def rehearsed_price(plan: Plan) -> Price:
    """Train an epoch of every kind of model in ``plan``, and return what its trials will take.

    Cells that differ in weights and rates alone are of one kind. A searched parameter stands at its upper end, where
    models are largest, so that a search is never more than what is said.

    Raises:
        RefusedError: If a model fails.
    """
    space = load_family(plan.study.family).space
    kinds: dict[str, Rehearsed] = {}
    epoch_s: dict[str, float] = {}
    for point in plan.points:
        trial = largest(plan, point)
        kind = repr(kind_of(trial.params, space))
        if kind not in kinds:
            kinds[kind] = first_epoch_of(plan, trial)
        epoch_s[point.label] = kinds[kind].epoch_s
    memory = max((one.memory_mb for one in kinds.values() if one.memory_mb is not None), default=None)
    return Price(epoch_s, memory, REHEARSED)


def largest(plan: Plan, point: GridPoint) -> PlannedTrial:
    """Return the trial at ``point`` with what is searched at its upper end."""
    drawn = {name: bounds[-1] for name, bounds in plan.study.search.items()}
    return plan.trial(point, drawn, plan.study.seed_list[0])


def kind_of(params: Params, space: Space) -> Params:
    """Return what decides the cost of a step: sizes, options, and of weights and rates whether they are zero."""
    return {
        name: value == 0 if isinstance(space[name], Float) else value
        for name, value in params.items()
        if name in space
    }


def first_epoch_of(plan: Plan, trial: PlannedTrial) -> Rehearsed:
    """Return what an epoch of ``trial`` takes, or raise `RefusedError` with why there is none."""
    study = plan.study
    spec = TrialSpec(
        trial_id=trial.trial_id,
        family=study.family,
        params=trial.params,
        seed=trial.seed,
        epochs=study.epochs,
        metric=study.objective.selects,
        mode=study.objective.mode,
        folder=plan.folder / trial.folder,
    )
    try:
        return rehearse(spec, plan.data_root)
    except Exception as error:
        raise RefusedError(f"{trial.cell} cannot be trained: {first_line(error)}") from error
