"""The chaos suite from the command line: ``python -m tests.chaos --sweeps 20``."""

import sys
from pathlib import Path

import click

from tests.chaos.chaos import main


@click.command()
@click.option("--sweeps", "n_sweeps", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of the first sweep; each has its own.")
@click.option("--results", type=click.Path(path_type=Path), help="Write what happened as JSON.")
def run(n_sweeps: int, seed: int, results: Path | None) -> None:
    """Run sweeps under random faults and say which promises were broken."""
    sys.exit(main(n_sweeps, seed, results))


if __name__ == "__main__":
    run()
