"""Sweeps as jobs of a Ray cluster: sent, followed and ended through its Jobs API.

A job is named ``<study>-<sweep>-<attempt>``, so that everybody who asks the same question meets the same job, and a
further attempt takes up what the earlier ones left under the same ``--out``. The cluster keeps all that is known of
jobs; nothing is kept here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient, JobType

from search_spaces.domains import did_you_mean
from search_spaces.errors import RefusedError, first_line
from sweeps.sealed import OPENER, SEALED

DEFAULT_ADDRESS = (
    "http://127.0.0.1:8265"  # where `ray dashboard` and `kubectl port-forward` bring a cluster's
)
ANSWER_S = 15.0  # a cluster that has not answered by then is not there
LOST_S = 300.0  # for so long a job that is followed may be out of reach
STOP_S = 300  # what the end of a sweep may take, its report included; Ray itself would give it 3
INSTALL_S = 3600  # what installing the packages may take
LOOK_EVERY_S = 0.5
TAIL_LINES = 20
ADDRESS = "RAY_API_SERVER_ADDRESS"
JOB_FACTS = ("study", "sweep_id", "out")  # what the cluster notes of a job that is a sweep
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Job:
    """A sweep to send.

    Args:
        study: Name of the study.
        sweep_id: The sweep.
        out: Where the cluster keeps results.
        arguments: Of ``sweeps run`` on the cluster.
        sealed: Environment variables, sealed by `sweeps.sealed`; None when there are none.
        packages: What is to be installed first; nothing to take what the nodes have.
    """

    study: str
    sweep_id: str
    out: str
    arguments: tuple[str, ...]
    sealed: str | None = None
    packages: list[str] = field(default_factory=list)

    @property
    def sweep(self) -> tuple[str, str]:
        """Study and sweep, with which the names of its attempts begin."""
        return self.study, self.sweep_id

    def runtime_env(self, folder: Path) -> dict[str, Any]:
        """Return the environment in which Ray runs it, ``folder`` being its working directory."""
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}
        environment: dict[str, Any] = {"working_dir": str(folder), "env_vars": variables}
        if self.sealed:
            variables[SEALED] = self.sealed
            environment["worker_process_setup_hook"] = OPENER
        if self.packages:
            environment["pip"] = {"packages": self.packages}
            environment["config"] = {"setup_timeout_seconds": INSTALL_S}
        return environment


@dataclass(frozen=True)
class Cluster:
    """A cluster that was found and lets us in.

    Args:
        client: Of its Jobs API.
        given: Its address, if the command line gave it.
    """

    client: JobSubmissionClient
    given: str | None

    def command(self, *words: str) -> str:
        """Return a command line about this cluster, for a message."""
        return f"`{shlex.join(['sweeps', *words, *(['--address', self.given] if self.given else [])])}`"

    def jobs(self) -> list[JobDetails]:
        """Return the jobs that are sweeps, the latest one last."""
        found = [one for one in self.client.list_jobs() if one.type == JobType.SUBMISSION]
        ours = [one for one in found if set(JOB_FACTS) <= set(one.metadata or {})]
        return sorted(ours, key=lambda one: one.start_time or 0)

    def find(self, name: str) -> str:
        """Return the name of a job: itself, or of those whose names begin so the running one, else the latest.

        Raises:
            RefusedError: If there is none, or several are running.
        """
        jobs = {str(one.submission_id): one for one in self.jobs()}
        found = [name] if name in jobs else [one for one in jobs if one.startswith(name)]
        running = [one for one in found if not jobs[one].status.is_terminal()]
        if len(running) > 1:
            raise RefusedError(
                f"{name!r} begins {len(running)} jobs: {', '.join(running)}. Write more of the name."
            )
        if not found:
            known = did_you_mean(name, list(jobs))
            raise RefusedError(f"The cluster has no job {name!r}.{known} See {self.command('jobs')}.")
        return (running or found)[-1]

    def submit(self, job: Job, folder: Path) -> str:
        """Start an attempt at a sweep and return the name of its job.

        Args:
            job: The sweep.
            folder: What it brings along.

        Raises:
            RefusedError: If a job is at this sweep, or the cluster does not take it.
        """
        earlier = [
            one for one in self.jobs() if (one.metadata["study"], one.metadata["sweep_id"]) == job.sweep
        ]
        for one in earlier:
            if one.metadata["out"] == job.out and not one.status.is_terminal():
                raise self.busy(str(one.submission_id))
        attempts = [int(one.submission_id.rpartition("-")[2]) for one in earlier]
        name = "-".join((*job.sweep, str(1 + max(attempts, default=0))))
        try:
            self.client.submit_job(
                entrypoint=f"exec {shlex.join(['python', '-m', 'sweeps', 'run', *job.arguments])}",
                submission_id=name,
                runtime_env=job.runtime_env(folder),
                metadata=dict(zip(JOB_FACTS, (*job.sweep, job.out), strict=True)),
            )
        except (RuntimeError, ValueError, OSError) as error:
            if "already exists" in str(error):  # somebody was faster by a moment
                raise self.busy(name) from error
            raise RefusedError(f"The cluster does not take the job: {first_line(error)}") from error
        return name

    def busy(self, name: str) -> RefusedError:
        """Return why a second job at the same sweep is refused."""
        follow, stop = self.command("jobs", name, "--follow"), self.command("stop", name)
        return RefusedError(f"Job {name} is at this sweep. Follow it with {follow}, or end it with {stop}.")

    def follow(self, name: str, show: Callable[[str], None]) -> JobDetails:
        """Show the log of a job from its beginning until it has ended, and return how it did.

        Args:
            name: The job.
            show: Takes pieces of the log.

        Raises:
            RefusedError: If the cluster is out of reach for longer than `LOST_S`.
        """
        shown, reached = 0, time.monotonic()
        while True:
            try:
                details = self.client.get_job_info(name)
                reached = time.monotonic()
                shown = asyncio.run(self.show_log(name, shown, show))
                if details.status.is_terminal():  # already before its log was read to the end
                    return details
            except (OSError, RuntimeError, aiohttp.ClientError) as error:
                if time.monotonic() - reached > LOST_S:
                    again = self.command("jobs", name, "--follow")
                    raise RefusedError(
                        f"The cluster is out of reach: {first_line(error)}. The job may go on; see {again}."
                    ) from error
            time.sleep(LOOK_EVERY_S)

    async def show_log(self, name: str, shown: int, show: Callable[[str], None]) -> int:
        """Show what follows the first ``shown`` characters of a job's log; return how many there were at its end."""
        seen = 0
        async for text in self.client.tail_job_logs(name):
            seen += len(text)
            if seen > shown:
                show(text[shown - seen :])
                shown = seen
        return shown

    def stop(self, name: str) -> JobDetails:
        """End a job as Ctrl-C would, wait for its end, and return how it ended.

        Raises:
            RefusedError: If the cluster cannot end it, or it is still there when the time for it is over.
        """
        try:
            self.client.stop_job(name)
        except RuntimeError as error:
            raise RefusedError(f"The cluster does not end job {name} now: {first_line(error)}") from error
        until = time.monotonic() + STOP_S + ANSWER_S
        while not (details := self.client.get_job_info(name)).status.is_terminal():
            if time.monotonic() > until:
                raise RefusedError(f"Job {name} does not end. See {self.command('jobs', name)}.")
            time.sleep(LOOK_EVERY_S)
        return details

    def log_tail(self, name: str) -> str:
        """Return the last lines of a job's log."""
        try:
            return "\n".join(self.client.get_job_logs(name).splitlines()[-TAIL_LINES:])
        except RuntimeError as error:  # its node is gone
            return f"The log of {name} is out of reach: {first_line(error)}"


