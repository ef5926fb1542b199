"""From a study to its trials: what would run, what is finished already, and under which names.

A trial is named by its content, so the same work has the same name wherever it is asked for. A sweep is
named by its question without seeds and budget: more of either extends a sweep, a changed grid is another
one. The trials of a grid are known beforehand; those of a search are drawn while it runs (`sweeps.search`).
Reads data fingerprints and earlier records; starts nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.domains import Choice, Params, Space, Value, did_you_mean, value_text
from search_spaces.errors import RefusedError
from sweeps.records import RESERVED_COLUMNS, TRIALS_FILE, TrialRow, read_trial_rows
from sweeps.study import ARM, Study, StudyError
from trainables.dataset import Metric
from trainables.families import code_version, load_family
from trainables.guard import Guard

if TYPE_CHECKING:  # the contract imports torch, and planning must stay quick
    from trainables.contract import Family

MAX_FOLDER_NAME = 120
FINISHED_STATES = (
    "complete",
    "pruned",
    "collapsed",
    "diverged",
)  # training them again would end the same way
ADOPTED_STATES = ("complete", "collapsed", "diverged")  # a trial is pruned for the company it was in


@dataclass(frozen=True)
class PlannedTrial:
    """One cell with one seed.

    Args:
        trial_id: Hash of all that decides its numbers.
        cell: Swept parameters as text.
        swept: Swept parameters.
        params: Every parameter.
        seed: Its seed.
        data_key: Fingerprint of its data.
        folder: Folder of its files, relative to the sweep's.
        audited: Whether it is run on when it breaks a guard.
        point: Number of the point in its search, None in a grid.
        group: Name of the grid point whose search it belongs to, None when nothing may prune it.
    """

    trial_id: str
    cell: str
    swept: Params
    params: Params
    seed: int
    data_key: str
    folder: Path
    audited: bool = False
    point: int | None = None
    group: str | None = None

    @property
    def row(self) -> TrialRow:
        """The trial's row in the records when it starts."""
        return TrialRow(self.trial_id, self.cell, self.swept, self.seed, point=self.point)


@dataclass(frozen=True)
class GridPoint:
    """A point of grid and arms, with the data of its trials.

    Args:
        cell: Its parameters.
        params: All parameters; searched ones at their lower bound.
        data_key: Fingerprint of the data.
    """

    cell: Params
    params: Params
    data_key: str

    @property
    def label(self) -> str:
        """Its name, ``only`` when everything is searched."""
        return cell_label(self.cell)


