"""The right to write a sweep in object storage, which has no locks: an object that is renewed while its holder lives.

No clocks are compared: a lease is taken over when it was not renewed for `LEASE_S` seconds while one watched. Two that
take it over in the same instant find out a second later, by reading it again.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

from search_spaces.errors import RefusedError, first_line
from trainables.remote import RemoteFolder

LEASE_FILE = ".lease"  # in the sweep's folder in the store
RENEW_EVERY_S, LOOK_AGAIN_S, LEASE_S = 5.0, 1.0, 60.0


class Lease:
    """The right to write one sweep.

    Args:
        remote: The sweep's folder in the store.
        name: Name of the sweep, for messages.
    """

    def __init__(self, remote: RemoteFolder, name: str) -> None:
        self.remote, self.name = remote, name
        self._mine = {"holder": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._beats = 0

    def acquire(self) -> None:
        """Take the lease.

        Raises:
            RefusedError: If another driver holds it, or the store does not take it.
        """
        try:
            found = self.remote.read(LEASE_FILE)
            if found is not None and not is_ours_and_dead(found):
                self._wait_for_its_end(found)
            self._write()
            time.sleep(LOOK_AGAIN_S)
            self._refuse_unless_mine()
        except OSError as error:
            raise RefusedError(
                f"{self.remote.uri} cannot be written: {first_line(error)}. Check the credentials, or choose "
                "another --out."
            ) from error

    def renew(self) -> bool:
        """Renew the lease; return False when another driver has taken it over."""
        found = self.remote.read(LEASE_FILE)
        if found is not None and json.loads(found)["holder"] != self._mine["holder"]:
            return False
        self._write()
        return True

    def release(self) -> None:
        """Give the lease back."""
        if self.renew():
            self.remote.delete(LEASE_FILE)

    def _write(self) -> None:
        self._beats += 1
        self.remote.write(LEASE_FILE, json.dumps({**self._mine, "beats": self._beats}).encode())

    def _wait_for_its_end(self, found: bytes) -> None:
        watched = time.monotonic()
        while time.monotonic() - watched < LEASE_S:
            time.sleep(LOOK_AGAIN_S)
            now = self.remote.read(LEASE_FILE)
            if now is None:
                return
            if now != found:
                raise self._refusal(now)

    def _refuse_unless_mine(self) -> None:
        now = self.remote.read(LEASE_FILE)
        if now is None or json.loads(now)["holder"] != self._mine["holder"]:
            raise self._refusal(now)

    def _refusal(self, found: bytes | None) -> RefusedError:
        holder: dict[str, Any] = json.loads(found) if found else {}
        return RefusedError(
            f"Sweep {self.name} is being run by process {holder.get('pid')} on {holder.get('host')}. "
            "Wait for it, or end it; then run this again."
        )


def is_ours_and_dead(lease: bytes) -> bool:
    """Return whether a lease is that of a process on this machine that is no more."""
    holder = json.loads(lease)
    return holder["host"] == socket.gethostname() and not Path(f"/proc/{holder['pid']}").exists()