def connect(given: str | None) -> Cluster:
    """Return the cluster whose Jobs API is at an address.

    Args:
        given: The address; None to take that of Ray's variables, else `DEFAULT_ADDRESS`.

    Raises:
        RefusedError: If nobody answers there, or the token is not accepted.
    """
    for name in (
        "dashboard.modules.dashboard_sdk",
        "dashboard.modules.job.sdk",
        "_private.runtime_env.packaging",
    ):
        logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)
    address = given or os.environ.get(ADDRESS) or os.environ.get("RAY_ADDRESS") or DEFAULT_ADDRESS
    if "@" in address:
        raise RefusedError(
            "--address holds a login, which would be shown. Ray takes a token: RAY_AUTH_TOKEN."
        )
    os.environ[ADDRESS] = address  # which Ray prefers to what it is given
    return Cluster(asking(address, lambda: within(ANSWER_S, lambda: JobSubmissionClient(address))), given)


def asking(address: str, call: Callable[[], Answer]) -> Answer:
    """Return what a call of the cluster gives, or raise `RefusedError` with why it gives nothing."""
    try:
        return call()
    except AuthenticationError as error:
        raise RefusedError(
            f"The cluster at {address} does not let you in: {str(error).splitlines()[0].split('. ')[0]}. "
            "Set RAY_AUTH_MODE=token and its token by RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise RefusedError(
            f"No Ray cluster answers at {address}: {first_line(error).rstrip('.')}. Give the address of its dashboard, "
            "such as http://HEAD:8265, by --address or RAY_API_SERVER_ADDRESS."
        ) from error


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return what ``call`` returns, or raise `TimeoutError`: Ray itself waits for ever."""
    answers: list[Answer] = []
    problems: list[BaseException] = []

    def ask() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again below
            problems.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if problems:
        raise problems[0]
    if not answers:
        raise TimeoutError(f"no answer in {seconds:g} s")
    return answers[0]


def exit_status(details: JobDetails) -> int:
    """Return the exit status of a job's sweep: that of its process; 1 when it was ended, 2 when it never began."""
    if details.status == JobStatus.SUCCEEDED:
        return 0
    if details.driver_exit_code in (1, 2):
        return int(details.driver_exit_code)
    return 1 if details.driver_agent_http_address else 2


def row_of(details: JobDetails) -> dict[str, Any]:
    """Return what is shown of a job."""
    ended = details.status.is_terminal()
    return {
        "job": details.submission_id,
        "state": str(details.status.value),
        "exit": exit_status(details) if ended else None,
        "started": time_text(details.start_time),
        "ended": time_text(details.end_time) if ended else None,
        "out": details.metadata["out"],
    }


def time_text(milliseconds: int | None) -> str | None:
    """Return a time of Ray's in UTC."""
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def ailment(details: JobDetails, log: str) -> str | None:
    """Return why a job failed when it is no matter of the sweep's, and the way out; None otherwise."""
    missing = re.search(r"ModuleNotFoundError: No module named '([^']+)'", log)
    if details.status == JobStatus.FAILED and missing:
        return (
            f"The cluster lacks the package {missing[1]}. Submit with --install, or install it on the nodes."
        )
    if exit_status(details) == 2 and details.driver_exit_code is None:
        return f"The job could not start: {details.message or 'Ray says no more'}".splitlines()[0]
    return None
