"""The record of one sweep: three files that stand alone, and the journal that makes them safe.

A folder of records holds

* ``sweep.json``: study, family, sweep_id, axes, metrics, baselines, provenance;
* ``trials.parquet``: one row per trial: trial_id, cell, one column per swept parameter, seed, state
  (`STATES`), n_epochs, wall_s, error, mlflow_run_id, guard, guard_epoch, point, memory_mb,
  node;
* ``history.parquet``: trial_id, epoch (from 1), metric, value, time_ms.

Parquet cannot be appended to, so every event goes first to ``journal.jsonl``, one line each, flushed
before anybody else hears of it; its first line is an id that tells it from the journal before.
`RecordWriter.compact` folds the journal into the tables by atomic renames; a crash at any point leaves
either the old tables with the journal or the new tables, and replaying a journal twice changes nothing,
because rows are keyed by trial and by (trial, epoch, metric).
The driver is the only writer; anybody may read at any time.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from search_spaces.domains import Params
from search_spaces.errors import RefusedError, UnfinishedError, first_line
from trainables.trial_spec import SWEEP_FILE

STATES = ("complete", "pruned", "collapsed", "diverged", "failed", "running")
SCHEMA_VERSION = 1
RESERVED_COLUMNS = (
    *("trial_id", "cell", "seed", "state", "n_epochs", "wall_s", "error", "mlflow_run_id"),
    *("guard", "guard_epoch", "point", "memory_mb", "node"),
)
TRIALS_FILE, HISTORY_FILE, JOURNAL_FILE = "trials.parquet", "history.parquet", "journal.jsonl"
REPORT_FOLDER = "report"  # beside the records
DIGEST_FILE = ".records"  # in it: digest of the records that it speaks of
HISTORY_SCHEMA = pa.schema(
    [
        ("trial_id", pa.dictionary(pa.int32(), pa.string())),
        ("epoch", pa.int32()),
        ("metric", pa.dictionary(pa.int32(), pa.string())),
        ("value", pa.float64()),
        ("time_ms", pa.int64()),
    ]
)


class RecordsError(RefusedError):
    """A folder that does not hold readable records."""


@dataclass
class TrialRow:
    """One row of ``trials.parquet``.

    Args:
        trial_id: Hash of the trial's content.
        cell: Swept parameters as text, ``latent_space=vq,globals_beta=10``.
        swept: Swept parameters by name; a column each.
        seed: Seed of the trial.
        state: One of `STATES`.
        n_epochs: Epochs that are recorded.
        wall_s: Training time in seconds, without waiting.
        error: Why it did not complete, None when it did.
        mlflow_run_id: Its MLflow run, None until one exists.
        guard: The rule that it broke, also when it was run on to audit the rule; None when it broke none.
        guard_epoch: Epoch at which it broke the rule.
        point: Number of the point that a search asked for, from 0 within a point of the grid; None in a grid.
        memory_mb: The most memory that its process took, None where that is not known.
        node: Name of the machine that trained it last, None until it said so.
    """

    trial_id: str
    cell: str
    swept: Params
    seed: int
    state: str = "running"
    n_epochs: int = 0
    wall_s: float = 0.0
    error: str | None = None
    mlflow_run_id: str | None = None
    guard: str | None = None
    guard_epoch: int | None = None
    point: int | None = None
    memory_mb: float | None = None
    node: str | None = None

    def columns(self) -> dict[str, Any]:
        """Return the row as it stands in the table."""
        row = asdict(self)
        swept = row.pop("swept")
        return {"trial_id": row.pop("trial_id"), "cell": row.pop("cell"), **swept, **row}


@dataclass(frozen=True)
class EpochRow:
    """The metrics of one trial at one epoch.

    Args:
        trial_id: The trial.
        epoch: Epoch, from 1.
        metrics: Finite values by metric name.
        time_ms: When the epoch ended, milliseconds since 1970. It is kept, so that a metric that is sent to
            MLflow twice is the same row there.
    """

    trial_id: str
    epoch: int
    metrics: Mapping[str, float]
    time_ms: int


@dataclass
class Records:
    """Everything recorded about one sweep.

    Args:
        sweep: Contents of ``sweep.json``.
        trials: Rows by trial id.
        history: Table of `HISTORY_SCHEMA`, sorted by trial, epoch and metric.
    """

    sweep: dict[str, Any]
    trials: dict[str, TrialRow] = field(default_factory=dict)
    history: pa.Table = field(default_factory=lambda: HISTORY_SCHEMA.empty_table())

    def epochs_of(self, trial_id: str) -> list[EpochRow]:
        """Return the recorded epochs of one trial in order."""
        start, length = self._places.get(trial_id, (0, 0))
        by_epoch: dict[int, tuple[dict[str, float], int]] = {}
        for row in self.history.slice(start, length).to_pylist():
            metrics, _ = by_epoch.setdefault(row["epoch"], ({}, row["time_ms"]))
            metrics[row["metric"]] = row["value"]
        return [EpochRow(trial_id, epoch, *by_epoch[epoch]) for epoch in sorted(by_epoch)]

    def metrics(self, wanted: Collection[str]) -> list[EpochRow]:
        """Return all recorded epochs with the ``wanted`` metrics alone, by trial in order."""
        rows = self.history.filter(pc.field("metric").isin(list(wanted)))
        found: dict[tuple[str, int], EpochRow] = {}
        for row in rows.to_pylist():
            key = (row["trial_id"], row["epoch"])
            epoch = found.setdefault(key, EpochRow(*key, {}, row["time_ms"]))
            found[key] = replace(epoch, metrics={**epoch.metrics, row["metric"]: row["value"]})
        return list(found.values())

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """First row and number of rows per trial; the history is sorted by trial."""
        counts = self.history["trial_id"].cast(pa.string()).value_counts().to_pylist()
        sizes = {count["values"]: count["counts"] for count in counts}
        starts = itertools.accumulate([0, *(sizes[trial] for trial in sorted(sizes))])
        return {trial: (start, sizes[trial]) for trial, start in zip(sorted(sizes), starts, strict=False)}

    @property
    def digest(self) -> str:
        """Hash of what is recorded, not of how: which trials, their states and epochs, and at which seeds one looks."""
        rows = sorted((row.trial_id, row.state, row.n_epochs) for row in self.trials.values())
        looks = self.sweep.get("study", {}).get("looks") or []
        return hashlib.sha256(json.dumps([rows, looks]).encode()).hexdigest()[:16]


def read_records(folder: Path) -> Records:
    """Return the records in ``folder``: its tables, and what its journal adds to them.

    Raises:
        RecordsError: If a file is missing or unreadable, or a table lacks a required column.
    """
    sweep = read_sweep(folder)
    rows, epochs = read_journal(
        folder / JOURNAL_FILE
    )  # before the tables: a compaction meanwhile then hides nothing
    trials = merged_trials(read_trials(folder / TRIALS_FILE, sweep.get("axes", {})), rows, epochs)
    return Records(sweep, trials, merged_history(read_history(folder / HISTORY_FILE), epochs))


def read_trial_rows(folder: Path) -> dict[str, TrialRow]:
    """Return the trials in ``folder`` without their history, which may be long."""
    rows, epochs = read_journal(folder / JOURNAL_FILE)
    return merged_trials(read_trials(folder / TRIALS_FILE, read_sweep(folder).get("axes", {})), rows, epochs)


def merged_trials(
    trials: dict[str, TrialRow], rows: list[TrialRow], epochs: list[EpochRow]
) -> dict[str, TrialRow]:
    """Return ``trials`` as the journal's rows and epochs change them."""
    trials = trials | {row.trial_id: row for row in rows}
    for epoch in epochs:
        if epoch.trial_id in trials:
            trial = trials[epoch.trial_id]
            trial.n_epochs = max(trial.n_epochs, epoch.epoch)
    return trials


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return the contents of ``sweep.json``, or raise `RecordsError`."""
    path = folder / SWEEP_FILE
    try:
        sweep: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise RecordsError(
            f"{folder} holds no {SWEEP_FILE}. Give a folder of records, or a sweep from `sweeps status`."
        ) from None
    except (OSError, json.JSONDecodeError) as error:
        raise RecordsError(f"{path} cannot be read: {error}. Restore it, or run the study again.") from error
    if not isinstance(sweep, dict):
        raise RecordsError(f"{path} is not a JSON object. Restore it, or run the study again.")
    return sweep


def read_trials(path: Path, axes: Iterable[str]) -> dict[str, TrialRow]:
    """Return the rows of a ``trials.parquet``; no rows when there is no file yet."""
    rows: dict[str, TrialRow] = {}
    for row in read_table(path, ("trial_id", "cell", "seed", "state")).to_pylist():
        swept = {name: row[name] for name in axes if name in row}
        rows[row["trial_id"]] = TrialRow(
            trial_id=row["trial_id"],
            cell=row["cell"],
            swept=swept,
            seed=row["seed"],
            state=row["state"],
            n_epochs=row.get("n_epochs") or 0,
            wall_s=row.get("wall_s") or 0.0,
            error=row.get("error"),
            mlflow_run_id=row.get("mlflow_run_id"),
            guard=row.get("guard"),
            guard_epoch=row.get("guard_epoch"),
            point=row.get("point"),
            memory_mb=row.get("memory_mb"),
            node=row.get("node"),
        )
    return rows


def read_history(path: Path) -> pa.Table:
    """Return a ``history.parquet`` in `HISTORY_SCHEMA`; an empty table when there is no file yet."""
    table = read_table(path, ("trial_id", "epoch", "metric", "value"))
    if table.num_columns == 0:
        return HISTORY_SCHEMA.empty_table()
    if "time_ms" not in table.column_names:
        table = table.append_column("time_ms", pa.nulls(table.num_rows, pa.int64()))
    try:
        return table.select(HISTORY_SCHEMA.names).cast(HISTORY_SCHEMA)
    except pa.ArrowException as error:
        raise RecordsError(
            f"{path} has columns of other types: {first_line(error)}. See sweeps/records.py."
        ) from error


def read_table(path: Path, required: tuple[str, ...]) -> pa.Table:
    """Return the Parquet table at ``path``, an empty one when there is no file, or raise `RecordsError`."""
    if not path.exists():
        return pa.table({})
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RecordsError(
            f"{path} cannot be read: {first_line(error)}. Restore it, or run the study again."
        ) from error
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise RecordsError(f"{path} has no column {missing[0]!r}. It needs {', '.join(required)}.")
    return table


def read_journal(path: Path) -> tuple[list[TrialRow], list[EpochRow]]:
    """Return the trials and epochs of a journal; a last line that a crash cut short is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return [], []
    rows: list[TrialRow] = []
    epochs: list[EpochRow] = []
    for number, line in enumerate(lines, start=1):
        try:
            event: dict[str, Any] = json.loads(line) if line else {"kind": None}
            if event["kind"] == "trial":
                rows.append(TrialRow(**event["row"]))
            elif event["kind"] == "epoch":
                epochs.append(EpochRow(**event["row"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            if number < len(lines) - 1:
                raise RecordsError(
                    f"{path}: line {number} is damaged: {first_line(error)}. Remove that line; the rest is whole."
                ) from error
    return rows, epochs


def merged_history(history: pa.Table, epochs: list[EpochRow]) -> pa.Table:
    """Return ``history`` with ``epochs`` added, one row per (trial, epoch, metric), the first one kept, sorted."""
    rows = [
        (e.trial_id, e.epoch, name, value, e.time_ms) for e in epochs for name, value in e.metrics.items()
    ]
    if rows:
        columns = list(zip(*rows, strict=True))
        added = pa.table(
            {name: list(values) for name, values in zip(HISTORY_SCHEMA.names, columns, strict=True)}
        )
        history = pa.concat_tables([history, added.cast(HISTORY_SCHEMA)]).unify_dictionaries()
    keys = ["trial_id", "epoch", "metric"]
    plain = history.cast(pa.schema([field.with_type(plain_type(field.type)) for field in HISTORY_SCHEMA]))
    grouped = plain.group_by(keys, use_threads=False).aggregate([("value", "first"), ("time_ms", "first")])
    named = grouped.rename_columns([name.removesuffix("_first") for name in grouped.column_names])
    return (
        named.select(HISTORY_SCHEMA.names).sort_by([(key, "ascending") for key in keys]).cast(HISTORY_SCHEMA)
    )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the value type of a dictionary type, and any other type as it is."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


class RecordWriter:
    """The one writer of a sweep's records.

    Opening it takes up what earlier writers left: their tables, and the journal of one that was killed.

    Args:
        folder: Folder of the sweep; created when absent.
        sweep: Contents for ``sweep.json``.
    """

    def __init__(self, folder: Path, sweep: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        write_atomically(folder / SWEEP_FILE, json.dumps(sweep, indent=2) + "\n")
        self._journal: TextIO | None = None
        self.compact()
        earlier = read_records(folder)
        self.trials = earlier.trials
        self._seen = set(
            zip(earlier.history["trial_id"].to_pylist(), earlier.history["epoch"].to_pylist(), strict=True)
        )
        self._latest_ms = pc.max(earlier.history["time_ms"]).as_py() or 0

    def now_ms(self) -> int:
        """Return the time in milliseconds since 1970; where the clock was set back, the latest that was recorded."""
        self._latest_ms = max(self._latest_ms, time.time_ns() // 1_000_000)
        return self._latest_ms

    def record_trial(self, row: TrialRow) -> None:
        """Record the start of a trial, or a change of its state."""
        if row.state not in STATES:
            raise ValueError(f"state={row.state!r} is not a state. It takes {', '.join(STATES)}.")
        self.trials[row.trial_id] = row
        self._append("trial", asdict(row))

    def record_epoch(self, epoch: EpochRow) -> bool:
        """Record the metrics of one epoch; return False when that epoch was recorded before.

        Non-finite values are left out: absent is the record of a value that does not exist.
        """
        key = (epoch.trial_id, epoch.epoch)
        if key in self._seen:
            return False
        self._seen.add(key)
        finite = {name: value for name, value in epoch.metrics.items() if math.isfinite(value)}
        self._append("epoch", {**asdict(epoch), "metrics": finite})
        trial = self.trials[epoch.trial_id]
        trial.n_epochs = max(trial.n_epochs, epoch.epoch)
        return True

    def _append(self, kind: str, row: dict[str, Any]) -> None:
        try:
            if self._journal is None:
                self._journal = (self.folder / JOURNAL_FILE).open("a", encoding="utf-8")
                self._journal.write(json.dumps({"kind": "journal", "id": time.time_ns()}) + "\n")
            self._journal.write(json.dumps({"kind": kind, "row": row}) + "\n")
            self._journal.flush()
        except OSError as error:
            raise UnfinishedError(
                f"The sweep ends, for {self.folder} cannot be written: {error.strerror}. What is recorded stays; "
                "make room, then run it again to resume."
            ) from error

    def compact(self) -> None:
        """Fold the journal into the tables; safe to interrupt at any point."""
        if self._journal is not None:
            os.fsync(self._journal.fileno())
            self._journal.close()
            self._journal = None
        records = read_records(self.folder)
        write_table(self.folder / HISTORY_FILE, records.history)
        write_table(self.folder / TRIALS_FILE, trials_table(records.trials.values()))
        (self.folder / JOURNAL_FILE).unlink(missing_ok=True)


def trials_table(rows: Iterable[TrialRow]) -> pa.Table:
    """Return rows as the table of ``trials.parquet``, in the order they were planned."""
    columns = [row.columns() for row in rows]
    if not columns:
        return pa.table({name: pa.array([], pa.string()) for name in ("trial_id", "cell", "seed", "state")})
    nullable = {
        **dict.fromkeys(("error", "mlflow_run_id", "guard", "node"), pa.string()),
        **dict.fromkeys(("guard_epoch", "point"), pa.int64()),
        "memory_mb": pa.float64(),
    }
    table = {name: pa.array([row[name] for row in columns], nullable.get(name)) for name in columns[0]}
    return pa.table(table)


def write_table(path: Path, table: pa.Table) -> None:
    """Replace the Parquet file at ``path`` in one step."""
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd")
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(path)


def write_atomically(path: Path, text: str) -> None:
    """Replace the text file at ``path`` in one step."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
