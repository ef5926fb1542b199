"""MLflow as a mirror of the records: what it is sent, and why it may be sent again.

The layout is one experiment per study, one parent run per sweep, one child run per trial. Run ids cannot
be chosen, so a run is found by its tags (``sweep_id``, ``records_id``, ``trial_id``), and every push may be
repeated: a parameter or metric that is sent again with its recorded time is the same row in MLflow's store. So
a kill between a push and its note doubles nothing, and a server that was away gets the rest when it is back, or
through `sweeps sync`. Only creating a run cannot be repeated: one whose answer never came may be carried out
later, beside the run that was created in its place. Whoever looks for the runs takes away such a double.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from search_spaces.errors import RefusedError, first_line
from sweeps.description import NOTE, description_tags
from sweeps.records import EpochRow, TrialRow
from sweeps.storage import bring, shown
from trainables.probe import ProbeResult

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
PATIENCE_S = 60  # for an answer, where nobody waits: what is given up may still be carried out
HASTE_S = 10  # for an answer, where somebody waits
METRICS_PER_BATCH = 900  # MLflow takes 1000 metrics, parameters and tags at once
RUN_STATUS = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "collapsed": "KILLED",
    "diverged": "FAILED",
    "failed": "FAILED",
}
MAX_ERROR = 5000  # characters of a tag
PARENT = "mlflow.parentRunId"
TRIAL_FILES = ("config.yaml", "run.log", "model.pt", "facts/metrics.csv")
KEPT_IN_RECORDS_ONLY = ("grad_norm/", "grad_cos/")
QUIET_LOGGERS = (  # what they say at level INFO is no news to a user
    "alembic",
    "mlflow.pyfunc",
    "mlflow.store.db.utils",
    "mlflow.store.model_registry.abstract_store",
)


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


class Run(NamedTuple):
    """A run in MLflow: its id, what we say of it and what MLflow does, and when it began."""

    run_id: str
    state: str
    status: str
    started_ms: int


def import_mlflow(uri: str) -> None:
    """Import what talking to ``uri`` needs; call it before the tracker's thread starts.

    Two threads that import the same packages at once can leave one of them half imported for good (seen with
    MLflow in a thread and Ray in the main one), and then every later push fails. While Ray starts is safe, once
    `sweeps.driver` is imported: a test holds that the two then have no import in common.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault(TIMEOUT, str(PATIENCE_S))
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # where --json prints its object
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    importlib.import_module("mlflow.tracking")
    if not uri.startswith("http"):
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


@contextmanager
def in_haste() -> Iterator[None]:
    """Wait for an answer no longer than a user does, unless the environment says how long."""
    usual = os.environ.get(TIMEOUT)
    if usual in (None, str(PATIENCE_S)):
        os.environ[TIMEOUT] = str(HASTE_S)
    try:
        yield
    finally:
        os.environ[TIMEOUT] = usual or str(PATIENCE_S)


