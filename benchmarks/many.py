"""The command ``python -m benchmarks.many``: does a trial cost as much in a sweep of 10,000 as in one of 100?

Every sweep runs in a process and a folder of its own. The largest one runs once more, is killed by SIGKILL at half
and started again, which shows what a resume costs and that nothing is trained twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.many_trials import MEASURED_FILE
from benchmarks.race import DROPPED, QUIET, ROOT, TAIL_LINES, wait
from benchmarks.results import describe_machine
from sweeps.records import SWEEP_FILE, read_trial_rows

RESULTS = Path(__file__).parent / "results" / "many.json"
SIZES = "100,1000,10000"
LOG_FILE = "driver.log"
LIMIT_S = 3600.0
Measures = dict[str, Any]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--sizes", default=SIZES, show_default=True, help="Trials of the sweeps.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Kill and resume the largest.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Results file.")
def main(sizes: str, resume: bool, out: Path) -> None:
    r"""Measure what everything but training costs per trial, by the size of the sweep.

    \b
    python -m benchmarks.many                                   some fifteen minutes on two cores
    python -m benchmarks.many --sizes 100,300 --no-resume       a minute; nothing is written

    Exit status: 0 measured; 1 a sweep failed, or trained a trial twice.
    """
    machine, runs = describe_machine(), []
    for n_trials in map(int, sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="many_") as folder:
            runs.append(whole(Path(folder), n_trials))
        click.echo(line(runs[-1]))
    resumed = None
    if resume:
        with tempfile.TemporaryDirectory(prefix="many_") as folder:
            resumed = killed_and_resumed(Path(folder), runs[-1]["n_trials"])
        click.echo(f"killed after {resumed['recorded']} trials and run again: {line(resumed)}")
    if sizes == SIZES and resumed is not None:
        content = {
            "machine": {**machine, "load_at_end": round(os.getloadavg()[0], 2)},
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "runs": runs,
            "resumed": resumed,
        }
        out.write_text(json.dumps(content, indent=2) + "\n")
        click.echo(f"written to {out}")


def whole(folder: Path, n_trials: int) -> Measures:
    """Run one sweep from its beginning to its end."""
    return finish(start(folder, n_trials), folder)


def killed_and_resumed(folder: Path, n_trials: int) -> Measures:
    """Kill a sweep when half of its trials are recorded, run it again, and return what the second start took.

    Raises:
        ClickException: If it trained what was recorded.
    """
    process = start(folder, n_trials)
    while n_recorded(folder) < n_trials // 2:
        if process.poll() is not None:
            raise click.ClickException(f"the sweep ended before it could be killed:\n{tail(folder)}")
        time.sleep(0.5)
    process.kill()
    process.wait()
    recorded = n_recorded(folder)
    measured = whole(folder, n_trials)
    if measured["trained"] != n_trials - recorded:
        raise click.ClickException(f"{measured['trained']} trained, {n_trials - recorded} were left")
    return {"recorded": recorded, **measured}


def n_recorded(folder: Path) -> int:
    """Return how many trials have ended, by the records."""
    states: Counter[str] = Counter()
    for sweep in folder.glob(f"*/*/{SWEEP_FILE}"):
        states.update(row.state for row in read_trial_rows(sweep.parent).values())
    return states["complete"]


def start(folder: Path, n_trials: int) -> subprocess.Popen[bytes]:
    """Start the process of a sweep."""
    environment = {key: value for key, value in os.environ.items() if key not in DROPPED} | QUIET
    command = [sys.executable, "-m", "benchmarks.many_trials", str(folder), str(n_trials)]
    command.append(str(time.time() * 1000))
    with (folder / LOG_FILE).open("w") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def finish(process: subprocess.Popen[bytes], folder: Path) -> Measures:
    """Wait for the process of a sweep and return what it took.

    Raises:
        ClickException: If it failed, or MLflow has not got everything.
    """
    if wait(process, LIMIT_S) != 0:
        raise click.ClickException(f"the sweep failed:\n{tail(folder)}")
    measured: Measures = json.loads((folder / MEASURED_FILE).read_text())
    if measured["unsent"]:
        raise click.ClickException(f"not everything is where it belongs: {measured['unsent']}")
    return measured


def tail(folder: Path) -> str:
    """Return the last lines that the sweep printed."""
    return "\n".join((folder / LOG_FILE).read_text().splitlines()[-TAIL_LINES:])


def line(run: Measures) -> str:
    """Return one run as text."""
    grown = run["rss_mb"][-1] - run["rss_mb"][0]
    return (
        f"{run['trained']:>6} trials: {run['trial_ms']:5.1f} ms each, +{grown:.0f} MB; first after "
        f"{run['startup_s']:.1f} s, MLflow {run['drain_s']:.1f} s behind ({run['mlflow_trial_ms']:.1f} ms each alone), "
        f"report {run['report_s']:.1f} s, publishing it {run['publish_s']:.1f} s, plan {run['plan_s']:.2f} s"
    )


if __name__ == "__main__":
    main()
