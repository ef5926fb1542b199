"""One execution of a study, from its plan to finished records and their mirror in MLflow.

`execute` reads top to bottom as a trial travels: data, lock, records, tracker, Ray, and back.
"""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces.errors import RefusedError
from sweeps.plan import Plan, RunOptions, axes_of
from sweeps.progress import LiveProgress, Progress
from sweeps.records import SCHEMA_VERSION, SWEEP_FILE, RecordWriter, read_records, read_sweep
from sweeps.tracking import MlflowStore, Tracker, import_mlflow
from sweeps.writer import SweepWriter
from trainables.dataset import Dataset
from trainables.families import load_family

DRAIN_S = 20.0
LOCK_FILE = ".lock"
VERSIONED = ("counterpoise", "ray", "torch", "mlflow", "optuna", "numpy", "pyarrow")


@dataclass(frozen=True)
class Outcome:
    """How an execution ended.

    Args:
        folder: Folder of the sweep's records.
        states: Number of the plan's trials per state; ``missing`` for those not begun.
        trained: Trials that this execution trained.
        wall_s: Seconds it took.
    """

    folder: Path
    states: Counter[str]
    trained: int
    wall_s: float

    @property
    def exit_code(self) -> int:
        """0 when every trial ended as planned, 1 when one failed or was not finished."""
        return 1 if any(self.states[state] for state in ("failed", "running", "missing")) else 0


def execute(plan: Plan, options: RunOptions, tracking_uri: str, console: Console) -> Outcome:
    """Run what is open in ``plan`` and leave complete records.

    Args:
        plan: What to run.
        options: How to run it.
        tracking_uri: MLflow store of the mirror.
        console: Where progress is shown.

    Raises:
        RefusedError: If data, folder or cluster is not usable; nothing has been started.
    """
    started = time.monotonic()
    datasets = load_datasets(plan)
    with only_writer(plan.folder), ThreadPoolExecutor(1) as pool:
        session = ray_for(plan, options)
        imported = pool.submit(import_mlflow, tracking_uri)  # while Ray starts: a second of two
        with session:
            imported.result()
            records = RecordWriter(plan.folder, describe(plan, datasets))
            tracker = start_tracker(plan, tracking_uri)
            try:
                with display(plan, console) as progress:
                    train(plan, options, SweepWriter(plan, records, tracker, progress), datasets)
            finally:
                tracker.drain(DRAIN_S)
                note_run_ids(records, tracker)
                records.compact()
    rows = [records.trials.get(trial.trial_id) for trial in plan.trials]
    states = Counter("missing" if row is None else row.state for row in rows)
    wall_s = time.monotonic() - started
    return Outcome(plan.folder, states, len(plan.open_trials), wall_s)


def ray_for(plan: Plan, options: RunOptions) -> AbstractContextManager[None]:
    """Return the Ray session of a plan; none is opened when nothing is left to train."""
    if not plan.open_trials:
        return nullcontext()
    from sweeps.driver import ray_session

    return ray_session(options)


def train(plan: Plan, options: RunOptions, writer: SweepWriter, datasets: dict[str, Dataset]) -> None:
    """Take over what other sweeps have finished, and train the rest on Ray."""
    sources = {source: read_records(source) for source in plan.other_sources}
    for trial in plan.trials:
        row, source = plan.finished.get(trial.trial_id, (None, plan.folder))
        if row is not None and source in sources:
            writer.adopt(trial, row, sources[source].epochs_of(row.trial_id), source)
    if plan.open_trials:
        from sweeps.driver import train_open_trials

        train_open_trials(plan, options, writer, datasets)


def display(plan: Plan, console: Console) -> Progress:
    """Return the display of a plan: a live table on a terminal, plain lines elsewhere."""
    kind = LiveProgress if console.is_terminal else Progress
    return kind(plan.study.objective, len(plan.open_trials), plan.study.epochs, console)


