"""Real servers of a test's own on loopback: an MLflow server, and PostgreSQL from the system's packages."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when a server answers; fail with the end of its log when it ends, or takes too long."""
    deadline = time.monotonic() + 120
    while True:
        try:
            urlopen(url, timeout=2).close()
            return
        except (URLError, OSError):
            waiting = process.poll() is None and time.monotonic() < deadline
            assert waiting, log.read_text()[-3000:]
            time.sleep(0.2)


@contextmanager
def serving(command: list[str], url: str, log: Path, **environment: str) -> Iterator[str]:
    """Run a server with its log in a file until the block ends."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, env={**os.environ, **environment}
        )
    try:
        wait_for(f"{url}/health", process, log)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


@contextmanager
def tracking_server(folder: Path, port: int) -> Iterator[str]:
    """Run an MLflow server over SQLite, without a login, until the block ends."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--host", "127.0.0.1"]
    command += ["--artifacts-destination", str(folder / "served")]
    with serving(command, f"http://127.0.0.1:{port}", folder / "server.log") as url:
        yield url


class Postgres:
    """A PostgreSQL in a folder of its own, with a password; as root it runs as the user ``postgres``."""

    password = "planted-database-password"

    def __init__(self) -> None:
        if POSTGRES is None and not os.environ.get("CI"):
            pytest.skip("no PostgreSQL: install the package postgresql")
        assert POSTGRES is not None, "CI installs PostgreSQL"
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's own folders are closed to other users
        self.login = ("-h", "127.0.0.1", "-p", str(free_port()), "-U", "mlflow")
        (self.folder / "password").write_text(self.password)
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        logins = ("-U", "mlflow", "-A", "scram-sha-256", "--pwfile=password")
        self.run("initdb", "-D", "data", "-E", "UTF8", "--no-sync", *logins)
        self.start()

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of PostgreSQL's and return what it prints."""
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        environment = {"PGPASSWORD": self.password, "PATH": os.environ["PATH"], "LC_ALL": "C"}
        command = [str(POSTGRES / program), *arguments]
        result = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, **user
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def start(self) -> None:
        """Come up, or up again."""
        options = f"-p {self.login[3]} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", options)

    def stop(self) -> None:
        """Go down at once, whoever is connected."""
        self.run("pg_ctl", "stop", "-w", "-D", "data", "-m", "fast")

    def create(self, database: str) -> str:
        """Make a database and return its URI, with the password."""
        self.run("createdb", *self.login, database)
        return f"postgresql://mlflow:{self.password}@127.0.0.1:{self.login[3]}/{database}"

    def close(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)
