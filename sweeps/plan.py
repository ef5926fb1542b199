"""From a study to its trials: what would run, what is finished already, and under which names.

A trial is named by its content, so the same work has the same name wherever it is asked for. A sweep is
named by its question without the seeds: more seeds extend a sweep, a changed grid is another one.
Reads data fingerprints and earlier records; starts nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.domains import Choice, Params, Space, Value, did_you_mean, value_text
from search_spaces.errors import RefusedError
from sweeps.records import RESERVED_COLUMNS, TRIALS_FILE, TrialRow, read_trial_rows
from sweeps.study import Study, StudyError
from trainables.dataset import Metric
from trainables.families import code_version, load_family

MAX_FOLDER_NAME = 120
FINISHED_STATES = ("complete", "pruned", "diverged")  # training them again would end the same way


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
    """

    trial_id: str
    cell: str
    swept: Params
    params: Params
    seed: int
    data_key: str
    folder: Path

    @property
    def row(self) -> TrialRow:
        """The trial's row in the records when it starts."""
        return TrialRow(self.trial_id, self.cell, self.swept, self.seed)


@dataclass(frozen=True)
class Plan:
    """What one execution of a study consists of.

    Args:
        study: The study, checked against the family's space.
        sweep_id: Name of the sweep.
        trials: All trials, seed by seed, so that every cell has a number early.
        folder: Folder of the sweep's records and trials.
        data_root: The user's own data, None for the family's default.
        code_version: Hash of the code that decides the numbers.
        finished: Rows of trials that need no more training, by id, with the folder of the sweep that holds them.
    """

    study: Study
    sweep_id: str
    trials: tuple[PlannedTrial, ...]
    folder: Path
    data_root: Path | None
    code_version: str
    finished: dict[str, tuple[TrialRow, Path]] = field(default_factory=dict)

    @property
    def other_sources(self) -> list[Path]:
        """Folders of other sweeps that hold finished trials of this one."""
        return sorted({source for _, source in self.finished.values()} - {self.folder})

    @property
    def open_trials(self) -> list[PlannedTrial]:
        """The trials that are still to be trained."""
        return [trial for trial in self.trials if trial.trial_id not in self.finished]


@dataclass(frozen=True)
class RunOptions:
    """How a plan is run; none of it changes the work, though a GPU rounds differently than a CPU.

    Args:
        address: Ray cluster: None takes a running local one or starts one, ``local`` always starts one.
        cpus_per_trial: CPU cores per trial; also the threads it uses.
        gpus_per_trial: GPUs per trial, fractions allowed; above 0 it trains on CUDA.
        time_budget_s: Seconds after which no further epoch is waited for, None for no limit.
        max_failures: How often a trial is taken up again after its process or node died.
    """

    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
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
    check_objective(study, family.metrics)
    version = code_version(study.family)
    cells = [dict(zip(study.grid, point, strict=True)) for point in itertools.product(*study.grid.values())]
    resolved = [family.space.resolve({**study.fixed, **cell}) for cell in cells]
    data_keys = [family.fingerprint(params, data_root) for params in resolved]
    trials = tuple(
        planned_trial(study, version, cell, params, seed, key)
        for seed in study.seed_list
        for cell, params, key in zip(cells, resolved, data_keys, strict=True)
    )
    sweep_id = digest(
        study.name, study.family, study.grid, resolved, study.epochs, study.objective, version, data_keys
    )[:10]
    folder = out / study.name / sweep_id
    finished = finished_trials(out, {trial.trial_id for trial in trials}, first=folder)
    return Plan(study, sweep_id, trials, folder, data_root, version, finished)


def check_objective(study: Study, metrics: Mapping[str, Metric]) -> None:
    """Raise `StudyError` unless the objective is a validation metric of the family, and no axis shadows a column."""
    split, _, name = study.objective.metric.partition("/")
    if split != "valid" or name not in metrics:
        known = [f"valid/{metric}" for metric in metrics]
        raise StudyError(
            f"Objective {study.objective.metric!r} is not a validation metric of {study.family}."
            f"{did_you_mean(study.objective.metric, known)} It takes {', '.join(known)}."
        )
    for axis in study.grid:
        if axis in RESERVED_COLUMNS:
            raise StudyError(
                f"{axis!r} cannot be swept: the table of trials has a column of that name. Rename it."
            )


def planned_trial(
    study: Study, version: str, cell: Params, params: Params, seed: int, data_key: str
) -> PlannedTrial:
    """Return the trial of one cell and seed under its content's name."""
    trial_id = digest(study.family, params, seed, study.epochs, study.objective, data_key, version)[:16]
    label = cell_label(cell)
    return PlannedTrial(
        trial_id, label, cell, params, seed, data_key, Path(folder_name(label)) / f"seed_{seed}"
    )


def digest(*content: Any) -> str:
    """Return a hash that depends on the content alone."""
    text = json.dumps(content, sort_keys=True, default=lambda value: asdict(value))
    return hashlib.sha256(text.encode()).hexdigest()


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


def finished_trials(out: Path, wanted: set[str], first: Path) -> dict[str, tuple[TrialRow, Path]]:
    """Return the finished trials among ``wanted`` in any sweep under ``out``, those in ``first`` preferred."""
    folders = {path.parent for path in out.glob(f"*/*/{TRIALS_FILE}")}
    found: dict[str, tuple[TrialRow, Path]] = {}
    for folder in sorted(folders, key=lambda path: (path != first, str(path))):
        try:
            trials = read_trial_rows(folder)
        except RefusedError:
            if folder == first:
                raise
            continue  # another sweep's damage is not this sweep's: its trials are simply not reused
        for trial_id, row in trials.items():
            if trial_id in wanted and row.state in FINISHED_STATES:
                found.setdefault(trial_id, (row, folder))
    return found


def axes_of(study: Study, space: Space) -> dict[str, dict[str, Any]]:
    """Return what the records say of every swept parameter: values, scale, simplicity, meaning."""
    axes = {}
    for name, values in study.grid.items():
        domain = space[name]
        axes[name] = {
            "values": list(values),
            "scale": "category" if isinstance(domain, Choice) else domain.scale,
            "simplicity": [domain.rank(value) for value in values],
            "meaning": domain.meaning,
            "weight": not isinstance(domain, Choice) and domain.weight,
        }
    return axes
