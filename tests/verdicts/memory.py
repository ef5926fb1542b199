"""Planted records that never touch a disk: thousands of sweeps are simulated in minutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from analysis.load import load_table
from analysis.table import SweepTable
from sweeps.records import HISTORY_SCHEMA, EpochRow, Records, TrialRow, merged_history
from tests.analysis.scatter import Recorder


class PlantedSweep(Protocol):
    """A sweep whose truth is known: the makers of ``tests/analysis``."""

    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""

    def fill(self, writer: Recorder) -> None:
        """Record every trial."""

    def write(self, folder: Path) -> Records:
        """Write the records and read them back."""


@dataclass
class Memory:
    """Takes rows as the writer of records does."""

    trials: dict[str, TrialRow] = field(default_factory=dict)
    epochs: list[EpochRow] = field(default_factory=list)

    def record_trial(self, row: TrialRow) -> None:
        """Take a trial as it stands; the last word counts."""
        self.trials[row.trial_id] = row

    def record_epoch(self, epoch: EpochRow) -> None:
        """Take the metrics of one epoch."""
        self.epochs.append(epoch)
        row = self.trials[epoch.trial_id]
        row.n_epochs = max(row.n_epochs, epoch.epoch)


def table_of(planted: PlantedSweep) -> SweepTable:
    """Return the table of planted records, as analyses read it."""
    memory = Memory()
    planted.fill(memory)
    history = merged_history(HISTORY_SCHEMA.empty_table(), memory.epochs)
    return load_table(Records(planted.sweep(), memory.trials, history))
