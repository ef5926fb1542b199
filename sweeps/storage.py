"""``--out`` in object storage: a local copy on which everything works as ever, and what keeps the two the same.

Records are appended to, renamed and locked, which object stores cannot do. So the driver works in a local copy of the
sweep's folder and sends what is new: the journal in segments, a second after it was written, then the tables that took
it in, and at the end report and pictures. Trials send their own files (`trainables.trial_folder`). What the store has
is noted beside the local copy (`SYNCED_FILE`): as long as it has just that, nobody else wrote, and the local copy,
which may be ahead after a crash, is taken; otherwise the store's.
"""

from __future__ import annotations

import _thread
import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from search_spaces.errors import RefusedError, first_line
from sweeps.lease import RENEW_EVERY_S, Lease
from sweeps.records import HISTORY_FILE, JOURNAL_FILE, REPORT_FOLDER, TRIALS_FILE
from trainables.remote import RemoteFolder, Stamp
from trainables.trial_spec import CHECKPOINT_FILE, SWEEP_FILE

REMOTE_FILE = ".remote"  # in a local copy of OUT: the URI that it is a copy of
SYNCED_FILE = ".synced.json"  # in a local copy of a sweep: what was the same here and there at last
OPTUNA_FILE = "optuna.db"
SEGMENT = "journal-"  # with the id of the journal and an offset: so much of it is in the store
TABLES = (SWEEP_FILE, HISTORY_FILE, TRIALS_FILE)  # in the order in which a reader must find them
PUSH_EVERY_S, PUSH_PATIENCE_S = 1.0, 5.0  # less than a lease lasts: the sender renews it, too
_mirrors: dict[Path, Mirror] = {}
_mirrors_lock = threading.Lock()
logger = logging.getLogger(__name__)


def local_out(place: str) -> Path:
    """Return the local folder of ``--out``: itself, or the local copy of a place in object storage, brought up to date.

    Raises:
        RefusedError: If the place cannot be opened.
    """
    if place.startswith("file://"):
        return Path(place.removeprefix("file://"))
    if "://" not in place:
        return Path(place)
    refuse_login(place)
    remote = RemoteFolder(place)
    remote.check()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "counterpoise" / "out"
    out = cache / hashlib.sha256(place.encode()).hexdigest()[:16]
    out.mkdir(parents=True, exist_ok=True)
    (out / REMOTE_FILE).write_text(place)
    for study in remote.folders():
        for sweep in (remote / study).folders():
            mirror = mirror_of(out / study / sweep)
            assert mirror is not None
            mirror.pull()
    return out


def refuse_login(place: str) -> None:
    """Raise `RefusedError` when a place in object storage is given with credentials."""
    if "://" in place and "@" in place.partition("?")[0]:
        raise RefusedError(
            f"{place.partition('://')[0]}://...@...: credentials in --out would be recorded. Leave them to the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or to the machine's role."
        )


def shown(path: Path) -> str:
    """Return a path as its user knows it: in object storage by its URI."""
    out = copied(path)
    if out is None:
        return str(path)
    return (
        remote_out(out).uri
        if path.resolve() == out
        else (remote_out(out) / path.resolve().relative_to(out)).uri
    )


def copied(path: Path) -> Path | None:
    """Return the local copy of a place in object storage in which a path lies, None when it lies in none."""
    path = path.resolve()
    return next((one for one in (path, *path.parents) if (one / REMOTE_FILE).exists()), None)


def remote_out(out: Path) -> RemoteFolder:
    """Return the place in object storage that ``out`` is a copy of."""
    return RemoteFolder((out / REMOTE_FILE).read_text())


def mirror_of(path: Path) -> Mirror | None:
    """Return the mirror of the sweep in whose folder a path lies, the same one in all threads; None without one."""
    out = copied(path)
    if out is None:
        return None
    study, sweep = path.resolve().relative_to(out).parts[:2]
    with _mirrors_lock:
        if out / study / sweep not in _mirrors:
            remote = replace(remote_out(out) / study / sweep, patience_s=PUSH_PATIENCE_S)
            _mirrors[out / study / sweep] = Mirror(out / study / sweep, remote)
        return _mirrors[out / study / sweep]


def bring(folder: Path) -> Path:
    """Fetch what object storage has of a sweep's trials, or of one, and this machine has not; return ``folder``."""
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.fetch(folder.resolve())
    return folder


