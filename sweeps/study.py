"""A declared question: family, space, seeds, budget, objective, and the analysis that answers it.

A study is data: it is read, checked and planned without Ray, torch, Optuna or MLflow.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from search_spaces.conversion import searchable
from search_spaces.domains import PRESET, Choice, Params, Space, SpaceError, Value, did_you_mean
from search_spaces.errors import RefusedError
from trainables.guard import Guard

T = TypeVar("T")
ARM = "arm"  # name of the axis whose values are names of settings
SAMPLERS = ("tpe", "random", "qmc", "nsga2")
SCHEDULERS = ("asha", "median")
POINTS = 20  # per point of the grid, when max_trials does not say
LOOK_GROWTH = 1.5  # from the seeds of one look to those of the next
FEWEST_TO_DECIDE = 2
FEWEST_POINTS = 2  # a search of one point compares nothing


class StudyError(RefusedError):
    """A study that cannot be found, read or run as it is written."""


@dataclass(frozen=True)
class Objective:
    """What selects the epoch of a trial and the cell of a sweep; never a total that holds a swept weight.

    Args:
        metric: Metric that selects the cell, and the epoch, too, where ``epoch_metric`` is None.
        mode: Better direction of both.
        epoch_metric: Metric that selects the epoch. An objective that sums over terms is noise in a trial that does not
            train one of them, and the epoch that noise selects is an arbitrary one for all the others.
    """

    metric: str
    mode: Literal["min", "max"] = "min"
    epoch_metric: str | None = None

    @property
    def selects(self) -> str:
        """Name of the metric that selects the epoch."""
        return self.epoch_metric or self.metric

    def best(self, items: Sequence[T], value: Callable[[T], float]) -> T:
        """Return the best of ``items`` by their ``value``, the first of equals."""
        return min(items, key=value) if self.mode == "min" else max(items, key=value)


@dataclass(frozen=True)
class Study:
    """One question about loss weights, and all that is needed to answer it.

    What varies is the product of three kinds of axes: values in ``grid``, named settings in ``arms``, and
    ranges in ``search``, which a sampler explores. Every point of grid and arms gets the same search budget.

    Args:
        name: Name of the study; also its MLflow experiment and its folder of results.
        family: Model family: a folder of `trainables`, or a package of the user's own.
        question: What is asked, one sentence.
        objective: Selects epoch and cell.
        grid: Swept parameters with their values.
        arms: Settings of several parameters at once, by a name; an axis called ``arm``.
        search: Searched parameters with ``(low, high)``, or the options of a choice; scale and type are those
            of the space.
        seeds: Number of seeds (1, 2, ...), or the seeds themselves. A search runs on the first; its
            finalists on all of them, so that the winner is not the luckiest.
        epochs: Epochs per trial.
        analysis: Module of `analysis` that turns the records into findings.
        fixed: Values of parameters that are not swept and differ from the defaults of the space.
        objectives: What a search optimises together; the objective alone when empty.
        sampler: How a search draws its points: one of `SAMPLERS`.
        scheduler: What ends unpromising points early: one of `SCHEDULERS`, None for nothing.
        max_trials: Most trials of a search, finalists on further seeds included.
        finalists: Points per point of the grid that are run again on the further seeds.
        guards: Rules that end a collapsed trial; None takes the family's own in a search, and none in a grid,
            where the collapse is what is studied.
        guard_audit: Share of trials that are run on when they break a rule, to learn how often rules are wrong.
        looks: Numbers of seeds after which a sweep that is run until decided looks at its findings, ascending; empty
            for one that runs on ``seeds``.
        follows: Where a follow-up comes from: ``sweep`` (its id), ``study`` and ``finding`` that asked for it.
    """

    name: str
    family: str
    question: str
    objective: Objective
    grid: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    search: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    seeds: int | Sequence[int] = 3
    epochs: int = 20
    analysis: str = "grid"
    fixed: Mapping[str, Value] = field(default_factory=dict)
    objectives: Sequence[Objective] = ()
    sampler: str = "tpe"
    scheduler: str | None = None
    max_trials: int | None = None
    finalists: int = 3
    guards: Sequence[Guard] | None = None
    guard_audit: float = 0.1
    looks: Sequence[int] = ()
    follows: Mapping[str, str] = field(default_factory=dict)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, from 1 when only their number is given."""
        return tuple(range(1, self.seeds + 1)) if isinstance(self.seeds, int) else tuple(self.seeds)

    @property
    def grid_axes(self) -> dict[str, Sequence[Value]]:
        """What is not searched: the arms first, then the grid, each with its values."""
        return ({ARM: tuple(self.arms)} if self.arms else {}) | dict(self.grid)

    @property
    def grid_points(self) -> list[Params]:
        """The points of grid and arms; a single empty one when everything is searched."""
        axes = self.grid_axes
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]

    @property
    def budget(self) -> Budget | None:
        """What the trials of a search are spent on, None for a grid."""
        return search_budget(self) if self.search else None

    def given(self, cell: Mapping[str, Value]) -> Params:
        """Return what the study says of one cell: fixed values, those of its arm, and its own."""
        arm = self.arms[str(cell[ARM])] if self.arms else {}
        own = {name: value for name, value in cell.items() if not (self.arms and name == ARM)}
        return {**self.fixed, **arm, **own}

    def checked(self, space: Space) -> Study:
        """Return the study with every value in the type of its domain.

        Raises:
            SpaceError: If a parameter is unknown or a value is not admitted.
            StudyError: If the study itself is malformed: no cells, no seeds, a value twice, a bad name.
        """
        for problem in filter(None, (rule(self) for rule in RULES)):
            raise StudyError(problem)
        study = replace(
            self,
            grid={name: checked_values(space, name, values) for name, values in self.grid.items()},
            arms={arm: checked_params(space, params) for arm, params in self.arms.items()},
            search={name: checked_range(space, name, bounds) for name, bounds in self.search.items()},
            fixed=checked_params(space, self.fixed),
            objectives=tuple(self.objectives) or (self.objective,),
        )
        if study.search:
            search_budget(study)
        return study

    def with_parameters(self, settings: Mapping[str, Sequence[Value]]) -> Study:
        """Return the study with parameters set anew: one value fixes a parameter, several sweep it.

        Under `ARM` stand the names of the arms that are kept.

        Raises:
            StudyError: If there is no such arm, or the arms decide a parameter that is set.
        """
        arms = self.kept_arms(settings.get(ARM))
        settings = {name: values for name, values in settings.items() if not (self.arms and name == ARM)}
        decided = sorted({name for params in arms.values() for name in params} & set(settings))
        if decided:
            raise StudyError(
                f"{decided[0]} is set by the arms. Choose among them with --set {ARM}=NAME,NAME instead."
            )
        grid = {
            name: values
            for name, values in self.grid.items()
            if len(settings.get(name, values)) > 1 or name not in settings
        }
        fixed = {name: value for name, value in self.fixed.items() if name not in settings}
        search = {name: bounds for name, bounds in self.search.items() if name not in settings}
        for name, values in settings.items():
            if len(values) > 1:
                grid[name] = values
            else:
                fixed[name] = values[0]
        study = replace(self, grid=grid, fixed=fixed, search=search, arms=arms)
        return study if search else replace(study, max_trials=None, scheduler=None)

    def with_ranges(self, ranges: Mapping[str, Sequence[Value]]) -> Study:
        """Return the study with parameters searched that were swept, fixed or left at their defaults."""
        grid = {name: values for name, values in self.grid.items() if name not in ranges}
        fixed = {name: value for name, value in self.fixed.items() if name not in ranges}
        return replace(self, grid=grid, fixed=fixed, search={**self.search, **ranges})

    def until_decided(self, most: int) -> Study:
        """Return the study with looks from its own number of seeds up to ``most``, half as many again each time.

        Raises:
            StudyError: If it searches, begins with one seed, or with more than ``most``.
        """
        first = len(self.seed_list)
        if self.search:
            raise StudyError(
                "--decide adds seeds to the cells of a grid, and this study searches. Its finalists run on all seeds: "
                "give more --seeds or --finalists."
            )
        if not FEWEST_TO_DECIDE <= first <= most:
            raise StudyError(
                f"--decide begins with the {first} seeds of the study and ends with {most}. Begin with at least "
                f"{FEWEST_TO_DECIDE} (--seeds), because one gives no interval, and end with no fewer (--max-seeds)."
            )
        looks = [first]
        while looks[-1] < most:
            looks.append(min(most, math.ceil(LOOK_GROWTH * looks[-1])))
        return replace(self, looks=tuple(looks))

    def kept_arms(self, names: Sequence[Value] | None) -> dict[str, Mapping[str, Value]]:
        """Return the arms that are asked for by name, all when None, or raise `StudyError`."""
        for name in names or ():
            if self.arms and name not in self.arms:
                raise StudyError(
                    f"Unknown arm {name!r}.{did_you_mean(str(name), self.arms)} There is {', '.join(self.arms)}."
                )
        return {arm: params for arm, params in self.arms.items() if names is None or arm in names}


