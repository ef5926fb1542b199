"""Sends a sweep to MLflow from a background thread, in batches; the driver never waits for it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from search_spaces.errors import first_line
from sweeps.records import EpochRow, Records, TrialRow
from sweeps.tracking import RUN_STATUS, MlflowStore, Pending, reason_of, refuses

PUSH_EVERY_S = 5.0
RETRY_EVERY_S = 3.0
LINGER_S = 120.0  # how long ago a request may have been given up that is still carried out
logger = logging.getLogger(__name__)


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
        self._retry_at, self._unanswered_at = 0.0, -LINGER_S
        self._n_sent = 0
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
        """Send everything that waits, for as long as ``timeout_s`` seconds are enough for one trial more.

        Returns:
            Number of trials with something that MLflow has not got; the records have it.
        """
        self._closing.set()
        self._inbox.put(None)
        n_sent = -1
        while self._thread.is_alive() and n_sent != self._n_sent:
            n_sent = self._n_sent
            self._thread.join(timeout_s)
        self._stopping.set()
        return len(self._pending)

    @property
    def unsent(self) -> str | None:
        """What MLflow has not got after `drain`, and why; None when it has everything."""
        if not self._thread.is_alive() and not self._pending:
            return None
        lacking = f"{len(self._pending)} trials" if self._pending else "the end of the sweep"
        return f"{lacking}, for {self.problem or 'it is still being sent'}"

    @property
    def may_double(self) -> bool:
        """Whether a request without an answer may still be carried out, and double what was sent in its place."""
        return time.monotonic() - self._unanswered_at < LINGER_S

    def run_ids(self) -> dict[str, str]:
        """Return MLflow's run id of every trial that has one."""
        children = {} if self.store is None else dict(self.store.children)
        return {trial: run.run_id for trial, run in children.items()}

    def _run(self) -> None:
        last_push = time.monotonic()
        while not self._stopping.is_set():
            self._take()
            closing = self._closing.is_set()
            all_due = closing or time.monotonic() - last_push >= PUSH_EVERY_S
            due = [trial for trial, one in self._pending.items() if all_due or one.row.state in RUN_STATUS]
            if (due or self.store is None) and time.monotonic() >= self._retry_at and self._push_all(due):
                last_push = time.monotonic() if all_due else last_push
            if closing and not self._pending and self._inbox.empty() and self._ended():
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
                store = self._connect()
                store.reopen()
                self._catch_up(store)
                self.store = store
            elif self.problem or self.may_double:
                self.store.refresh()
            self.problem = None
            for trial_id in due:
                if self._stopping.is_set():
                    return False
                self._push(self.store, self._pending[trial_id])
                del self._pending[trial_id]
                self._n_sent += 1
        except Exception as error:  # noqa: BLE001 - whatever a remote store raises, it is tried again
            self._failed(error)
            return False
        return True

    def _ended(self) -> bool:
        """Say to the store that this driver ends; return whether it heard of it."""
        try:
            if self.store is not None and time.monotonic() >= self._retry_at:
                self.store.interrupt()
                return True
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
        return False

    def _failed(self, error: Exception) -> None:
        self.problem = reason_of(error)
        self._retry_at = time.monotonic() + RETRY_EVERY_S
        if is_unanswered(error):
            self._unanswered_at = time.monotonic()
        logger.debug("tracking store is away", exc_info=error)

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


def is_unanswered(error: Exception) -> bool:
    """Return whether a request reached the server, or may have, and no answer of the server came back."""
    never_arrived = ("ConnectionRefusedError", "gaierror")
    return "API request to" in str(error) and not reason_of(error).startswith(never_arrived)
