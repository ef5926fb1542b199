"""Where every result of a sweep passes: records first, then the tracker's queue and the display."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sweeps.plan import Plan, PlannedTrial, trial_folder
from sweeps.progress import Progress
from sweeps.records import EpochRow, Records, RecordWriter, TrialRow, read_records
from sweeps.storage import bring, mirror_of
from sweeps.tracker import Tracker
from trainables.trial_spec import CHECKPOINT_FILE


class SweepWriter:
    """Takes every result of the sweep: records, then tracker, then display.

    Args:
        plan: The plan that runs.
        writer: The records.
        tracker: The mirror in MLflow.
        progress: The display.
    """

    def __init__(self, plan: Plan, writer: RecordWriter, tracker: Tracker, progress: Progress) -> None:
        self.plan, self.planned = plan, {trial.trial_id: trial for trial in plan.trials}
        self.folder, self.writer, self.tracker, self.progress = plan.folder, writer, tracker, progress
        self._others: dict[Path, Records] = {}
        self._mirror = mirror_of(plan.folder)
        self.n_ended = 0  # trials that ended under this writer, in whatever state

    def _tell(self, tell: Callable[..., None], *what: Any) -> None:
        """Tell the tracker, once the records are where the next driver will find them."""
        if self._mirror is None:
            tell(*what)
        else:
            self._mirror.once_sent(partial(tell, *what))

    def admit(self, trial: PlannedTrial) -> None:
        """Take note of a trial that a search has drawn."""
        self.planned[trial.trial_id] = trial

    def start(self, trial_id: str) -> None:
        """Record that a trial is under way; epochs of an earlier start stay."""
        row = replace(self.row_of(trial_id), state="running", error=None)
        self.writer.record_trial(row)
        self._tell(self.tracker.trial, row)
        self.progress.trial_started(row)

    def take(self, result: dict[str, Any]) -> None:
        """Record the epochs of one result, each once, and the trial's end when it is one."""
        row = replace(
            self.writer.trials[result["trial"]], memory_mb=result["memory_mb"], node=result.get("hostname")
        )
        if result["guard"] is not None:
            row = replace(row, guard=result["guard"], guard_epoch=result["guard_epoch"])
        self.writer.trials[row.trial_id] = row  # recorded with the trial's end
        for number, metrics in result["epochs"]:
            epoch = EpochRow(row.trial_id, number, metrics, self.writer.now_ms())
            if self.writer.record_epoch(epoch):
                self._tell(self.tracker.epoch, row, epoch)
            self.progress.epoch_ended(row, number, metrics)
        if result["state"] != "running":
            self.end(row.trial_id, result["state"], result["wall_s"], result["error"])

    def row_of(self, trial_id: str) -> TrialRow:
        """Return the recorded row of a trial, a fresh one for a trial that never started."""
        return self.writer.trials.get(trial_id) or self.planned[trial_id].row

    def end(self, trial_id: str, state: str, wall_s: float | None, error: str | None) -> None:
        """Record how a trial ended; its checkpoint has done its work.

        Args:
            trial_id: The trial.
            state: How it ended.
            wall_s: Seconds it trained, None to keep what is recorded.
            error: Why it did not complete, None when it did.
        """
        row = replace(self.row_of(trial_id), state=state, error=error)
        row.wall_s = row.wall_s if wall_s is None else wall_s
        self.n_ended += 1
        self.writer.record_trial(row)
        self._tell(self.tracker.trial, row)
        self.progress.trial_ended(row)
        if state != "failed":
            (self.folder / self.planned[trial_id].folder / CHECKPOINT_FILE).unlink(missing_ok=True)

    def adopt(self, trial: PlannedTrial) -> tuple[TrialRow, list[EpochRow]] | None:
        """Take over a trial that another sweep has ended: its record and its files; None when none has."""
        row, source = self.plan.recorded.get(trial.trial_id, (None, self.folder))
        if row is None or source == self.folder:
            return None
        files = bring(source / trial_folder(row.cell, row.seed))
        if files.is_dir():
            shutil.copytree(files, self.folder / trial.folder, dirs_exist_ok=True)
        if source not in self._others:
            self._others[source] = read_records(source)
        epochs = self._others[source].epochs_of(row.trial_id)
        own = replace(row, cell=trial.cell, swept=trial.swept, point=trial.point, mlflow_run_id=None)
        self.writer.record_trial(replace(own, state="running", n_epochs=0))
        for epoch in epochs:
            self.writer.record_epoch(epoch)
            self._tell(self.tracker.epoch, own, epoch)
        self.writer.record_trial(own)
        self._tell(self.tracker.trial, own)
        return own, epochs
