"""A search as a source of trials: every grid point is explored on the first seed, its best points on all seeds.

Each grid point has a search of its own with the same budget (`sweeps.sampling`). When its points have ended,
the best of them are trained again on the further seeds, so that the winner is not the luckiest. Taken up
after a kill, it continues: what was asked and has no outcome is trained, what has one is told.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.domains import Params, SpaceError
from sweeps.plan import FINISHED_STATES, GridPoint, Plan, PlannedTrial
from sweeps.records import Records, TrialRow
from sweeps.sampling import Outcome, Sampling
from sweeps.source import FINISHED, Next
from sweeps.study import Objective
from trainables.families import load_family

REPEATS_OF_SAMPLER = 10  # draws in a row that were asked for before; then chance looks for what is left
MOST_REPEATS = 200  # then the space is exhausted


@dataclass
class Observed:
    """What one trial has reported.

    Args:
        values: Objectives at the best epoch so far, None before a finite one.
        epoch: Last epoch.
    """

    values: tuple[float, ...] | None = None
    epoch: int = 0

    def take(self, objectives: tuple[Objective, ...], epoch: int, metrics: Mapping[str, float]) -> None:
        """Take one epoch; the first objective selects the best one."""
        self.epoch = max(self.epoch, epoch)
        values = tuple(metrics.get(objective.metric, math.nan) for objective in objectives)
        if all(math.isfinite(value) for value in values) and (
            self.values is None or better(values[0], self.values[0], objectives[0])
        ):
            self.values = values


@dataclass
class Search:
    """The searches of all grid points of a plan.

    Args:
        plan: The plan.
        earlier: What is recorded of it.
        time_budget_s: Seconds for searches and finalists together, None for no limit.
    """

    plan: Plan
    earlier: Records
    time_budget_s: float | None = None
    observed: dict[str, Observed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.objectives = tuple(self.plan.study.objectives)
        wanted = {objective.metric for objective in self.objectives}
        for row in self.earlier.metrics(wanted):
            self.observe(row.trial_id, row.epoch, row.metrics)
        self.started = time.monotonic()
        self.groups = [PointSearch(self, point) for point in self.plan.points]
        self.of_trial: dict[str, PointSearch] = {}

    def next(self) -> Next:
        """Return the next trial, from the grid point that has asked for the fewest."""
        waiting = False
        for group in sorted(self.groups, key=lambda group: group.n_asked):
            trial = group.next()
            if isinstance(trial, PlannedTrial):
                self.of_trial[trial.trial_id] = group
                return trial
            waiting |= trial is None
        return None if waiting else FINISHED

    def observe(self, trial_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one epoch."""
        self.observed.setdefault(trial_id, Observed()).take(self.objectives, epoch, metrics)

    def tell(self, row: TrialRow) -> None:
        """Take how a trial ended."""
        group = self.of_trial.get(row.trial_id)
        if group is not None:
            group.tell(row.trial_id, judged(row))

    @property
    def may_draw(self) -> bool:
        """Whether there is time for new points; the finalists' share of the time is kept for them."""
        budget = self.plan.study.budget
        if self.time_budget_s is None or budget is None:
            return True
        return time.monotonic() - self.started < self.time_budget_s * budget.n_search / budget.n_trials

    @property
    def missing(self) -> int:
        """Trials that the budget allows and that were not asked for; none once the searches are at their end."""
        return sum(group.missing for group in self.groups)