def refuse_deleted(name: str, experiment_id: str, stage: str) -> None:
    """Raise `RefusedError` when an experiment is deleted: MLflow keeps its name, and takes no runs."""
    if stage == "deleted":
        raise RefusedError(
            f"The experiment {name!r} is deleted in MLflow, and its name still taken. Restore it: "
            f"`mlflow experiments restore --experiment-id {experiment_id}`."
        )


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
        self.records_id = sweep.get("provenance", {}).get("records_id")  # None in old records
        self.children: dict[str, Run] = {}
        self._written: set[str] = set()
        local_artifacts = (out / "mlartifacts").resolve().as_uri() if uri.startswith("sqlite") else None
        self.experiment_id = self._experiment(self.study["name"], local_artifacts)
        self.refresh()

    def refresh(self) -> None:
        """Look up the runs again: after a failed call, one may exist, or exist twice, whose answer never arrived."""
        self.parent = self._parent()
        self.children = self._children()
        self._written = {self.parent.run_id, *(run.run_id for run in self.children.values())}

    def _experiment(self, name: str, artifact_location: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name, artifact_location=artifact_location))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self.client.get_experiment_by_name(name)  # another driver was faster
        refuse_deleted(name, found.experiment_id, found.lifecycle_stage)
        return str(found.experiment_id)

    def _parent(self) -> Run:
        sweep_id, provenance = self.sweep["sweep_id"], self.sweep.get("provenance", {})
        found = self._search(f"tags.sweep_id = '{sweep_id}' and tags.kind = 'sweep'")
        own = [run for run in found if run.data.tags.get("records_id") == self.records_id]
        if own:  # and not one of other records of the same question
            return run_of(self._one_of(own) if self.records_id else own[0])
        tags = {
            "kind": "sweep",
            "sweep_id": sweep_id,
            "study": self.study["name"],
            "question": self.study["question"],
            "family": self.study.get("family", ""),
            "objective": self.study.get("objective", {}).get("metric", ""),
            "objective_mode": self.study.get("objective", {}).get("mode", ""),
            NOTE: self.study["question"],
            **{f"parent_{name}": value for name, value in (self.study.get("follows") or {}).items()},
            **{name: str(value) for name, value in provenance.items() if not isinstance(value, dict)},
            **{f"version.{name}": version for name, version in provenance.get("versions", {}).items()},
        }
        return run_of(self.client.create_run(self.experiment_id, tags=tags, run_name=f"sweep {sweep_id}"))

    def _children(self) -> dict[str, Run]:
        own = f"tags.records_id = '{self.records_id}' and tags.kind = 'trial'"
        children: dict[str, Run] = {}  # and not what MLflow gives, 10 KB each
        doubles: dict[str, list[Any]] = {}
        late: set[str] = set()  # they came below a double
        for run in self._search(own if self.records_id else children_of(self.parent.run_id)):
            if run.data.tags.get(PARENT) != self.parent.run_id:
                late.add(run.info.run_id)
            if children.setdefault(run.data.tags["trial_id"], found := run_of(run)) is not found:
                doubles.setdefault(run.data.tags["trial_id"], []).append(run)
        for trial, runs in doubles.items():
            children[trial] = run_of(self._one_of([self.client.get_run(children[trial].run_id), *runs]))
        for run_id in late & {run.run_id for run in children.values()}:
            self.client.set_tag(run_id, PARENT, self.parent.run_id)
        return children

    def _search(self, query: str) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _one_of(self, runs: list[Any]) -> Any:
        """Return the run that was written to, and take away its doubles, which nobody has."""
        kept = runs[0] if len(runs) == 1 else max(runs, key=self._claim)
        for run in runs:
            if run is not kept:
                self._take_away(run)
        return kept

    def _claim(self, run: Any) -> tuple[bool, int, int, str]:
        """Return what speaks for a run: this driver wrote to it, others did, or below it; its id settles the rest."""
        n_written = len(run.data.metrics) + len(run.data.params) + len(run.data.tags)
        n_below = sum(1 for _ in self._search(children_of(run.info.run_id)))
        return run.info.run_id in self._written, n_written, n_below, run.info.run_id

    def _take_away(self, run: Any) -> None:
        """Delete a run; who may not delete it leaves it ended, and part of no sweep."""
        from mlflow.exceptions import MlflowException

        self._end(run_of(run), "KILLED")
        self.client.set_tag(run.info.run_id, "kind", "double")
        for name in {PARENT, "sweep_id", "records_id", "trial_id"} & set(run.data.tags):
            self.client.delete_tag(run.info.run_id, name)
        try:
            self.client.delete_run(run.info.run_id)
        except MlflowException as error:
            if error.error_code != "PERMISSION_DENIED":
                raise

    def _end(self, run: Run, status: str, ended_ms: int | None = None) -> Run:
        """End a run, never before it began: clocks are set back."""
        ended_ms = time.time_ns() // 1_000_000 if ended_ms is None else ended_ms
        self.client.set_terminated(run.run_id, status, end_time=max(ended_ms, run.started_ms))
        return run._replace(status=status)

    def push(self, pending: Pending) -> None:
        """Send what a trial has: its run if it is new, its epochs, and its end with the files of its folder.

        The tag ``state`` is written last: a run that has it has everything, and one without is sent again.
        """
        from mlflow.entities import Metric, Param, RunTag

        row = pending.row
        run = self._child(row, pending.epochs)
        metrics = [
            Metric(name, value, epoch.time_ms, epoch.epoch)
            for epoch in pending.epochs
            for name, value in epoch.metrics.items()
            if shown_in_mlflow(name, self.sweep.get("metrics", {}))
        ]
        params = [Param(name, str(value)) for name, value in {**row.swept, "seed": row.seed}.items()]
        while len(metrics) > METRICS_PER_BATCH:
            self.client.log_batch(run.run_id, metrics=metrics[:METRICS_PER_BATCH])
            del metrics[:METRICS_PER_BATCH]
        if row.state not in RUN_STATUS:
            again = (
                [RunTag("state", "running")] if run.state != "running" else []
            )  # a failed trial is trained again
            self.client.log_batch(run.run_id, metrics=metrics, params=params, tags=again)
            self.children[row.trial_id] = self._reopened(run)._replace(state="running")
            return
        self._log_files(run.run_id, pending.folder)
        run = self._end(run, RUN_STATUS[row.state], pending.epochs[-1].time_ms if pending.epochs else None)
        tags = {"wall_s": f"{row.wall_s:.3f}", **told_error(row, pending.folder), "state": row.state}
        run_tags = [RunTag(name, value) for name, value in tags.items()]
        self.client.log_batch(
            run.run_id, metrics=metrics, params=params, tags=run_tags
        )  # stored in this order
        self.children[row.trial_id] = run._replace(state=row.state)

    def _child(self, row: TrialRow, epochs: list[EpochRow]) -> Run:
        if row.trial_id not in self.children:
            tags = {
                "kind": "trial",
                PARENT: self.parent.run_id,
                **({"records_id": self.records_id} if self.records_id else {}),
                "trial_id": row.trial_id,
                "cell": row.cell,
                "state": "running",
            }
            started = epochs[0].time_ms if epochs else None
            name = f"{row.cell} seed {row.seed}"
            made = self.client.create_run(self.experiment_id, started, tags, run_name=name)
            self.children[row.trial_id] = run_of(made)
            self._written.add(made.info.run_id)
        return self.children[row.trial_id]

    def _reopened(self, run: Run) -> Run:
        if run.status != "RUNNING":
            self.client.update_run(run.run_id, status="RUNNING")
        return run._replace(status="RUNNING")

    def reopen(self) -> None:
        """Say that the sweep is under way."""
        self.parent = self._reopened(self.parent)

    def interrupt(self) -> None:
        """Say of what is not finished that nobody works at it; it may go on later, in the same runs."""
        for trial_id, run in self.children.items():
            if run.state == "running" and run.status == "RUNNING":
                self.children[trial_id] = self._end(run, "KILLED")
        self.end("KILLED")

    def end(self, status: str) -> None:
        """End the parent run."""
        self.parent = self._end(self.parent, status)

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
        run = self.children.get(row.trial_id)
        return run is None or (run.state, run.status) != (row.state, RUN_STATUS.get(row.state, run.status))

    def upload(self, files: Iterable[tuple[Path, str]], run_id: str | None = None) -> None:
        """Log files as artifacts of a run, the parent when none is given: pairs of path and folder."""
        for path, place in files:
            self.client.log_artifact(run_id or self.parent.run_id, str(path), place or None)

    def describe(self, note: str, study: str) -> None:
        """Describe the sweep's run and its experiment in Markdown, unless somebody else has described them.

        Args:
            note: Description of the run.
            study: Description of the experiment.
        """
        tags = self.client.get_run(self.parent.run_id).data.tags
        for name, value in description_tags(tags, note, self.study["question"]).items():
            self.client.set_tag(self.parent.run_id, name, value)
        tags = self.client.get_experiment(self.experiment_id).tags
        for name, value in description_tags(tags, study).items():
            self.client.set_experiment_tag(self.experiment_id, name, value)

    @property
    def published(self) -> str | None:
        """Digest of the records whose tables and report the parent run has, None when it has none."""
        tag: str | None = self.client.get_run(self.parent.run_id).data.tags.get("records_digest")
        return tag

    def note_published(self, digest: str) -> None:
        """Note on the parent run which records it has; the last step of an upload."""
        self.client.set_tag(self.parent.run_id, "records_digest", digest)


