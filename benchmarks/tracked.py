"""What a contender has really tracked, read from the store itself: who sends less is not faster."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.workload import METRIC, Job

QUERY = "SELECT COUNT(*) FROM (SELECT DISTINCT run_uuid, step FROM metrics WHERE key = ?)"


def refuse_untracked(store: Path, job: Job) -> None:
    """Raise RuntimeError unless MLflow's SQLite ``store`` has the objective of every epoch of every trial."""
    with closing(sqlite3.connect(store)) as connection:
        (found,) = connection.execute(QUERY, (METRIC,)).fetchone()
    wanted = len(job.trials) * job.workload.epochs
    if found != wanted:
        raise RuntimeError(f"MLflow has {METRIC} of {found} epochs, {wanted} were trained.")
