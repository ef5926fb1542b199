"""The process of one contender: ``python -m benchmarks.contender NAME FOLDER``.

Reads the job in FOLDER, does it, leaves the answer there. Its life is what the benchmark times, so it imports
the contender alone.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmarks.workload import read_job, write_done

CONTENDERS = ("ours", "stock", "pure")


def main(name: str, folder: Path) -> None:
    """Do the job in ``folder`` as contender ``name``."""
    done = importlib.import_module(f"benchmarks.{name}").run(read_job(folder))
    write_done(done, folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
