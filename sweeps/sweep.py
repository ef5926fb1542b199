"""One execution of a study, from its plan to finished records and their mirror in MLflow.

`execute` reads top to bottom as a trial travels: data, lock, records, tracker, Ray, and back.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces.domains import Choice, Domain, Int, Params, Value
from search_spaces.errors import RefusedError
from sweeps.access import refuse_without_access
from sweeps.plan import Plan, RunOptions, axes_of, ended_trials, trial_folder
from sweeps.progress import LiveProgress, Progress
from sweeps.records import (
    SCHEMA_VERSION,
    Records,
    RecordWriter,
    read_records,
    read_sweep,
    write_atomically,
)
from sweeps.source import Grid, Source
from sweeps.storage import flush, mirrored
from sweeps.tracker import Tracker
from sweeps.tracking import MlflowStore, import_mlflow
from sweeps.writer import SweepWriter
from trainables.dataset import Dataset
from trainables.families import load_family, root_of
from trainables.trial_spec import SWEEP_FILE

DRAIN_S = 20.0
LOCK_FILE = ".lock"
ORIGIN_FILE = "counterpoise_origin.json"  # beside the packages of a job
VERSIONED = ("counterpoise", "ray", "torch", "mlflow", "optuna", "numpy", "pyarrow")


@dataclass(frozen=True)
class Outcome:
    """How an execution ended.

    Args:
        folder: Folder of the sweep's records.
        states: Number of the plan's trials per state; ``missing`` for those not begun.
        trained: Trials that this execution trained.
        wall_s: Seconds it took.
        unsent: What MLflow has not got, and why; None when it has everything.
        may_double: Whether a request of this execution may still double a run in MLflow.
    """

    folder: Path
    states: Counter[str]
    trained: int
    wall_s: float
    unsent: str | None
    may_double: bool

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
        RefusedError: If data, folder, cluster or login is not usable; nothing has been started.
    """
    started = time.monotonic()
    silent = refuse_without_access(tracking_uri, plan.study.name)
    if silent:
        console.print(f"{tracking_uri} does not answer: {silent}. Training goes on.", markup=False)
    datasets = load_datasets(plan)
    with only_writer(plan.folder), mirrored(plan.folder), ThreadPoolExecutor(1) as pool:
        plan = replace(
            plan, recorded=ended_trials(plan.folder.parent.parent, plan.folder)
        )  # as the lock found it
        session = ray_for(plan, options)
        imported = pool.submit(import_mlflow, tracking_uri)  # while Ray starts: a second of two
        with session:
            imported.result()
            records = RecordWriter(plan.folder, describe(plan, datasets))
            tracker = start_tracker(plan, tracking_uri)
            try:
                with display(plan, console) as progress:
                    writer = SweepWriter(plan, records, tracker, progress)
                    missing = train(writer, options, datasets)
            finally:
                flush(plan.folder)
                tracker.drain(DRAIN_S)
                note_run_ids(records, tracker.run_ids())
                note_tracking(records.folder, tracking_uri, tracker.store)
                records.compact()
    asked = records.trials if plan.study.search else writer.planned
    states = Counter(records.trials[trial].state for trial in asked if trial in records.trials)
    states["missing"] = missing + sum(trial not in records.trials for trial in writer.planned)
    if not states["missing"]:
        note_end(records, len(asked))
    wall_s = time.monotonic() - started
    return Outcome(plan.folder, +states, writer.n_ended, wall_s, tracker.unsent, tracker.may_double)


def ray_for(plan: Plan, options: RunOptions) -> AbstractContextManager[None]:
    """Return the Ray session of a plan; none is opened when nothing is left to train."""
    if not (plan.n_open or plan.study.search):  # only the search itself knows whether it is at its end
        return nullcontext()
    from sweeps.driver import ray_session

    return ray_session(options)


def train(writer: SweepWriter, options: RunOptions, datasets: dict[str, Dataset]) -> int:
    """Take over what other sweeps have finished, and train the rest on Ray; return how many were not begun."""
    plan = writer.plan
    for trial in plan.trials:
        writer.adopt(trial)
    if not (plan.n_open or plan.study.search):
        return 0
    from sweeps.driver import train_all

    earlier = read_records(plan.folder)
    source = source_of(plan, earlier, options)
    train_all(source, options, writer, datasets, earlier)
    return source.missing


def source_of(plan: Plan, earlier: Records, options: RunOptions) -> Source:
    """Return where the trials of a plan come from."""
    if not plan.study.search:
        return Grid(plan)
    from sweeps.search import Search

    return Search(plan, earlier, options.time_budget_s)


def display(plan: Plan, console: Console) -> Progress:
    """Return the display of a plan: a live table on a terminal, plain lines elsewhere."""
    kind = LiveProgress if console.is_terminal else Progress
    return kind(plan.study.objective, plan.n_open, plan.study.epochs, console)


def load_datasets(plan: Plan) -> dict[str, Dataset]:
    """Return the data of the open trials by data key, each loaded once; the first check of its contents."""
    family = load_family(plan.study.family)
    needed = {trial.data_key for trial in plan.open_trials}
    points = [point for point in plan.points if point.data_key in needed or plan.study.search]
    first = {point.data_key: point.params for point in reversed(points)}
    return {key: family.load_data(params, plan.data_root) for key, params in first.items()}


