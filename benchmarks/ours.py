"""Contender `ours`: the project's real path, as `sweeps run` takes it.

Planning, records, resumable trial folders and the mirror in MLflow, all as always, on a Ray of its own. The
report is left out, because the other contenders write none; everything recorded per epoch is recorded.
"""

from __future__ import annotations

from rich.console import Console

from benchmarks.tracked import refuse_untracked
from benchmarks.workload import METRIC, Done, Job
from sweeps.plan import RunOptions
from sweeps.records import read_records
from sweeps.sweep import execute


def run(job: Job) -> Done:
    """Train every trial and return what the records say.

    Raises:
        RuntimeError: If a trial did not complete, or MLflow has not got everything.
    """
    out = job.folder / "outputs"
    outcome = execute(
        job.workload.plan(out), RunOptions(address="local"), f"sqlite:///{out / 'mlflow.db'}", Console()
    )
    if outcome.exit_code:
        raise RuntimeError(f"not every trial completed: {dict(outcome.states)}")
    refuse_untracked(out / "mlflow.db", job)
    records = read_records(outcome.folder)
    losses, epochs, training_s = {}, {}, {}
    for trial_id, row in records.trials.items():
        label = f"{row.cell} seed {row.seed}"
        history = records.epochs_of(trial_id)
        losses[label], epochs[label] = history[-1].metrics[METRIC], len(history)
        training_s[label] = row.wall_s
    return Done(losses, epochs, training_s)
