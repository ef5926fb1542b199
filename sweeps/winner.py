"""Which trial of a sweep won: in the cell that its report recommends, the one with the best objective."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import RefusedError
from sweeps.plan import trial_folder
from sweeps.records import DIGEST_FILE, REPORT_FOLDER, EpochRow, Records, TrialRow, read_records
from sweeps.storage import bring
from sweeps.study import Objective


@dataclass(frozen=True)
class Winner:
    """The trial to take.

    Args:
        sweep: Contents of ``sweep.json``.
        row: The trial.
        best: Its best epoch, with all metrics.
        folder: Folder of its files.
        standing: How its cell stands beside what needs no training, as in ``report.json``: see `analysis.standing`.
    """

    sweep: Mapping[str, Any]
    row: TrialRow
    best: EpochRow
    folder: Path
    standing: Mapping[str, Any]

    @property
    def study(self) -> str:
        """Name of the study, which is also that of its MLflow experiment."""
        return str(self.sweep["study"]["name"])

    @property
    def family(self) -> str:
        """Name of the family."""
        return str(self.sweep.get("family") or self.sweep["study"]["family"])

    @property
    def metric(self) -> str:
        """The objective by which it won."""
        return str(self.sweep["study"]["objective"]["metric"])

    @property
    def value(self) -> float:
        """The objective at its best epoch."""
        return self.best.metrics[self.metric]


def find_winner(folder: Path) -> Winner:
    """Return the winner of a sweep.

    Raises:
        RefusedError: If nothing is recorded, or the report recommends no cell.
    """
    records = read_records(folder)
    said = reported(folder, records)
    if said["recommendation"] is None:
        raise RefusedError(
            f"Sweep {folder.name} of {folder.parent.name} recommends no cell, so it has no winner: "
            f"{said['no_recommendation']}"
        )
    cell, objective = said["recommendation"]["cell"], Objective(**records.sweep["study"]["objective"])
    selected = [
        (row, selected_epoch(records, row, objective))
        for row in records.trials.values()
        if row.state == "complete" and is_in(row, cell)
    ]
    row, best = objective.best(selected, lambda pair: pair[1].metrics[objective.metric])
    place = bring(folder / trial_folder(row.cell, row.seed))
    return Winner(records.sweep, row, best, place, said["recommendation"]["standing"])


def selected_epoch(records: Records, row: TrialRow, objective: Objective) -> EpochRow:
    """Return the epoch of a completed trial that the objective selects."""
    epochs = [epoch for epoch in records.epochs_of(row.trial_id) if objective.metric in epoch.metrics]
    return objective.best(
        epochs, lambda epoch: epoch.metrics.get(objective.selects, epoch.metrics[objective.metric])
    )


def reported(folder: Path, records: Records) -> Mapping[str, Any]:
    """Return the contents of ``report.json``: as written, if the report speaks of these records; else computed."""
    report, note = folder / REPORT_FOLDER / "report.json", folder / REPORT_FOLDER / DIGEST_FILE
    if report.exists() and note.exists() and note.read_text() == records.digest:
        written: Mapping[str, Any] = json.loads(report.read_text())
        if "standing" in (written["recommendation"] or {"standing": None}):  # older reports do not say
            return written
    from analysis.answer import answer
    from analysis.load import load_table

    return answer(load_table(records)).as_json()


def is_in(row: TrialRow, cell: Mapping[str, Any]) -> bool:
    """Return whether a trial belongs to the cell with these parameters."""
    return all(name in row.swept and row.swept[name] == value for name, value in cell.items())
