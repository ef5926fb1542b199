"""MLflow as a mirror of the records: written from a background thread, in batches, never waited for.

The layout is one experiment per study, one parent run per sweep, one child run per trial. Run ids cannot
be chosen, so a run is found by its tags (``sweep_id``, ``trial_id``), and every push may be repeated: a
parameter or metric that is sent again with its recorded time is the same row in MLflow's store. So a
kill between a push and its note doubles nothing, and a server that was away gets the rest when it is
back, or through `sweeps sync`.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.errors import first_line
from sweeps.records import EpochRow, Records, TrialRow
from sweeps.storage import bring
from trainables.probe import ProbeResult

PUSH_EVERY_S = 5.0
RETRY_EVERY_S = 3.0
REQUEST_TIMEOUT_S = 10
METRICS_PER_BATCH = 900  # MLflow takes 1000 metrics, parameters and tags at once
RUN_STATUS = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "collapsed": "KILLED",
    "diverged": "FAILED",
    "failed": "FAILED",
}
TRIAL_FILES = ("config.yaml", "run.log", "model.pt", "facts/metrics.csv")
KEPT_IN_RECORDS_ONLY = ("grad_norm/", "grad_cos/")
QUIET_LOGGERS = (  # what they say at level INFO is no news to a user
    "alembic",
    "mlflow.pyfunc",
    "mlflow.store.db.utils",
    "mlflow.store.model_registry.abstract_store",
)
logger = logging.getLogger(__name__)


def default_uri(out: Path) -> str:
    """Return the tracking URI of the environment, or the SQLite store beside the results."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(out / 'mlflow.db').resolve()}"


def shown_in_mlflow(metric: str, meanings: Mapping[str, Any]) -> bool:
    """Return whether a metric becomes an MLflow key.

    Accounting per module and per pair, what a family calls a detail, and values of other splits
    that are neither good nor bad stay in the records: the compare view is usable up to some forty keys.

    Args:
        metric: Name with its split, such as ``valid/rec_tokens``.
        meanings: What ``sweep.json`` says of each metric, by name without the split.
    """
    split, _, name = metric.partition("/")
    known = meanings.get(name, {}) if split in ("valid", "test", "train_eval") else {}
    if known.get("detail") or (split in ("test", "train_eval") and known.get("mode") is None):
        return False
    return metric.count("/") < 2 and metric != "train/lr" and not metric.startswith(KEPT_IN_RECORDS_ONLY)


@dataclass
class Pending:
    """What one trial still has to send."""

    row: TrialRow
    epochs: list[EpochRow] = field(default_factory=list)
    folder: Path | None = None