@dataclass(frozen=True)
class Budget:
    """What the trials of a search are spent on.

    Args:
        n_groups: Points of grid and arms; each has a search of its own.
        points: Points that each search asks for, on the first seed.
        finalists: The best of them that are run again.
        further_seeds: Seeds of each finalist beside the first.
    """

    n_groups: int
    points: int
    finalists: int
    further_seeds: int

    @property
    def n_search(self) -> int:
        """Trials of the searches."""
        return self.n_groups * self.points

    @property
    def n_trials(self) -> int:
        """All trials."""
        return self.n_search + self.n_groups * self.finalists * self.further_seeds


def search_budget(study: Study) -> Budget:
    """Return what ``max_trials`` of a search are spent on: every point of the grid gets the same.

    Raises:
        StudyError: If they do not even pay for the finalists.
    """
    n_groups, further = len(study.grid_points), len(study.seed_list) - 1
    replicas, least = study.finalists * further, max(study.finalists, FEWEST_POINTS)
    if study.max_trials is None:
        return Budget(n_groups, max(POINTS, least), study.finalists, further)
    points = study.max_trials // n_groups - replicas
    if points < least:
        raise StudyError(
            f"max_trials={study.max_trials} is too few: {n_groups} searches of at least {least} points, each with "
            f"{study.finalists} finalists on {further} further seeds, take {n_groups * (least + replicas)}. "
            "Allow more trials, or fewer finalists, seeds or grid points."
        )
    return Budget(n_groups, points, study.finalists, further)