class Mirror:
    """The local copy of a sweep's folder, and the folder in object storage.

    Args:
        folder: The local copy.
        remote: The sweep's folder in the store.
    """

    def __init__(self, folder: Path, remote: RemoteFolder) -> None:
        self.folder, self.remote = folder, remote
        self._lock = threading.RLock()
        self._waiting: deque[Callable[[], None]] = deque()
        noted = json.loads(read_bytes(folder / SYNCED_FILE) or b"{}")
        self._there = {name: Stamp(*stamp) for name, stamp in noted.get("there", {}).items()}
        self._here = {name: Stamp(*stamp) for name, stamp in noted.get("here", {}).items()}

    def pull(self) -> None:
        """Take the store's records, unless it has what was last sent from here."""
        with self._lock:
            found = {name: stamp for name, stamp in self.remote.files().items() if is_record(name)}
            if found == {name: stamp for name, stamp in self._there.items() if is_record(name)}:
                return
            for name in (*TABLES, OPTUNA_FILE):
                if name in found:
                    self.remote.fetch(name, self.folder / name)
                    self._here[name] = stamp_of(self.folder / name)
            segments = [self.remote.read(name) or b"" for name in sorted(found) if name.startswith(SEGMENT)]
            (self.folder / JOURNAL_FILE).unlink(missing_ok=True)
            if segments:
                (self.folder / JOURNAL_FILE).write_bytes(b"".join(segments))
            self._there = {name: stamp for name, stamp in self._there.items() if not is_record(name)} | found
            self._note()

    def fetch(self, below: Path) -> None:
        """Fetch the files of trials in and below a folder that are new in the store."""
        with self._lock:
            inside = below.relative_to(self.folder)
            for file, stamp in (self.remote / inside).files(recursive=True).items():
                name = str(inside / file)
                if not is_of_trial(name) or (
                    self._there.get(name) == stamp and (self.folder / name).exists()
                ):
                    continue
                self.remote.fetch(name, self.folder / name)
                self._there[name], self._here[name] = stamp, stamp_of(self.folder / name)
            self._note()

    def once_sent(self, call: Callable[[], None]) -> None:
        """Call this, from the sender's thread, when all that is recorded by now is in the store."""
        self._waiting.append(call)

    def push_records(self) -> None:
        """Send what is new in the records; in this order a reader finds every event, at whatever point this stops."""
        with self._lock:
            n_waiting = len(self._waiting)
            journal = read_bytes(self.folder / JOURNAL_FILE)  # first: what came before it, the tables have
            for name in TABLES:
                self._send(name)
            self._send(OPTUNA_FILE)
            name = f"{SEGMENT}{journal_id(journal)}-"
            for old in [one for one in self._there if one.startswith(SEGMENT) and not one.startswith(name)]:
                self.remote.delete(old)
                del self._there[old]
            sent = sum(stamp.size for one, stamp in self._there.items() if one.startswith(name))
            new = journal[sent : journal.rfind(b"\n") + 1]
            if new:
                segment = f"{name}{sent:012d}.jsonl"
                self._there[segment] = self.remote.write(segment, new)
            self._note()
            for _ in range(n_waiting):
                self._waiting.popleft()()

    def push_files(self) -> None:
        """Send every other file that is new: report, pictures, and what was taken over from another sweep."""
        with self._lock:
            for path in sorted(self.folder.rglob("*")):
                name = str(path.relative_to(self.folder))
                if path.is_file() and not is_record(name) and is_sent(path):
                    self._send(name)
            self._note()

    def drop_checkpoints(self, ended: Collection[Path]) -> None:
        """Delete the checkpoints of the trials in these folders, relative to the sweep's: they have done their work."""
        for name in self.remote.files(recursive=True):
            if Path(name).name == CHECKPOINT_FILE and Path(name).parent in ended:
                self.remote.delete(name)

    def _send(self, name: str) -> None:
        path = self.folder / name
        if not path.exists() or self._here.get(name) == stamp_of(path):
            return
        here = stamp_of(path)
        content = database_bytes(path) if name == OPTUNA_FILE else path.read_bytes()
        self._there[name] = self.remote.write(name, content)
        self._here[name] = here

    def _note(self) -> None:
        if self.folder.exists():
            partial = self.folder / f"{SYNCED_FILE}.partial"
            partial.write_text(json.dumps({"there": self._there, "here": self._here}))
            partial.replace(self.folder / SYNCED_FILE)


