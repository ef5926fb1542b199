"""Runs many drivers at once, each a process of its own, forked when everything they need is imported.

    python many_drivers.py DRIVERS.json        # a list of [arguments of `sweeps`, environment, log file]

Importing is most of what a driver of a few trials computes. Ray stays out: drivers that are forked after its import
draw the same random ids for their objects. Prints the exit statuses as JSON.
"""

import importlib
import json
import os
import sys
from pathlib import Path

IMPORTED = (
    *("sweeps.reporting", "sweeps.access", "mlflow.store.tracking.sqlalchemy_store"),
    *("analysis.report", "analysis.verdict_text", "analysis.curves", "matplotlib.backends.backend_agg"),
)


def forked(arguments: list[str], environment: dict[str, str], log: str) -> int:
    """Start one driver and return its process id."""
    from sweeps.commands import run_cli

    pid = os.fork()
    if pid:
        return pid
    os.environ.update(environment)
    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    status = 1
    try:
        status = run_cli(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    drivers = [forked(*driver) for driver in json.loads(Path(sys.argv[1]).read_text())]
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in drivers]))