def bad_name(study: Study) -> str | None:
    """Return what is wrong when the study's name cannot be a folder."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", study.name):
        return None
    name = study.name[:120]
    return (
        f"Study name {name!r} is not usable as a folder. Use letters, digits, '_', '-' and '.', at most 100."
    )


def bad_numbers(study: Study) -> str | None:
    """Return what is wrong with epochs, seeds, finalists or the share of audits."""
    seeds = study.seed_list
    if study.epochs < 1:
        return f"epochs={study.epochs} is below 1. Train for at least one epoch."
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        return f"seeds={study.seeds!r} gives no usable seeds. Give a number above 0, or distinct seeds >= 0."
    if study.finalists < 1:
        return f"finalists={study.finalists} is below 1. A search ends with at least one point on all seeds."
    if not 0 <= study.guard_audit <= 1:
        return f"guard_audit={study.guard_audit} is not a share. Give a number from 0 to 1."
    return None


def bad_axes(study: Study) -> str | None:
    """Return what is wrong with what varies: nothing, or a parameter in two places."""
    if not (study.grid or study.arms or study.search):
        return (
            "Nothing is swept. A sweep compares cells: give at least one parameter in grid, search or --set."
        )
    if PRESET in study.search:
        return (
            f"{PRESET} is searched. A preset decides other parameters, which a search cannot; put it in grid."
        )
    in_arms = {name for params in study.arms.values() for name in params}
    places = {
        "grid": set(study.grid),
        "fixed": set(study.fixed),
        "search": set(study.search),
        "arms": in_arms,
    }
    words = {"grid": "swept", "fixed": "fixed", "search": "searched", "arms": "set by arms"}
    for (first, names), (second, others) in itertools.combinations(places.items(), 2):
        both = sorted(names & others)
        if both and {first, second} != {"fixed", "arms"}:  # an arm says how it differs from what is fixed
            return f"{both[0]} is {words[first]} and {words[second]} at once. Take it out of {first} or of {second}."
    return None


def bad_choices(study: Study) -> str | None:
    """Return what is wrong with a named choice, or which choice needs a search that the study has not."""
    modes = [objective.mode for objective in (study.objective, *study.objectives)]
    wrong = [mode for mode in modes if mode not in ("min", "max")]
    if wrong:
        return f"Objective mode {wrong[0]!r} is neither 'min' nor 'max'. Write one of them."
    if study.objectives and study.objectives[0] != study.objective:
        return f"objectives does not begin with {study.objective.metric}, which selects epochs. Put it first."
    if study.sampler not in SAMPLERS:
        return f"sampler={study.sampler!r} is unknown. It takes {', '.join(SAMPLERS)}."
    if study.scheduler is not None and study.scheduler not in SCHEDULERS:
        return f"scheduler={study.scheduler!r} is unknown. It takes {', '.join(SCHEDULERS)}, or None."
    for name, is_set in (("max_trials", study.max_trials is not None), ("scheduler", bool(study.scheduler))):
        if is_set and not study.search:
            return f"{name} belongs to a search, and this study has none. Give ranges in search, or with --search."
    return None


RULES = (bad_name, bad_numbers, bad_axes, bad_choices)


def checked_params(space: Space, params: Mapping[str, Value]) -> Params:
    """Return values of single parameters in the types of their domains."""
    return {name: space.check(name, value) for name, value in params.items()}


def checked_range(space: Space, name: str, bounds: Sequence[Value]) -> tuple[Value, ...]:
    """Return what a search may draw of one parameter: its bounds, or the options of a choice.

    Raises:
        SpaceError: If nothing can be drawn from it.
    """
    domain, checked = space.domain(name), checked_values(space, name, bounds)
    if isinstance(domain, Choice):
        return checked
    if len(checked) != 2 or not float(checked[0]) < float(checked[1]):
        raise SpaceError(
            f"{name}={list(bounds)} is not a range. Write {name}=(low, high) with low below high."
        )
    low, high = searchable(name, float(checked[0]), float(checked[1]), log=domain.log)
    return domain.check(name, low), domain.check(name, high)


def checked_values(space: Space, name: str, values: Sequence[Value]) -> tuple[Value, ...]:
    """Return the values of a swept parameter in the type of its domain, or raise for none, doubles or bad ones."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise SpaceError(f"{name}={values!r} is not a list of values. Write {name}=(value, value, ...).")
    checked = tuple(space.check(name, value) for value in values)
    if len(set(checked)) != len(checked):
        raise SpaceError(
            f"{name}={list(values)} holds a value twice. Every cell is one point: give each value once."
        )
    return checked