@dataclass(frozen=True)
class Plan:
    """What one execution of a study consists of.

    Args:
        study: The study, checked against the family's space.
        sweep_id: Name of the sweep.
        points: The points of grid and arms.
        folder: Folder of the sweep's records and trials.
        data_root: The user's own data, None for the family's default.
        code_version: Hash of the code that decides the numbers.
        guards: Rules that end a trial early.
        limit: How many of a grid's trials are wanted, the first ones; None for all.
        n_seeds: On how many of the seeds a cell runs, by its name; on all where it is not named.
        recorded: Rows of ended trials in this sweep and in others, by id, with the folder of the sweep that holds them.
    """

    study: Study
    sweep_id: str
    points: tuple[GridPoint, ...]
    folder: Path
    data_root: Path | None
    code_version: str
    guards: tuple[Guard, ...] = ()
    limit: int | None = None
    n_seeds: Mapping[str, int] = field(default_factory=dict)
    recorded: dict[str, tuple[TrialRow, Path]] = field(default_factory=dict)

    @cached_property
    def trials(self) -> tuple[PlannedTrial, ...]:
        """All trials of a grid, seed by seed, so that every cell has a number early; none of a search."""
        if self.study.search:
            return ()
        all_seeds = len(self.study.seed_list)
        cells = (
            (seed, point)
            for place, seed in enumerate(self.study.seed_list)
            for point in self.points
            if place < self.n_seeds.get(point.label, all_seeds)
        )
        return tuple(self.trial(point, {}, seed) for seed, point in itertools.islice(cells, self.limit))

    def trial(
        self, point: GridPoint, drawn: Params, seed: int, number: int | None = None, *, ranked: bool = True
    ) -> PlannedTrial:
        """Return the trial of one cell and seed under its content's name.

        Args:
            point: Point of the grid.
            drawn: What a search drew there.
            seed: The seed.
            number: Number of the point in its search.
            ranked: Whether a scheduler may end it for being worse than others.
        """
        cell = {**point.cell, **drawn}
        params = load_family(self.study.family).space.resolve({**point.params, **drawn})
        study, guards = self.study, [asdict(guard) for guard in self.guards]
        content = (
            study.family,
            params,
            seed,
            study.epochs,
            asdict(study.objective),
            point.data_key,
            self.code_version,
        )
        audited = bool(guards) and share_of(digest(study.family, params, seed, guards)) < study.guard_audit
        label = cell_label(cell)
        return PlannedTrial(
            trial_id=digest(*content, guards, audited)[:16],
            cell=label,
            swept=cell,
            params=params,
            seed=seed,
            data_key=point.data_key,
            folder=trial_folder(label, seed),
            audited=audited,
            point=number,
            group=point.label if ranked and study.search else None,
        )

    @property
    def n_trials(self) -> int:
        """Number of trials; of a search, what its budget allows."""
        budget = self.study.budget
        return len(self.trials) if budget is None else budget.n_trials

    @property
    def n_finished(self) -> int:
        """Trials that need no more training; of a search an estimate, for its finalists may change."""
        budget = self.study.budget
        if budget is not None:
            seeds = [row.seed for row, source in self.recorded.values() if source == self.folder]
            n_points = seeds.count(self.study.seed_list[0])
            n_replicas = min(len(seeds) - n_points, budget.n_trials - budget.n_search)
            return min(n_points, budget.n_search) + n_replicas
        return len(self.trials) - len(self.open_trials)

    @property
    def n_open(self) -> int:
        """Trials that are still to be trained."""
        return self.n_trials - self.n_finished

    @property
    def open_trials(self) -> list[PlannedTrial]:
        """The trials of a grid that are still to be trained."""
        return [trial for trial in self.trials if trial.trial_id not in self.recorded]


@dataclass(frozen=True)
class RunOptions:
    """How a plan is run; none of it changes the work, though a GPU rounds differently than a CPU.

    Args:
        address: Ray cluster: None takes a running local one or starts one, ``local`` always starts one.
        cpus_per_trial: CPU cores per trial; also the threads it uses.
        gpus_per_trial: GPUs per trial, fractions allowed.
        memory_per_trial: Most memory in bytes that a trial's process may take, None for no limit.
        labels: Names and values that a node must be labelled with to train here.
        device: Where trials train, ``cpu`` or ``cuda``; None takes CUDA for trials that have a GPU.
        time_budget_s: Seconds after which no further epoch is waited for, None for no limit.
        max_failures: How often a trial is taken up again after its process or node died.
    """

    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    memory_per_trial: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    device: str | None = None
    time_budget_s: float | None = None
    max_failures: int = 3


def make_plan(study: Study, out: Path, data_root: Path | None = None) -> Plan:
    """Return the plan of ``study``.

    Args:
        study: The study.
        out: Folder of all results.
        data_root: The user's own data, None for the family's default.

    Raises:
        RefusedError: If family, parameter, value or data is not usable; nothing has been started.
    """
    family = load_family(study.family)
    study = study.checked(family.space)
    check_objectives(study, family.metrics)
    check_axes(study)
    version, guards = code_version(study.family), guards_of(study, family)
    check_guards(guards, family)
    points = tuple(grid_point(study, family, cell, data_root) for cell in study.grid_points)
    check_train_rows(study, points)
    sweep_id = digest(question(study, points, guards), version)[:10]
    folder = out / study.name / sweep_id
    recorded = ended_trials(out, first=folder)
    return Plan(study, sweep_id, points, folder, data_root, version, guards, recorded=recorded)


