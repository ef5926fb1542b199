"""The process that ``python -m benchmarks.many`` measures: one sweep of trivial trials, from its plan to its report.

``python -m benchmarks.many_trials FOLDER N_TRIALS STARTED_MS`` plans, runs, records, mirrors and reports N_TRIALS
trials as `sweeps run` does, with results in FOLDER, and writes there what it took. Started again after a kill, it
resumes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from sweeps.plan import Plan, RunOptions, make_plan, trial_folder
from sweeps.records import HISTORY_FILE, TRIALS_FILE, Records, read_records
from sweeps.reporting import publish, write_sweep_report
from sweeps.status import trial_rows
from sweeps.study import Objective, Study
from sweeps.sweep import execute
from sweeps.tracking import MlflowStore, Pending

MEASURED_FILE = "measured.json"
SIDE = 100  # values of the second axis
CPUS_PER_TRIAL = 0.5  # four actors on two cores
SENT_ALONE = 200  # trials by which MLflow's own cost is taken
EVERY = 1000  # trials between two figures of the memory
MB = 1e6


@dataclass(frozen=True)
class Measured:
    """What one process took.

    Args:
        n_trials: Trials of the sweep.
        trained: Those that this process trained.
        unsent: What MLflow has not got in the end, None when it has everything.
        plan_s: Making the plan.
        startup_s: From the start of the process to the end of its first trial: imports, Ray, actors.
        trial_ms: Between the ends of two trials, over all that this process trained.
        trial_ms_by_part: The same by parts of `EVERY` trials.
        cpu_ms_by_part: What the driver computes per trial, MLflow's copy included: other work on the machine does not
            show in it.
        drain_s: From the end of the last trial to the end of the execution: MLflow, tables, Ray.
        report_s: The report, and the pictures of those trials that get some.
        publish_s: Their copy in MLflow, and a look at what it has.
        status_s: The table of `sweeps status`.
        replan_s: The plan again, now that all is recorded.
        mlflow_trial_ms: Sending one trial to a fresh SQLite store, nothing else running.
        rss_mb: Memory of the driver when its first trial ended, after every `EVERY` more, and after the last one.
        rss_end_mb: The same at the very end.
        records_mb: Size of the tables.
    """

    n_trials: int
    trained: int
    unsent: str | None
    plan_s: float
    startup_s: float
    trial_ms: float
    trial_ms_by_part: list[float]
    cpu_ms_by_part: list[float]
    drain_s: float
    report_s: float
    publish_s: float
    status_s: float
    replan_s: float
    mlflow_trial_ms: float
    rss_mb: list[float]
    rss_end_mb: float
    records_mb: float


class Watch(threading.Thread):
    """Notes memory and computing time of this process a few times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float, float]] = []

    def run(self) -> None:
        """Note it until the process ends."""
        process = psutil.Process()
        while True:
            memory_mb = round(process.memory_info().rss / MB, 1)
            self.samples.append((time.time() * 1000, memory_mb, 1000 * time.process_time()))
            time.sleep(0.2)

    def memory_at(self, time_ms: float) -> float:
        """Return the memory in MB at a time, or the last that is known."""
        return self._at(time_ms)[1]

    def cpu_at(self, time_ms: float) -> float:
        """Return the computing time in milliseconds until a time."""
        return self._at(time_ms)[2]

    def _at(self, time_ms: float) -> tuple[float, float, float]:
        return self.samples[min(bisect_left(self.samples, (time_ms,)), len(self.samples) - 1)]