def start_tracker(plan: Plan, tracking_uri: str) -> Tracker:
    """Return a tracker that sends the plan's trials, those of earlier starts first."""
    out = plan.folder.parent.parent
    earlier = read_records(plan.folder)
    return Tracker(
        lambda: MlflowStore(tracking_uri, earlier.sweep, out),
        earlier,
        lambda row: plan.folder / trial_folder(row.cell, row.seed),
    )


def note_run_ids(records: RecordWriter, run_ids: Mapping[str, str]) -> None:
    """Write MLflow's run ids, by trial, into the records where they are new."""
    for trial_id, run_id in run_ids.items():
        row = records.trials.get(trial_id)
        if row is not None and row.mlflow_run_id != run_id:
            records.record_trial(replace(row, mlflow_run_id=run_id))


def note_tracking(folder: Path, uri: str, store: MlflowStore | None) -> None:
    """Write into ``sweep.json`` where MLflow has the runs, for the links of the report; nothing while it is away.

    The URI holds no login (`sweeps.access.tracking_uri`).
    """
    if store is not None:
        sweep = read_sweep(folder) | {"tracking": {"uri": uri, "experiment_id": store.experiment_id}}
        write_atomically(folder / SWEEP_FILE, json.dumps(sweep, indent=2) + "\n")


def note_end(records: RecordWriter, n_trials: int) -> None:
    """Write into ``sweep.json`` of how many trials the sweep consists: a search may end before its budget does."""
    sweep = read_sweep(records.folder)
    sweep["study"]["n_trials"] = n_trials
    write_atomically(records.folder / SWEEP_FILE, json.dumps(sweep, indent=2) + "\n")


def describe(plan: Plan, datasets: dict[str, Dataset]) -> dict[str, Any]:
    """Return the contents of ``sweep.json``; what an earlier start has said of data and origin is kept."""
    family, study = load_family(plan.study.family), plan.study
    earlier = read_sweep(plan.folder) if (plan.folder / SWEEP_FILE).exists() else {}
    data = next(iter(datasets.values()), None)
    sources = {plan.recorded[t.trial_id][1] for t in plan.trials if t.trial_id in plan.recorded}
    kin = [earlier, *(read_sweep(source) for source in sorted(sources - {plan.folder}))]
    known: dict[str, float] = next((sweep["baselines"] for sweep in kin if sweep.get("baselines")), {})
    decided = {*study.grid, *study.search, *(name for params in study.arms.values() for name in params)}
    seeds = sorted({*study.seed_list, *earlier.get("study", {}).get("seeds", [])})
    asked = {
        "grid": {name: list(values) for name, values in study.grid.items()},
        "search": {name: searched(family.space[name], bounds) for name, bounds in study.search.items()},
        "guards": [asdict(guard) for guard in plan.guards],
        "seeds": seeds,
        "looks": list(study.looks or earlier.get("study", {}).get("looks") or ()),
        "n_trials": plan.n_trials,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "sweep_id": plan.sweep_id,
        "study": {**asdict(study), **asked},
        "family": study.family,
        "axes": axes_of(study, family.space),
        "metrics": {name: asdict(metric) for name, metric in family.metrics.items()},
        "baselines": dict(data.baselines) if data else known,
        "params": {name: value for name, value in shared_params(plan).items() if name not in decided},
        "provenance": earlier.get("provenance") or provenance(plan),
        **({"tracking": earlier["tracking"]} if earlier.get("tracking") else {}),
    }


def shared_params(plan: Plan) -> Params:
    """Return the parameters that are the same at all points: a preset in an arm decides more than the arm says."""
    first, *others = (point.params for point in plan.points)
    return {name: value for name, value in first.items() if all(point[name] == value for point in others)}


def searched(domain: Domain, bounds: Sequence[Value]) -> dict[str, Any]:
    """Return what a search may draw of one parameter."""
    if isinstance(domain, Choice):
        return {"options": list(bounds)}
    kind = "int" if isinstance(domain, Int) else "float"
    return {"low": bounds[0], "high": bounds[1], "log": domain.log, "kind": kind}


def provenance(plan: Plan) -> dict[str, Any]:
    """Return where the numbers come from: code, data, versions, hardware, time."""
    root = root_of(plan.study.family)
    return {
        **code_origin(),
        **({"family_root": str(root)} if root else {}),
        "code_version": plan.code_version,
        "data_fingerprint": ", ".join(dict.fromkeys(point.data_key for point in plan.points)),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "records_id": uuid.uuid4().hex[:12],  # tells these records from others of the same question
        "versions": {name: found for name in VERSIONED if (found := installed(name))},
    }


def installed(package: str) -> str | None:
    """Return the installed version of a package, None when it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def code_origin() -> dict[str, Any]:
    """Return the commit of this code, and whether it was changed since; a job's copy has a note of it."""
    note = Path(__file__).parents[1] / ORIGIN_FILE
    if note.exists():
        return dict(json.loads(note.read_text()))
    dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    return {"git_sha": git("rev-parse", "HEAD"), "git_dirty": dirty}


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