def question(study: Study, points: tuple[GridPoint, ...], guards: tuple[Guard, ...]) -> list[Any]:
    """Return what makes one sweep another one: everything but further seeds, budget and code."""
    asked = [study.name, study.family, study.grid_axes, study.epochs, asdict(study.objective)]
    rules = [*(asdict(guard) for guard in guards), study.guard_audit] if guards else []
    objectives = [asdict(one) for one in study.objectives]
    search = [study.search, study.sampler, study.scheduler, objectives, study.seed_list[0]]
    return [*asked, rules, search if study.search else [], [[p.params, p.data_key] for p in points]]


def guards_of(study: Study, family: Family) -> tuple[Guard, ...]:
    """Return the guards of a study: its own, else those of the family in a search, else none."""
    if study.guards is not None:
        return tuple(study.guards)
    return tuple(family.guards) if study.search else ()


def grid_point(study: Study, family: Family, cell: Params, data_root: Path | None) -> GridPoint:
    """Return a point of the grid with its data.

    Raises:
        StudyError: If a searched parameter decides the data.
    """
    ends = [
        family.space.resolve(
            {**study.given(cell), **{name: bounds[end] for name, bounds in study.search.items()}}
        )
        for end in (0, -1)
    ]
    keys = [family.fingerprint(params, data_root) for params in ends]
    if keys[0] != keys[1]:
        raise StudyError(
            f"{', '.join(study.search)}: one of them decides the data, which a search cannot. Put it in grid."
        )
    return GridPoint(cell, ends[0], keys[0])


def check_objectives(study: Study, metrics: Mapping[str, Metric]) -> None:
    """Raise `StudyError` unless every objective is a metric of the family on validation or training samples."""
    for metric in [study.objective.selects, *(objective.metric for objective in study.objectives)]:
        split, _, name = metric.partition("/")
        if split not in ("valid", "train_eval") or name not in metrics:
            known = [f"valid/{metric}" for metric in metrics]
            raise StudyError(
                f"Objective {metric!r} is not a validation metric of {study.family}."
                f"{did_you_mean(metric, known)} It takes {', '.join(known)}."
            )


def check_train_rows(study: Study, points: Sequence[GridPoint]) -> None:
    """Raise `StudyError` when an objective is on training samples and none are evaluated."""
    asked = [study.objective.selects, *(one.metric for one in study.objectives)]
    on_train = [metric for metric in asked if metric.startswith("train_eval/")]
    if on_train and any(point.params["train_rows"] == 0 for point in points):
        raise StudyError(
            f"Objective {on_train[0]!r} needs training samples to be evaluated, but train_rows=0. "
            "Set train_rows to their number."
        )


def check_guards(guards: Sequence[Guard], family: Family) -> None:
    """Raise `StudyError` for a guard on a monitor that the training loop never reports for the family."""
    known = known_monitors(family)
    for guard in guards:
        kind, _, name = guard.metric.partition("/")
        if kind == "test":
            raise StudyError(
                f"Guard's monitor {guard.metric!r} is known only when a trial has ended. Guard valid/{name}."
            )
        open_ended = kind == "train" and not family.train_metrics
        if guard.metric in known or open_ended or is_accounted(kind, name, family):
            continue
        same = [monitor for monitor in known if monitor.startswith(f"{kind}/")] or known
        raise StudyError(
            f"Guard's monitor {guard.metric!r} is not reported.{did_you_mean(guard.metric, known)} "
            f"It takes {', '.join(same)}, or a monitor of the training loop such as grad_share/TERM."
        )


BY_TERM, BY_MODULE = ("grad_norm", "grad_share", "grad_cos"), ("grad_ratio", "frac_params_with_grad")
"""What gradient accounting reports by the terms of a loss and by module: see `trainables.accounting.account`."""


def known_monitors(family: Family) -> list[str]:
    """Return the monitors whose names are known without building a model."""
    trained = [f"train/{name}" for name in (*family.train_metrics, "total_loss", "lr")]
    evaluated = [f"{split}/{name}" for split in ("valid", "train_eval") for name in family.metrics]
    return [*evaluated, *trained, "grad_norm"]