def load_datasets(plan: Plan) -> dict[str, Dataset]:
    """Return the data of the open trials by data key, each loaded once; the first check of its contents."""
    family = load_family(plan.study.family)
    first = {trial.data_key: trial.params for trial in reversed(plan.open_trials)}
    return {key: family.load_data(params, plan.data_root) for key, params in first.items()}


def start_tracker(plan: Plan, tracking_uri: str) -> Tracker:
    """Return a tracker that sends the plan's trials, those of earlier starts first."""
    folders = {trial.trial_id: plan.folder / trial.folder for trial in plan.trials}
    out = plan.folder.parent.parent
    earlier = read_records(plan.folder)
    return Tracker(lambda: MlflowStore(tracking_uri, earlier.sweep, out), earlier, folders)


def note_run_ids(records: RecordWriter, tracker: Tracker) -> None:
    """Write MLflow's run ids into the records where they are new."""
    for trial_id, run_id in tracker.run_ids().items():
        row = records.trials.get(trial_id)
        if row is not None and row.mlflow_run_id != run_id:
            records.record_trial(replace(row, mlflow_run_id=run_id))


def describe(plan: Plan, datasets: dict[str, Dataset]) -> dict[str, Any]:
    """Return the contents of ``sweep.json``; what an earlier start has said of data and origin is kept."""
    family, study = load_family(plan.study.family), plan.study
    earlier = read_sweep(plan.folder) if (plan.folder / SWEEP_FILE).exists() else {}
    data = next(iter(datasets.values()), None)
    kin = [earlier, *(read_sweep(source) for source in plan.other_sources)]
    known: dict[str, float] = next((sweep["baselines"] for sweep in kin if sweep.get("baselines")), {})
    resolved = plan.trials[0].params
    seeds = sorted({*study.seed_list, *earlier.get("study", {}).get("seeds", [])})
    return {
        "schema_version": SCHEMA_VERSION,
        "sweep_id": plan.sweep_id,
        "study": {**asdict(study), "grid": {k: list(v) for k, v in study.grid.items()}, "seeds": seeds},
        "family": study.family,
        "axes": axes_of(study, family.space),
        "metrics": {name: asdict(metric) for name, metric in family.metrics.items()},
        "baselines": dict(data.baselines) if data else known,
        "params": {name: value for name, value in resolved.items() if name not in study.grid},
        "provenance": earlier.get("provenance") or provenance(plan),
    }


def provenance(plan: Plan) -> dict[str, Any]:
    """Return where the numbers come from: code, data, versions, hardware, time."""
    return {
        "git_sha": git("rev-parse", "HEAD"),
        "git_dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "code_version": plan.code_version,
        "data_fingerprint": ", ".join(dict.fromkeys(trial.data_key for trial in plan.trials)),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: found for name in VERSIONED if (found := installed(name))},
    }


def installed(package: str) -> str | None:
    """Return the installed version of a package, None when it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git(*arguments: str) -> str | None:
    """Return what git says about the folder of this code, None where there is no repository."""
    folder = Path(__file__).parent
    result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the sweep's lock, so that two drivers never write one sweep.

    Raises:
        RefusedError: If another process holds it, or the folder cannot be written.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("a+")
    except OSError as error:
        raise RefusedError(
            f"Output folder {folder} is not writable: {error.strerror}. Choose another with --out."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RefusedError(
                f"Sweep {folder.name} is being run by process {lock.read().strip() or 'unknown'}. "
                "Wait for it, or end it; then run this again."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            forget_if_empty(folder, created)


def forget_if_empty(folder: Path, created: list[Path]) -> None:
    """Remove the folders that this start ``created``, when a refusal left nothing but the lock in them."""
    if [path.name for path in folder.iterdir()] != [LOCK_FILE]:
        return
    (folder / LOCK_FILE).unlink()
    for path in created:
        if any(path.iterdir()):
            return
        path.rmdir()