def run_of(run: Any) -> Run:
    """Return what we keep of a run of MLflow's."""
    return Run(run.info.run_id, run.data.tags.get("state", "running"), run.info.status, run.info.start_time)


def children_of(run_id: str) -> str:
    """Return the query for the runs below a run."""
    return f"tags.`{PARENT}` = '{run_id}'"


def told_error(row: TrialRow, folder: Path | None) -> dict[str, str]:
    """Return as tags what ended a trial before its time, with both ends of a long trace, and where its log lies."""
    error = row.error or ""
    if len(error) > MAX_ERROR:
        error = f"{error[:1000]}\n...\n{error[1005 - MAX_ERROR :]}"
    if not error or folder is None:
        return {"error": error}
    return {"error": error, "log": ":".join(filter(None, (row.node, shown(folder / "run.log"))))}


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
        return f"{uri}: {reason_of(error)}"
    return None


def reason_of(error: BaseException) -> str:
    """Return in one line why a store failed: where that is the network, what happened in it, which MLflow buries."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError | HTTPException):
            error = cause
        cause = cause.__cause__ or cause.__context__
    return first_line(error)


def refuses(error: Exception) -> bool:
    """Return whether the store answered and said no, so that sending the same again is no use."""
    return getattr(error, "error_code", None) in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