def is_record(name: str) -> bool:
    """Return whether a file of a sweep's folder is one of its records, as they lie in object storage."""
    return name in TABLES or name == OPTUNA_FILE or name.startswith(SEGMENT)


def is_sent(path: Path) -> bool:
    """Return whether a file belongs in the store: no note, nothing half written, no journal, no checkpoint."""
    return not (
        path.name.startswith(".") or path.name.endswith((".partial", "-wal", "-shm", "-journal"))
    ) and (path.name not in (JOURNAL_FILE, CHECKPOINT_FILE))


def is_of_trial(name: str) -> bool:
    """Return whether a file, relative to its sweep, is one that a trial left."""
    parts = Path(name).parts
    return len(parts) > 2 and parts[0] != REPORT_FOLDER and parts[-1] != CHECKPOINT_FILE


def stamp_of(path: Path) -> Stamp:
    """Return size and time of a local file."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, none when there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def database_bytes(path: Path) -> bytes:
    """Return an SQLite file as it is between two transactions, which the file itself may not be."""
    with closing(sqlite3.connect(path)) as database:
        return database.serialize()


def journal_id(journal: bytes) -> str:
    """Return the id in the first line of a journal."""
    first = journal.partition(b"\n")[0]
    try:
        return str(json.loads(first)["id"])
    except (ValueError, KeyError, TypeError):
        return "0"


class Sender(threading.Thread):
    """Sends new records and renews the lease until it is closed; the driver never waits for it.

    Args:
        mirror: What to send.
        lease: The right to do so.
    """

    def __init__(self, mirror: Mirror, lease: Lease) -> None:
        super().__init__(name="storage", daemon=True)
        self.mirror, self.lease, self.lost = mirror, lease, False
        self._closing = threading.Event()

    def run(self) -> None:
        """Send and renew; when another driver took the lease over, interrupt this one."""
        renewed = time.monotonic()
        while not self._closing.wait(PUSH_EVERY_S):
            try:
                if time.monotonic() - renewed > RENEW_EVERY_S:
                    renewed = time.monotonic()
                    self.lost = not self.lease.renew()
                if self.lost:
                    logger.error("another driver has taken sweep %s over", self.lease.name)
                    _thread.interrupt_main()
                    return
                self.mirror.push_records()
            except OSError as error:
                logger.warning("%s: %s; sent again later", self.mirror.remote.uri, first_line(error))

    def close(self) -> None:
        """Send what is left, unless the store is away, which `store` then says; give the lease back."""
        self._closing.set()
        self.join()
        if self.lost:
            return
        with suppress(OSError):
            self.mirror.push_records()
            self.lease.release()


@contextmanager
def mirrored(folder: Path) -> Iterator[None]:
    """Hold the lease of a sweep and send its records while the block runs; nothing for a sweep that lies here alone.

    Raises:
        RefusedError: If another driver writes the sweep, or the store cannot be written.
    """
    mirror = mirror_of(folder)
    if mirror is None:
        yield
        return
    lease = Lease(mirror.remote, folder.name)
    lease.acquire()
    mirror.pull()
    sender = Sender(mirror, lease)
    sender.start()
    try:
        yield
    finally:
        sender.close()


def flush(folder: Path) -> None:
    """Send the records of a sweep now, unless the store is away."""
    mirror = mirror_of(folder)
    if mirror is not None:
        with suppress(OSError):
            mirror.push_records()


def store(folder: Path, ended: Collection[Path]) -> str | None:
    """Send everything of a sweep to object storage that it has not got; call it with the sweep's lock held.

    Args:
        folder: Folder of the sweep.
        ended: Folders of its ended trials, relative to it, whose checkpoints have done their work.

    Returns:
        What went wrong, None if nothing, as where the sweep lies on this machine alone.
    """
    try:
        with mirrored(folder):
            mirror = mirror_of(folder)
            if mirror is not None:
                mirror.push_records()
                mirror.push_files()
                mirror.drop_checkpoints(ended)
    except (OSError, RefusedError) as error:
        return f"{shown(folder)}: {first_line(error)}"
    return None
