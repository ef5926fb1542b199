"""Runs trials on Ray Tune. The driver is the only writer: workers report, `SweepWriter` records and mirrors.

Resume is plan minus finished, by trial id, plus the checkpoint that a trial finds in
its own folder; nothing rests on Tune's own snapshots, which do not notice a changed value.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from search_spaces.errors import RefusedError, first_line
from sweeps.plan import FINISHED_STATES, Plan, PlannedTrial, RunOptions
from sweeps.records import Records
from sweeps.scheduling import TIME, VALUE, GroupedScheduler, InOrder, make_scheduler
from sweeps.signals import keeping_sigterm
from sweeps.source import FINISHED, Source
from sweeps.storage import mirror_of
from sweeps.writer import SweepWriter
from trainables.dataset import Dataset

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault(
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1"
)  # measured: 200 results/s with them, 900 without
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")  # Tune's snapshots are not what resume rests on
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import click  # noqa: F401 - as the next one
import ray
from ray import tune
from ray.tune.search import Searcher

with suppress(ImportError):  # what starting Ray would import, so that MLflow can be imported meanwhile
    import ray.dashboard.optional_deps  # noqa: F401

CONNECT_TIMEOUT_S = 5.0
OWN_VARIABLES = ("PYTHONPATH", "AWS_ENDPOINT_URL", "AWS_REGION")  # and no secret: Ray shows them
PENDING_OF_A_GRID = "64"  # trials that Tune may hold ready; of a search one, to draw as late as possible
TRIALS_PER_ROUND = 2500  # Tune keeps what it has seen, 17 KB each; the next round costs new actors


class TrialQueue(Searcher):  # type: ignore[misc]
    """Hands Tune the trials of a source, one when it has room for one; the same in all rounds.

    Args:
        source: Supplies the trials.
        writer: Takes the results.
        options: How to run them.
    """

    def __init__(self, source: Source, writer: SweepWriter, options: RunOptions) -> None:
        super().__init__()
        self.source, self.writer, self.options = source, writer, options
        self.n_handed, self.finished = 0, False

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything out of Tune's snapshots: resume rests on records."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial that has to be trained; None when there is none yet."""
        while isinstance(trial := self.source.next(), PlannedTrial):
            self.writer.admit(trial)
            adopted = self.writer.adopt(trial)
            if adopted is None:
                self.n_handed += 1
                return {"trial": trial_config(self.writer.plan, trial, self.options)}
            row, epochs = adopted
            for epoch in epochs:
                self.source.observe(row.trial_id, epoch.epoch, epoch.metrics)
            self.source.tell(row)
        self.finished = trial == FINISHED
        return Searcher.FINISHED if self.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn nothing here: results reach the source through the records."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: resume rests on records."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class ResultCallback(tune.Callback):  # type: ignore[misc]
    """Hands Tune's events to the writer, and to the source what it may learn from."""

    def __init__(self, writer: SweepWriter, source: Source) -> None:
        self._writer, self._source = writer, source

    def __getstate__(self) -> dict[str, Any]:
        """Leave the writer out of Tune's snapshots: open files cannot be pickled, and resume rests on records."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the start."""
        self._writer.start(trial.config["trial"]["trial_id"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record the result; one that the scheduler ended, which its trial does not know, is pruned."""
        if result["done"] and result["state"] == "running":
            result = {**result, "state": "pruned", "error": None}
        for epoch, metrics in result["epochs"]:
            self._source.observe(result["trial"], epoch, metrics)
        self._writer.take(result)
        if result["state"] != "running":
            self._source.tell(self._writer.row_of(result["trial"]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Drop what Tune keeps of an ended trial for analyses that nobody makes here: 23 of 33 KB."""
        kept = trial.run_metadata
        kept.last_result, kept.metric_analysis, kept.metric_n_steps = {}, {}, {}

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a trial whose process or node died more often than it may."""
        trial_id = trial.config["trial"]["trial_id"]
        error = str(trial.get_error() or "its process died").strip()
        self._writer.end(trial_id, "failed", None, error)
        self._source.tell(self._writer.row_of(trial_id))


class TimeBudget(tune.Stopper):  # type: ignore[misc]
    """Ends all trials so many seconds after Tune began to ask; Tune's own goes by a clock that can be set."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._began = seconds, math.inf

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return that no single trial ends for it."""
        return False

    def stop_all(self) -> bool:
        """Return whether the time is spent."""
        self._began = min(self._began, time.monotonic())
        return time.monotonic() - self._began >= self._seconds


def train_all(
    source: Source, options: RunOptions, writer: SweepWriter, datasets: dict[str, Dataset], earlier: Records
) -> None:
    """Train every trial of ``source``; returns when all ended or the time budget is spent.

    Tune runs in rounds, each a run of its own with fresh actors, so that what it keeps of its trials goes, and the
    journal is folded into the tables between them.

    Args:
        source: Supplies the trials.
        options: How to run them; a Ray session is open.
        writer: Takes the results.
        datasets: Data by key; put into the object store once, shared by all actors of a node.
        earlier: What earlier starts have recorded; a scheduler is shown it again.
    """
    references = {key: ray.put(dataset) for key, dataset in datasets.items()}
    study = writer.plan.study
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1" if study.search else PENDING_OF_A_GRID
    scheduler = scheduler_of(writer.plan, earlier) if study.scheduler else InOrder()
    queue = TrialQueue(source, writer, options)
    budget = None if options.time_budget_s is None else TimeBudget(options.time_budget_s)
    while True:
        with tempfile.TemporaryDirectory(prefix="sweeps_tune_") as scratch, own_interrupts():
            tuner(queue, budget, (references, scheduler, scratch)).fit()
        if queue.finished or writer.n_ended < queue.n_handed:  # the latter when time is up, or by Ctrl-C
            return
        writer.writer.compact()
        gc.collect()  # a run of Tune is full of cycles


@contextmanager
def own_interrupts() -> Iterator[None]:
    """Take Ctrl-C back from Tune afterwards: its handler stays, and speaks to a run that is over."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def scheduler_of(plan: Plan, earlier: Records) -> GroupedScheduler:
    """Return the scheduler of a search, shown what is recorded of its points."""
    scheduler = GroupedScheduler(lambda: make_scheduler(plan.study))
    metric, labels = plan.study.objective.selects, {point.label: point.cell for point in plan.points}
    results: dict[str, list[dict[str, Any]]] = {}
    for epoch in earlier.metrics({metric}):
        results.setdefault(epoch.trial_id, []).append({TIME: epoch.epoch, VALUE: epoch.metrics[metric]})
    for trial_id, row in earlier.trials.items():
        if row.seed != plan.study.seed_list[0]:
            continue
        shown = [
            result
            for result in results.get(trial_id, [])
            if row.guard_epoch is None or result[TIME] < row.guard_epoch
        ]
        if row.state in FINISHED_STATES:
            group = next(label for label, cell in labels.items() if cell.items() <= row.swept.items())
            scheduler.replay(group, trial_id, shown)
        else:
            scheduler.expect(trial_id, shown)
    return scheduler


@contextmanager
def ray_session(options: RunOptions) -> Iterator[None]:
    """Connect to Ray, or start it on this machine; always let go of it again. Within a session it is that one."""
    if ray.is_initialized():
        refuse_too_small(options)
        yield
        return
    address = cluster_address(options.address)
    try:
        with keeping_sigterm():
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env=own_environment(),
            )
    except (OSError, RuntimeError, ValueError) as error:
        reason = first_line(error)
        if address == "local":
            raise RefusedError(
                f"Ray does not start on this machine: {reason}. "
                "Give it another temporary folder, with a short name, by RAY_TMPDIR."
            ) from error
        raise RefusedError(
            f"No Ray cluster at {address}: {reason}. "
            "Start one with `ray start --head`, or leave --address away to use this machine alone."
        ) from error
    try:
        refuse_too_small(options)
        yield
    finally:
        ray.shutdown()


def cluster_address(asked: str | None) -> str:
    """Return what to give to Ray: the address asked for, ``auto`` for a cluster that runs here, or ``local``.

    Ray itself takes the address of a cluster that has died for a running one, and never stops trying it.

    Args:
        asked: ``host:port``, ``local``, ``auto`` for a cluster that must run here, or None to use one if it runs.

    Raises:
        RefusedError: If nobody listens at the address, or none runs here.
    """
    asked = asked or os.environ.get("RAY_ADDRESS")
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    if asked in (None, "auto"):
        found = noted.read_text().strip() if noted.exists() else ""
        if found and silence(found) is None:
            return "auto"  # and not its address: Ray uses this machine's token only for a cluster it found itself
        if asked is None:
            return "local"
        raise RefusedError(
            "No Ray cluster runs on this machine. Start one with `ray start --head`, or leave --address."
        )
    problem = silence(str(asked))
    if problem:
        raise RefusedError(
            f"No Ray cluster at {asked}: {problem}. "
            "Start one with `ray start --head`, or leave --address away to use this machine alone."
        )
    return str(asked)


def silence(address: str) -> str | None:
    """Return why nobody can be reached at a ``host:port``, None when somebody answers or it has another form."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        return None
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return str(error)
    return None


def own_environment() -> dict[str, Any] | None:
    """Return the runtime environment by which workers find a user's own family and the driver's object storage."""
    found = {name: os.environ[name] for name in OWN_VARIABLES if os.environ.get(name)}
    return {"env_vars": found} if found else None


def refuse_too_small(options: RunOptions) -> None:
    """Raise `RefusedError` when no node can ever hold one trial: Tune would wait for ever.

    Nodes that an autoscaler would start are not here yet, so where one runs nothing is refused.
    """
    asked, labels = wanted(options), dict(options.labels)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    fitting = [node for node in nodes if labels.items() <= node.get("Labels", {}).items()]
    if any(all(node["Resources"].get(kind, 0) >= n for kind, n in asked.items()) for node in fitting):
        return
    if may_grow():
        return
    if not fitting:
        known = sorted(
            {f"{name}={value}" for node in nodes for name, value in node.get("Labels", {}).items()}
        )
        raise RefusedError(
            f"No node has the labels {', '.join('='.join(one) for one in options.labels)}. There is {', '.join(known)}."
        )
    largest = ", ".join(
        f"{max(node['Resources'].get(kind, 0) for node in fitting):g} {kind}" for kind in asked
    )
    raise RefusedError(
        f"A trial asks for {', '.join(f'{amount:g} {kind}' for kind, amount in asked.items())}, and no node has that "
        f"(at most {largest}). Lower --cpus-per-trial, --gpus-per-trial or --memory-per-trial."
    )


def may_grow() -> bool:
    """Return whether an autoscaler may add nodes of other kinds to the cluster."""
    from ray._private.state import state

    return state.get_max_resources_from_cluster_config() is not None


def wanted(options: RunOptions) -> dict[str, float]:
    """Return the resources of one trial by Ray's names; memory in bytes."""
    asked = {"CPU": options.cpus_per_trial, "GPU": options.gpus_per_trial, "memory": options.memory_per_trial}
    return {kind: float(amount) for kind, amount in asked.items() if amount}


def tuner(
    queue: TrialQueue, budget: TimeBudget | None, session: tuple[dict[str, ray.ObjectRef], InOrder, str]
) -> tune.Tuner:
    """Return the Tuner of one round, with resident actors and none of Tune's own loggers.

    Args:
        queue: Supplies the trials.
        budget: The time that all rounds have, None for no limit.
        session: References to the data by key, the scheduler, and a folder for Tune's own files.
    """
    from trainables.ray_trainable import TrialTrainable

    references, scheduler, scratch = session
    options = queue.options
    trainable = tune.with_resources(
        tune.with_parameters(TrialTrainable, datasets=references),
        tune.PlacementGroupFactory([wanted(options)], bundle_label_selector=[dict(options.labels)]),
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=queue,
            scheduler=scheduler,
            num_samples=TRIALS_PER_ROUND,
            reuse_actors=True,
            trial_name_creator=name_of,
            trial_dirname_creator=name_of,
        ),
        run_config=tune.RunConfig(
            name=queue.writer.plan.sweep_id,
            storage_path=scratch,
            stop=budget,
            callbacks=[ResultCallback(queue.writer, queue.source)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=options.max_failures),
            verbose=0,
        ),
    )


def name_of(trial: Any) -> str:
    """Return the name of a Tune trial; no lambda, which Tune would keep as code with every trial."""
    return str(trial.trial_id)


def trial_config(plan: Plan, trial: PlannedTrial, options: RunOptions) -> dict[str, Any]:
    """Return what the trainable needs to know of one trial."""
    folder, mirror = plan.folder / trial.folder, mirror_of(plan.folder)
    return {
        "trial_id": trial.trial_id,
        "family": plan.study.family,
        "params": trial.params,
        "seed": trial.seed,
        "epochs": plan.study.epochs,
        "metric": plan.study.objective.selects,
        "mode": plan.study.objective.mode,
        "folder": str(folder.resolve()),
        "remote": (mirror.remote / trial.folder).uri if mirror is not None else None,
        "data_key": trial.data_key,
        "threads": max(1, int(options.cpus_per_trial)),
        "device": options.device or ("cuda" if options.gpus_per_trial > 0 else "cpu"),
        "gpus": options.gpus_per_trial,
        "memory": options.memory_per_trial,
        "guards": plan.guards,
        "audited": trial.audited,
        "group": trial.group,
    }
