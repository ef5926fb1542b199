"""Contenders one after the other, each in its own fresh process, timed from its start to its end.

Interleaved (a b c a b c), so that a machine that slows down slows all of them. A run in which they did not end
with the same numbers is no comparison and raises.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workload import LOG_FILE, Done, Workload, make_job, read_done, write_job

ROOT = Path(__file__).parent.parent
# Nothing that needs a network, for every contender alike, and no cluster or store of the user's.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
DROPPED = ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "PYTHONPATH")
TAIL_LINES = 30
LIMIT_S = 1800.0  # a contender that hangs is a failure, not a slow one


class ContenderError(RuntimeError):
    """A contender's process that did not do its job."""


class DifferentWorkError(RuntimeError):
    """Contenders that ended with different numbers: their times cannot be compared."""


@dataclass(frozen=True)
class Timed:
    """One contender's run.

    Args:
        name: The contender.
        wall_s: Seconds from the start of its process to its end.
        done: What it did.
    """

    name: str
    wall_s: float
    done: Done

    @property
    def trial_s(self) -> float | None:
        """Mean seconds of training per trial, None where they are not known."""
        seconds = self.done.training_s.values()
        return sum(seconds) / len(seconds) if seconds else None

    @property
    def training_only_s(self) -> float | None:
        """Seconds of training spread evenly over the cores: what no driver can go below."""
        seconds = self.done.training_s.values()
        return sum(seconds) / (os.cpu_count() or 1) if seconds else None


def race(
    names: Sequence[str], workload: Workload, repeats: int, tell: Callable[[str], None]
) -> list[dict[str, Timed]]:
    """Run every contender ``repeats`` times, interleaved, and return the rounds.

    Args:
        names: The contenders, in the order of a round.
        workload: What they do.
        repeats: Number of rounds.
        tell: Takes a line after each run.

    Raises:
        ContenderError: If a contender failed.
        DifferentWorkError: If two did different work.
    """
    rounds: list[dict[str, Timed]] = []
    for number in range(1, repeats + 1):
        one: dict[str, Timed] = {}
        for name in names:
            one[name] = run_contender(name, workload)
            tell(f"round {number}/{repeats}  {line(one[name])}")
        rounds.append(one)
        refuse_different_work([*rounds[0].values(), *one.values()], workload)
    return rounds


def line(run: Timed) -> str:
    """Return one run as text: its seconds, and those of training where they are known."""
    trained = ""
    if run.trial_s is not None and run.training_only_s is not None:
        trained = f", of it training {run.training_only_s:.1f} s per core ({run.trial_s:.2f} s per trial)"
    return f"{run.name:<6} {run.wall_s:7.1f} s{trained}"


def run_contender(name: str, workload: Workload) -> Timed:
    """Run one contender in a fresh process and a fresh folder, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"bench_{name}_") as temporary:
        folder = Path(temporary)
        write_job(make_job(workload, folder))
        environment = {key: value for key, value in os.environ.items() if key not in DROPPED} | QUIET
        command = [sys.executable, "-m", "benchmarks.contender", name, str(folder)]
        with (folder / LOG_FILE).open("w") as log:
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            status = wait(process)
            wall_s = time.perf_counter() - started
        if status != 0:
            ended = f"took more than {LIMIT_S:g} s" if status is None else f"ended with status {status}"
            tail = "\n".join((folder / LOG_FILE).read_text().splitlines()[-TAIL_LINES:])
            raise ContenderError(f"Contender {name} {ended}:\n{tail}")
        return Timed(name, wall_s, read_done(folder))


def wait(process: subprocess.Popen[bytes], limit_s: float = LIMIT_S) -> int | None:
    """Return the status of the process, None when it had to be killed at ``limit_s``."""
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        process.kill()
        process.wait()


def refuse_different_work(runs: Sequence[Timed], workload: Workload) -> None:
    """Raise `DifferentWorkError` unless all runs trained the same trials to the same bits."""
    first = runs[0]
    for run in runs:
        if len(run.done.losses) != workload.n_trials:
            raise DifferentWorkError(
                f"{run.name} trained {len(run.done.losses)} trials, the workload has {workload.n_trials}."
            )
        for what in ("losses", "epochs"):
            refuse_different(what, first, run, getattr(first.done, what), getattr(run.done, what))


def refuse_different(
    what: str, first: Timed, other: Timed, wanted: Mapping[str, float], found: Mapping[str, float]
) -> None:
    """Raise `DifferentWorkError` with the first trial in which two runs differ."""
    for label in sorted({*wanted, *found}):
        if wanted.get(label) != found.get(label):
            raise DifferentWorkError(
                f"{what} of {label}: {first.name} has {wanted.get(label)!r}, {other.name} {found.get(label)!r}. "
                "They did different work, so their times say nothing."
            )