class PointSearch:
    """The search of one grid point.

    Args:
        search: The search it belongs to.
        point: The grid point.
    """

    def __init__(self, search: Search, point: GridPoint) -> None:
        budget = search.plan.study.budget
        assert budget is not None
        self.search, self.point, self.budget, self.plan = search, point, budget, search.plan
        study = self.plan.study
        space = load_family(study.family).space
        self.sampling = Sampling(study, space, point.label, self.plan.sweep_id, self.plan.folder)
        self.numbers: dict[str, int] = {}  # of the points, by trial id
        self.states: dict[str, str] = {}  # of everything that ended
        self.open: deque[PlannedTrial] = deque()
        self.replicas: deque[PlannedTrial] | None = None
        self.exhausted = False
        self.n_asked = 0
        self.take_up()

    @property
    def first_seed(self) -> int:
        """The seed of the search."""
        return self.plan.study.seed_list[0]

    def take_up(self) -> None:
        """Take up what earlier starts asked for, and give the storage back what only the records have."""
        self.sampling.forget_half_asked()
        for number, drawn, is_open in self.sampling.asked:
            trial = self.admitted(drawn, number)
            if trial is not None and trial.trial_id not in self.numbers:
                self.take_up_point(trial, is_open=is_open)
            elif is_open:  # a kill came between a draw and its being given up
                self.sampling.forget(number)
        for row in self.search.earlier.trials.values():
            if all(row.swept.get(name) == value for name, value in self.point.cell.items()):
                self.take_up_row(row)
        self.n_asked = len(self.numbers)

    def take_up_row(self, row: TrialRow) -> None:
        """Take up one recorded trial of this grid point: a point that the storage lost, a replica that was begun."""
        drawn = {name: row.swept[name] for name in self.plan.study.search if name in row.swept}
        trial = self.plan.trial(self.point, drawn, row.seed, row.point, ranked=row.seed == self.first_seed)
        if trial.trial_id != row.trial_id or trial.trial_id in self.numbers:
            return
        if row.seed == self.first_seed:
            self.take_up_point(self.planned(drawn, self.sampling.add(drawn)), is_open=True)
        elif row.state not in FINISHED_STATES:
            self.open.append(trial)

    def take_up_point(self, trial: PlannedTrial, *, is_open: bool) -> None:
        """Take up one point: train it if it has no outcome, tell the outcome if the storage has not got it."""
        number = trial.point
        assert number is not None
        self.numbers[trial.trial_id] = number
        row = self.search.earlier.trials.get(trial.trial_id)
        if row is None or row.state not in FINISHED_STATES:
            self.open.append(trial)
            return
        self.states[trial.trial_id] = judged(row)
        if is_open:
            self.sampling.tell(number, self.outcome(trial.trial_id, judged(row)))

    def planned(self, drawn: Params, number: int | None) -> PlannedTrial:
        """Return the trial of one point on the first seed."""
        return self.plan.trial(self.point, drawn, self.first_seed, number)

    def admitted(self, drawn: Params, number: int) -> PlannedTrial | None:
        """Return the trial of one point, None when its values do not go together."""
        try:
            return self.planned(drawn, number)
        except SpaceError:
            return None

    def outcome(self, trial_id: str, state: str) -> Outcome:
        """Return what came of one trial."""
        seen = self.search.observed.get(trial_id, Observed())
        return Outcome(state, seen.values, seen.epoch)

    def next(self) -> Next:
        """Return the next trial of this grid point: a point that was left open, a new one, then the finalists'."""
        if self.open:
            return self.open.popleft()
        if len(self.numbers) < self.budget.points and not self.exhausted and self.search.may_draw:
            trial = self.draw()
            if trial is not None:
                self.n_asked += 1
                return trial
        if self.replicas is None:
            if any(trial_id not in self.states for trial_id in self.numbers):
                return None
            self.replicas = deque(self.replicas_of(self.finalists()))
        return self.replicas.popleft() if self.replicas else FINISHED

    def draw(self) -> PlannedTrial | None:
        """Return a point that was not asked for before, None when the space is exhausted."""
        for repeat in range(MOST_REPEATS):
            number, drawn = self.sampling.ask(at_random=repeat >= REPEATS_OF_SAMPLER)
            trial = self.admitted(drawn, number)
            if trial is not None and trial.trial_id not in self.numbers:
                self.numbers[trial.trial_id] = number
                return trial
            self.sampling.forget(number)
        self.exhausted = True
        return None

    def tell(self, trial_id: str, state: str) -> None:
        """Take how a trial ended."""
        self.states[trial_id] = state
        if trial_id in self.numbers:
            self.sampling.tell(self.numbers[trial_id], self.outcome(trial_id, state))

    def finalists(self) -> list[str]:
        """Return the best complete points; of several objectives the Pareto set, in turn from the best of each."""
        complete = {
            trial_id: seen.values
            for trial_id in self.numbers
            if self.states[trial_id] == "complete"
            and (seen := self.search.observed.get(trial_id)) is not None
            and seen.values is not None
        }
        best = set(self.sampling.best_numbers())
        front = [trial_id for trial_id in complete if self.numbers[trial_id] in best]
        rest = [trial_id for trial_id in complete if trial_id not in front]
        ordered = [
            *in_turn(front, complete, self.search.objectives),
            *in_turn(rest, complete, self.search.objectives),
        ]
        return ordered[: self.budget.finalists]

    def replicas_of(self, finalists: list[str]) -> list[PlannedTrial]:
        """Return the finalists on the further seeds, as far as they are not trained yet; seed by seed."""
        drawn = {number: params for number, params, _ in self.sampling.asked}
        points = [(self.numbers[trial_id], drawn[self.numbers[trial_id]]) for trial_id in finalists]
        planned = [
            self.plan.trial(self.point, params, seed, number, ranked=False)
            for seed in self.plan.study.seed_list[1:]
            for number, params in points
        ]
        trained = self.search.earlier.trials
        return [
            trial
            for trial in planned
            if trial.trial_id not in trained or trained[trial.trial_id].state not in FINISHED_STATES
        ]

    @property
    def missing(self) -> int:
        """Trials that were not asked for."""
        points = 0 if self.exhausted else self.budget.points - len(self.numbers)
        finals = (
            self.budget.finalists * self.budget.further_seeds if self.replicas is None else len(self.replicas)
        )
        return len(self.open) + max(0, points) + finals


def judged(row: TrialRow) -> str:
    """Return a trial's state as a search sees it: one that broke a guard collapsed, though an audit ran it on."""
    return "collapsed" if row.guard is not None and row.state == "complete" else row.state


def better(value: float, than: float, objective: Objective) -> bool:
    """Return whether ``value`` is better than ``than``."""
    return value < than if objective.mode == "min" else value > than


def in_turn(
    trials: list[str], values: Mapping[str, tuple[float, ...]], objectives: tuple[Objective, ...]
) -> list[str]:
    """Return ``trials`` so that the best of each objective come in turn."""
    left = list(trials)
    ordered: list[str] = []
    while left:
        place = len(ordered) % len(objectives)
        sign = 1 if objectives[place].mode == "min" else -1
        chosen = min(left, key=lambda trial: sign * values[trial][place])
        left.remove(chosen)
        ordered.append(chosen)
    return ordered