def study_of(n_trials: int) -> Study:
    """Return a grid of ``n_trials`` cells, of one seed and one epoch."""
    side = min(SIDE, n_trials)
    grid = {"target": tuple(map(float, range(n_trials // side))), "pull": tuple(map(float, range(side)))}
    return Study(
        name="many",
        family="benchmarks.trivial",
        question="What does a trial cost that does nothing?",
        grid=grid,
        seeds=1,
        epochs=1,
        objective=Objective("valid/rec_target"),
    )


def main(out: Path, n_trials: int, started_ms: float) -> None:
    """Run the sweep, or what is left of it, and write what it took; the process was started at ``started_ms``."""
    watch, uri = Watch(), f"sqlite:///{out / 'mlflow.db'}"
    watch.start()
    plan, plan_s = timed(lambda: planned(n_trials, out))
    options = RunOptions(address="local", cpus_per_trial=CPUS_PER_TRIAL)
    outcome = execute(plan, options, uri, Console())
    executed_ms = time.time() * 1000
    _, report_s = timed(lambda: write_sweep_report(outcome.folder, Console()))
    unsent, publish_s = timed(lambda: outcome.unsent or publish(outcome.folder, uri))
    _, status_s = timed(lambda: trial_rows(outcome.folder))
    _, replan_s = timed(lambda: planned(n_trials, out))
    rss_end_mb = watch.memory_at(time.time() * 1000)
    records = read_records(outcome.folder)
    ends_ms = ends_after(started_ms, records)
    marks = [*range(0, len(ends_ms) - 1, EVERY), len(ends_ms) - 1]
    measured = Measured(
        n_trials=n_trials,
        trained=outcome.trained,
        unsent=unsent,
        plan_s=plan_s,
        startup_s=(ends_ms[0] - started_ms) / 1000,
        trial_ms=per_trial(ends_ms),
        trial_ms_by_part=[per_trial(ends_ms[a : b + 1]) for a, b in pairwise(marks)],
        cpu_ms_by_part=[
            (watch.cpu_at(ends_ms[b]) - watch.cpu_at(ends_ms[a])) / (b - a)
            for a, b in pairwise(marks)
            if b > a
        ],
        drain_s=(executed_ms - ends_ms[-1]) / 1000,
        report_s=report_s,
        publish_s=publish_s,
        status_s=status_s,
        replan_s=replan_s,
        mlflow_trial_ms=sent_alone(records, outcome.folder),
        rss_mb=[watch.memory_at(ends_ms[mark]) for mark in marks],
        rss_end_mb=rss_end_mb,
        records_mb=sum((outcome.folder / name).stat().st_size for name in (TRIALS_FILE, HISTORY_FILE)) / MB,
    )
    (out / MEASURED_FILE).write_text(json.dumps(rounded(asdict(measured))))


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and the seconds it took."""
    started = time.perf_counter()
    return call(), time.perf_counter() - started


def planned(n_trials: int, out: Path) -> Plan:
    """Return the plan with its trials, as `sweeps plan` needs them."""
    plan = make_plan(study_of(n_trials), out)
    assert plan.n_trials == n_trials
    return plan


def ends_after(started_ms: float, records: Records) -> list[float]:
    """Return when trials ended since then, in milliseconds since 1970: by the time of their only epoch."""
    columns = (records.history[name].to_pylist() for name in ("trial_id", "time_ms"))
    return sorted(time_ms for time_ms in dict(zip(*columns, strict=True)).values() if time_ms >= started_ms)


def per_trial(ends_ms: Sequence[float]) -> float:
    """Return the mean milliseconds from the end of one trial to that of the next."""
    return (ends_ms[-1] - ends_ms[0]) / max(1, len(ends_ms) - 1)


def sent_alone(records: Records, folder: Path) -> float:
    """Return the milliseconds of sending one trial to a store of its own, with nothing else at work."""
    with tempfile.TemporaryDirectory() as scratch:
        store = MlflowStore(f"sqlite:///{scratch}/mlflow.db", records.sweep, Path(scratch))
        rows = list(records.trials.values())[:SENT_ALONE]
        _, seconds = timed(
            lambda: [
                store.push(
                    Pending(row, records.epochs_of(row.trial_id), folder / trial_folder(row.cell, row.seed))
                )
                for row in rows
            ]
        )
    return 1000 * seconds / len(rows)


def rounded(value: Any) -> Any:
    """Return the numbers of a JSON value with three decimals."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
