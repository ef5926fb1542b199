"""One search of one grid point: an Optuna study in SQLite, and samplers whose draws depend on nothing hidden.

Every draw has a sampler of its own, seeded by the place of the draw, so that the state of a search is what
its storage holds: one that was killed goes on as if it had not been. Optuna's storage is the note of what
was asked, the records of what came of it; `optuna-dashboard` opens it. The only home of Optuna beside
`search_spaces.conversion` and `analysis.importance`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from search_spaces.conversion import to_optuna
from search_spaces.domains import Choice, Params, Space, Value
from search_spaces.errors import RefusedError, first_line
from sweeps.study import Objective, Study

STORAGE_FILE = "optuna.db"
DIGITS = 4  # of a drawn number: more say nothing, and make names unreadable
STARTUP_POINTS = 10  # random points before TPE; Optuna's default, set so that it stays
CANDIDATES = 24  # draws of which TPE takes the best; Optuna's default
POPULATION = 10  # of NSGA-II: budgets here are tens of points, not thousands
COLLAPSED = ("collapsed", "diverged")  # they break a constraint: worse than any point that does not

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Outcome:
    """What came of one point.

    Args:
        state: State of its trial, as in the records.
        values: Objectives at the selected epoch, None when it never reported them.
        epoch: Last epoch that was trained.
    """

    state: str
    values: tuple[float, ...] | None
    epoch: int


class Sampling:
    """The Optuna study of one grid point.

    Args:
        study: The sweep's study.
        space: The family's space.
        label: Grid point of the search. With the study's name it decides the seeds, whatever the sweep's id:
            a change of a family's code alone does not change what is drawn at random.
        sweep_id: Id of the sweep; the Optuna study is named after all three.
        folder: Folder of the storage.
    """

    def __init__(self, study: Study, space: Space, label: str, sweep_id: str, folder: Path) -> None:
        self.objectives: Sequence[Objective] = study.objectives
        self.sampler, self.seeds = study.sampler, f"{study.name} {label}"
        self.name = f"{study.name} {sweep_id} {label}"
        self.distributions = {key: distribution(key, space, bounds) for key, bounds in study.search.items()}
        path = (folder / STORAGE_FILE).resolve()
        try:
            self.optuna = optuna.create_study(
                storage=f"sqlite:///{path}",
                study_name=self.name,
                directions=["minimize" if one.mode == "min" else "maximize" for one in self.objectives],
                load_if_exists=True,
            )
        except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
            raise RefusedError(
                f"{path} cannot be used: {first_line(error)}. Remove it; the points come back from the records."
            ) from error
        with new_interfaces_accepted():
            self.optuna.set_metric_names([one.metric for one in self.objectives])

    def ask(self, *, at_random: bool = False) -> tuple[int, Params]:
        """Return a new point: its number and what was drawn, numbers to `DIGITS` digits."""
        place = sum(set(trial.params) == set(self.distributions) for trial in self._trials)
        self.optuna.sampler = make_sampler("random" if at_random else self.sampler, self.seeds, place)
        trial = self.optuna.ask(self.distributions)
        return trial.number, rounded(trial.params, self.distributions)

    def tell(self, number: int, outcome: Outcome) -> None:
        """Note what came of a point; a failed one stays open, to be trained again at the next start."""
        frozen = self._trials[number]
        if frozen.state.is_finished() or outcome.state == "failed":
            return
        trial = optuna.trial.Trial(self.optuna, frozen._trial_id)
        trial.set_user_attr("state", outcome.state)
        trial.set_constraint("collapse", float(outcome.state in COLLAPSED))
        several = len(self.objectives) > 1
        if outcome.values is None and several:  # Optuna takes no point of several objectives without values
            outcome = replace(outcome, values=self._worst())
        if outcome.values is not None and (outcome.state == "complete" or several):
            self.optuna.tell(number, list(outcome.values))
            return
        if outcome.values is not None:
            trial.report(outcome.values[0], outcome.epoch)
        self.optuna.tell(number, state=TrialState.PRUNED)

    def forget(self, number: int) -> None:
        """Note that a point is not trained: it was asked for before, or cannot be."""
        self.optuna.tell(number, state=TrialState.FAIL)

    def add(self, drawn: Params) -> int:
        """Return the number of a point that the records have and the storage has not; it is open."""
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=dict(drawn), distributions=self.distributions
        )
        self.optuna.add_trial(trial)
        return len(self._trials) - 1

    @property
    def asked(self) -> list[tuple[int, Params, bool]]:
        """All points that were asked for: number, what was drawn, and whether the outcome is not known yet."""
        return [
            (trial.number, rounded(trial.params, self.distributions), not trial.state.is_finished())
            for trial in self._trials
            if trial.state != TrialState.FAIL
        ]

    def forget_half_asked(self) -> None:
        """Give up the points of which a kill left only a part."""
        for trial in self._trials:
            if not trial.state.is_finished() and set(trial.params) != set(self.distributions):
                self.forget(trial.number)

    def best_numbers(self) -> list[int]:
        """Return the points that no other feasible one beats: the best one, or the Pareto set of several objectives."""
        feasible = [
            t for t in self._trials if t.state == TrialState.COMPLETE and not t.constraints["collapse"]
        ]
        return [trial.number for trial in self.optuna.best_trials] if feasible else []

    @property
    def _trials(self) -> list[FrozenTrial]:
        trials: list[FrozenTrial] = self.optuna.get_trials(deepcopy=False)
        return trials

    def _worst(self) -> tuple[float, ...]:
        told = [trial.values for trial in self._trials if trial.values]
        pick = [max if one.mode == "min" else min for one in self.objectives]
        columns = zip(*told, strict=True) if told else [(0.0,)] * len(pick)
        return tuple(worst(column) for worst, column in zip(pick, columns, strict=True))


def distribution(name: str, space: Space, bounds: Sequence[Value]) -> BaseDistribution:
    """Return what Optuna draws one parameter from: the space's domain, narrowed to the study's bounds."""
    domain = space[name]
    if isinstance(domain, Choice):
        return to_optuna(name, replace(domain, options=tuple(bounds), default=bounds[0]))
    low, high = float(bounds[0]), float(bounds[1])
    return to_optuna(name, replace(domain, low=low, high=high, default=low))


def rounded(drawn: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Params:
    """Return what was drawn with numbers of `DIGITS` digits, still within their bounds, in the order of the study."""
    found: Params = {}
    for name in distributions:
        value = drawn.get(name)
        if isinstance(value, float):
            low, high = (getattr(distributions[name], end) for end in ("low", "high"))
            value = min(max(float(f"{value:.{DIGITS}g}"), low), high)
        if value is not None:
            found[name] = value
    return found


def make_sampler(kind: str, seeds: str, place: int) -> BaseSampler:
    """Return the sampler of one draw.

    Args:
        kind: One of `sweeps.study.SAMPLERS`.
        seeds: Name from which the seeds of the search are made.
        place: How many points were asked for before.

    Source:
        TPE: Bergstra et al. 2011, with Watanabe 2023 for the multivariate form;
        QMC: Sobol' sequence, Bergstra and Bengio 2012; NSGA-II: Deb et al. 2002.
    """
    seed = seed_of(seeds, place)
    if kind == "random":
        return RandomSampler(seed)
    if kind == "qmc":  # one sequence: all draws of a search share its scrambling
        whole, first = seed_of(seeds, 0), RandomSampler(seed)
        with new_interfaces_accepted():
            return QMCSampler(qmc_type="sobol", scramble=True, seed=whole, independent_sampler=first)
    if kind == "nsga2":
        return NSGAIISampler(population_size=POPULATION, seed=seed)
    return TPESampler(
        n_startup_trials=STARTUP_POINTS,
        n_ei_candidates=CANDIDATES,
        multivariate=True,
        constant_liar=True,
        seed=seed,
    )


@contextmanager
def new_interfaces_accepted() -> Iterator[None]:
    """Silence Optuna's warning that an interface may still change; the version is pinned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def seed_of(name: str, place: int) -> int:
    """Return a seed that name and place decide."""
    return int(hashlib.sha256(f"{name} {place}".encode()).hexdigest()[:8], 16)