def import_mlflow(uri: str) -> None:
    """Import what talking to ``uri`` needs; call it before the tracker's thread starts.

    Two threads that import the same packages at once can leave one of them half imported for good (seen with
    MLflow in a thread and Ray in the main one), and then every later push fails. While Ray starts is safe, once
    `sweeps.driver` is imported: a test holds that the two then have no import in common.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(REQUEST_TIMEOUT_S))
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    importlib.import_module("mlflow.tracking")
    if not uri.startswith("http"):
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


class MlflowStore:
    """One sweep's runs in an MLflow tracking store; every call may raise while the store is away.

    Args:
        uri: Tracking URI.
        sweep: Contents of ``sweep.json``.
        out: Folder of all results; artifacts of the embedded store go there.
    """

    def __init__(self, uri: str, sweep: dict[str, Any], out: Path) -> None:
        import_mlflow(uri)
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.sweep, self.study = sweep, sweep["study"]
        local_artifacts = (out / "mlartifacts").resolve().as_uri() if uri.startswith("sqlite") else None
        self.experiment_id = self._experiment(self.study["name"], local_artifacts)
        self.parent_id = self._parent()
        self.children = self._children()

    def _experiment(self, name: str, artifact_location: str | None) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self.client.create_experiment(name, artifact_location=artifact_location))

    def _parent(self) -> str:
        sweep_id = self.sweep["sweep_id"]
        query = f"tags.sweep_id = '{sweep_id}' and tags.kind = 'sweep'"
        found = self.client.search_runs([self.experiment_id], query, max_results=1)
        if found:
            self.client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        provenance = self.sweep.get("provenance", {})
        tags = {
            "kind": "sweep",
            "sweep_id": sweep_id,
            "study": self.study["name"],
            "question": self.study["question"],
            "family": self.study.get("family", ""),
            "objective": self.study.get("objective", {}).get("metric", ""),
            "objective_mode": self.study.get("objective", {}).get("mode", ""),
            "mlflow.note.content": self.study["question"],
            **{name: str(value) for name, value in provenance.items() if not isinstance(value, dict)},
            **{f"version.{name}": version for name, version in provenance.get("versions", {}).items()},
        }
        run = self.client.create_run(self.experiment_id, tags=tags, run_name=f"sweep {sweep_id}")
        return str(run.info.run_id)

    def _children(self) -> dict[str, tuple[str, str]]:
        query = f"tags.`mlflow.parentRunId` = '{self.parent_id}'"
        children: dict[str, tuple[str, str]] = {}
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            for run in page:
                children[run.data.tags["trial_id"]] = (run.info.run_id, run.data.tags.get("state", "running"))
            token = page.token
            if not token:
                return children

    def push(self, pending: Pending) -> None:
        """Send what a trial has: its run if it is new, its epochs, and its end with the files of its folder.

        The tag ``state`` is written last: a run that has it has everything, and one without is sent again.
        """
        from mlflow.entities import Metric, Param, RunTag

        row = pending.row
        run_id = self._child(row, pending.epochs)
        metrics = [
            Metric(name, value, epoch.time_ms, epoch.epoch)
            for epoch in pending.epochs
            for name, value in epoch.metrics.items()
            if shown_in_mlflow(name, self.sweep.get("metrics", {}))
        ]
        params = [Param(name, str(value)) for name, value in {**row.swept, "seed": row.seed}.items()]
        while len(metrics) > METRICS_PER_BATCH:
            self.client.log_batch(run_id, metrics=metrics[:METRICS_PER_BATCH])
            del metrics[:METRICS_PER_BATCH]
        if row.state not in RUN_STATUS:
            self.client.log_batch(run_id, metrics=metrics, params=params)
            return
        self._log_files(run_id, pending.folder)
        ended = pending.epochs[-1].time_ms if pending.epochs else None
        self.client.set_terminated(run_id, RUN_STATUS[row.state], end_time=ended)
        tags = {"wall_s": f"{row.wall_s:.3f}", "error": (row.error or "")[:5000], "state": row.state}
        run_tags = [RunTag(name, value) for name, value in tags.items()]
        self.client.log_batch(run_id, metrics=metrics, params=params, tags=run_tags)  # stored in this order
        self.children[row.trial_id] = (run_id, row.state)

    def _child(self, row: TrialRow, epochs: list[EpochRow]) -> str:
        if row.trial_id in self.children:
            return self.children[row.trial_id][0]
        tags = {
            "kind": "trial",
            "mlflow.parentRunId": self.parent_id,
            "trial_id": row.trial_id,
            "cell": row.cell,
            "state": "running",
        }
        started = epochs[0].time_ms if epochs else None
        name = f"{row.cell} seed {row.seed}"
        run_id = str(self.client.create_run(self.experiment_id, started, tags, run_name=name).info.run_id)
        self.children[row.trial_id] = (run_id, "running")
        return run_id

    def refresh(self) -> None:
        """Look up the children again: after a failed call, a run may exist whose answer never arrived."""
        self.children = self._children()

    def _log_files(self, run_id: str, folder: Path | None) -> None:
        if folder is None:
            return
        bring(folder)
        for file in TRIAL_FILES:
            path = folder / file
            if path.exists():
                place = str(Path(file).parent)
                self.client.log_artifact(run_id, str(path), None if place == "." else place)

    def is_behind(self, row: TrialRow) -> bool:
        """Return whether MLflow does not yet know how the trial of ``row`` ended."""
        return self.children.get(row.trial_id, ("", ""))[1] != row.state

    def upload(self, files: Iterable[tuple[Path, str]], run_id: str | None = None) -> None:
        """Log files as artifacts of a run, the parent when none is given: pairs of path and folder."""
        for path, place in files:
            self.client.log_artifact(run_id or self.parent_id, str(path), place or None)

    @property
    def published(self) -> str | None:
        """Digest of the records whose tables and report the parent run has, None when it has none."""
        tag: str | None = self.client.get_run(self.parent_id).data.tags.get("records_digest")
        return tag

    def note_published(self, digest: str) -> None:
        """Note on the parent run which records it has; the last step of an upload."""
        self.client.set_tag(self.parent_id, "records_digest", digest)

    def end_parent(self, status: str) -> None:
        """End the parent run."""
        self.client.set_terminated(self.parent_id, status)


def log_probe(uri: str, run_id: str, results: Sequence[ProbeResult], file: Path, time_ms: int) -> str | None:
    """Send what experiments on a trained model showed to its run; sent again, it is the same.

    Args:
        uri: Tracking URI.
        run_id: The trial's run.
        results: Numbers become metrics ``probe/<claim>/<name>``, verdicts tags ``probe.<claim>``.
        file: Becomes an artifact.
        time_ms: When the trial ended: the time of its last epoch.

    Returns:
        Why the store has not got them, None when it has.
    """
    import_mlflow(uri)
    from mlflow.entities import Metric, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    metrics = [
        Metric(f"probe/{result.id}/{name}", value, time_ms, 0)
        for result in results
        for name, value in result.numbers.items()
    ]
    tags = [RunTag(f"probe.{result.id}", result.verdict) for result in results]
    try:
        client = MlflowClient(tracking_uri=uri)
        client.log_batch(run_id, metrics=metrics, tags=tags)
        client.log_artifact(run_id, str(file), "facts")
    except (MlflowException, OSError) as error:
        return f"{uri}: {first_line(error)}"
    return None


def refuses(error: Exception) -> bool:
    """Return whether the store answered and said no, so that sending the same again is no use."""
    return getattr(error, "error_code", None) in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


class Tracker:
    """Mirrors a sweep into MLflow from a background thread; no call of the driver ever waits for the store.

    Args:
        connect: Returns the store, or raises while it is away.
        earlier: Records from before this start: what MLflow has not heard of them is sent first.
        folder_of: Returns the folder of a trial's files.
    """

    def __init__(
        self, connect: Callable[[], MlflowStore], earlier: Records, folder_of: Callable[[TrialRow], Path]
    ) -> None:
        self._connect, self._earlier, self._folder_of = connect, earlier, folder_of
        self._inbox: queue.SimpleQueue[tuple[TrialRow, EpochRow | None] | None] = queue.SimpleQueue()
        self._pending: dict[str, Pending] = {}
        self._closing, self._stopping = threading.Event(), threading.Event()
        self._retry_at = 0.0
        self.store: MlflowStore | None = None
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()

    def trial(self, row: TrialRow) -> None:
        """Take the start or the end of a trial."""
        self._inbox.put((row, None))

    def epoch(self, row: TrialRow, epoch: EpochRow) -> None:
        """Take the metrics of one epoch."""
        self._inbox.put((row, epoch))

    def drain(self, timeout_s: float) -> int:
        """Send everything that waits, for at most about ``timeout_s`` seconds, and end the thread.

        Returns:
            Number of trials with something that MLflow has not got; the records have it.
        """
        self._closing.set()
        self._inbox.put(None)
        self._thread.join(timeout_s)
        self._stopping.set()
        self._thread.join(2 * REQUEST_TIMEOUT_S)  # a call under way ends with its own time-out
        return len(self._pending)

    def run_ids(self) -> dict[str, str]:
        """Return MLflow's run id of every trial that has one."""
        children = {} if self.store is None else dict(self.store.children)
        return {trial: run for trial, (run, _) in children.items()}

    def _run(self) -> None:
        last_push = time.monotonic()
        while not self._stopping.is_set():
            self._take()
            closing = self._closing.is_set()
            all_due = closing or time.monotonic() - last_push >= PUSH_EVERY_S
            due = [trial for trial, one in self._pending.items() if all_due or one.row.state in RUN_STATUS]
            if (due or self.store is None) and time.monotonic() >= self._retry_at and self._push_all(due):
                last_push = time.monotonic() if all_due else last_push
            if closing and not self._pending and self._inbox.empty():
                return

    def _take(self) -> None:
        try:
            note = self._inbox.get(timeout=0.5)
            while True:
                if note is not None:
                    self._note(*note)
                note = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _note(self, row: TrialRow, epoch: EpochRow | None) -> None:
        pending = self._pending.setdefault(row.trial_id, Pending(row))
        pending.row, pending.folder = row, self._folder_of(row)
        if epoch is not None:
            pending.epochs.append(epoch)

    def _push_all(self, due: list[str]) -> bool:
        try:
            if self.store is None:
                self.store = self._connect()
                self._catch_up(self.store)
            elif self.problem:
                self.store.refresh()
            self.problem = None
            for trial_id in due:
                if self._stopping.is_set():
                    return False
                self._push(self.store, self._pending[trial_id])
                del self._pending[trial_id]
        except Exception as error:
            self.problem = first_line(error)
            self._retry_at = time.monotonic() + RETRY_EVERY_S
            logger.debug("tracking store is away", exc_info=True)
            return False
        return True

    def _push(self, store: MlflowStore, pending: Pending) -> None:
        try:
            store.push(pending)
        except Exception as error:
            if not refuses(error):
                raise
            logger.warning("MLflow refuses trial %s: %s", pending.row.trial_id, first_line(error))

    def _catch_up(self, store: MlflowStore) -> None:
        for row in self._earlier.trials.values():
            if store.is_behind(row) or row.state == "running":
                fresh = self._pending.get(row.trial_id, Pending(row))
                epochs = self._earlier.epochs_of(row.trial_id) + fresh.epochs
                self._pending[row.trial_id] = Pending(fresh.row, epochs, self._folder_of(row))