def is_accounted(kind: str, name: str, family: Family) -> bool:
    """Return whether gradient accounting may report ``kind/name``.

    A name is ``[MODULE/]TERM``, ``[MODULE/]TERM.TERM`` or ``MODULE``.
    Modules are not known before a model is built; a trial whose guard names none of them fails at its first epoch.
    """
    terms = name.rpartition("/")[2].split(".")
    return kind in BY_MODULE or (
        kind in BY_TERM and (not family.train_metrics or set(terms) <= set(family.train_metrics))
    )


def check_axes(study: Study) -> None:
    """Raise `StudyError` when a swept parameter would shadow a column of the table of trials."""
    for axis in (*study.grid_axes, *study.search):
        if axis in RESERVED_COLUMNS:
            raise StudyError(
                f"{axis!r} cannot be swept: the table of trials has a column of that name. Rename it."
            )


def digest(*content: Any) -> str:
    """Return a hash that depends on the content alone."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def share_of(hexadecimal: str) -> float:
    """Return a number from 0 to 1 that a hash decides."""
    return int(hexadecimal[:8], 16) / 16**8


def cell_label(cell: Mapping[str, Value]) -> str:
    """Return the swept parameters as a researcher writes them: ``latent_space=vq,globals_beta=10``."""
    return ",".join(f"{name}={value_text(value)}" for name, value in cell.items()) or "only"


def folder_name(label: str) -> str:
    """Return ``label`` as the name of one folder: no separator, no dots alone, no more than 120 characters."""
    safe = re.sub(r"[^A-Za-z0-9_.=,+-]", "-", label).lstrip(".")
    if safe == label and len(safe) <= MAX_FOLDER_NAME:
        return safe
    return f"{safe[:MAX_FOLDER_NAME]}-{digest(label)[:8]}"


def trial_folder(cell: str, seed: int) -> Path:
    """Return the folder of a trial's files, relative to its sweep's."""
    return Path(folder_name(cell)) / f"seed_{seed}"


def ended_trials(out: Path, first: Path) -> dict[str, tuple[TrialRow, Path]]:
    """Return what is trained already in any sweep under ``out``, by trial id; rows in ``first`` are preferred."""
    folders = {path.parent for path in out.glob(f"*/*/{TRIALS_FILE}")}
    found: dict[str, tuple[TrialRow, Path]] = {}
    for folder in sorted(folders, key=lambda path: (path != first, str(path))):
        try:
            trials = read_trial_rows(folder)
        except RefusedError:
            if folder == first:
                raise
            continue  # another sweep's damage is not this sweep's: its trials are simply not reused
        states = FINISHED_STATES if folder == first else ADOPTED_STATES
        for trial_id, row in trials.items():
            if row.state in states:
                found.setdefault(trial_id, (row, folder))
    return found


def axes_of(study: Study, space: Space) -> dict[str, dict[str, Any]]:
    """Return what the records say of every axis: values or bounds, scale, simplicity, meaning."""
    arms = {ARM: named_axis(tuple(study.arms))} if study.arms else {}
    swept = {name: described(name, space, tuple(values)) for name, values in study.grid.items()}
    searched = {
        name: described(name, space, (), bounds if not isinstance(space[name], Choice) else ())
        for name, bounds in study.search.items()
    }
    return arms | swept | searched


def named_axis(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the axis of the arms; their order says nothing of which one is simpler, so they have no ranks."""
    meaning = "named settings of several parameters"
    return {
        "values": list(names),
        "scale": "category",
        "simplicity": [],
        "meaning": meaning,
        "weight": False,
    }


def described(
    name: str, space: Space, values: tuple[Value, ...], bounds: Sequence[Value] = ()
) -> dict[str, Any]:
    """Return one parameter as an axis; of a searched one the values follow from the trials."""
    domain = space[name]
    axis: dict[str, Any] = {
        "values": list(values),
        "scale": "category" if isinstance(domain, Choice) else domain.scale,
        "simplicity": [domain.rank(value) for value in values],
        "meaning": domain.meaning,
        "weight": not isinstance(domain, Choice) and domain.weight,
    }
    if values:
        return axis
    return axis | {"searched": True} | dict(zip(("low", "high"), bounds, strict=False))
