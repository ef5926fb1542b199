"""``sweeps compare``: sweeps side by side: what changed in the question, and which differences are real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from search_spaces.errors import RefusedError
from sweeps.options import OUT, OutType, json_option
from sweeps.terminal import console

if TYPE_CHECKING:  # the analysis is imported when there is something to compare
    from analysis.comparison import Comparison


@click.command("compare", short_help="What differs between sweeps, and really.")
@click.argument("sweeps", nargs=-1, required=True)
@click.option("--results", type=OutType(), default=OUT, show_default=True, help="Folder of all results.")
@click.option(
    "--out",
    "target",
    type=click.Path(path_type=Path),
    help="Where to write. [default: comparison/ beside the records of the last sweep]",
)
@json_option
def compare(sweeps: tuple[str, ...], results: Path, target: Path | None, as_json: bool) -> None:
    """Hold sweeps against the first one: what changed, which cells they share, which differences are real.

    Each is an id from `sweeps status`, a study, of which the latest sweep is taken, or a folder of records. Writes
    comparison.html and comparison.json.

    \b
    sweeps compare 7f3a2c91d0 compare_globals_heads     an earlier sweep, and the latest of a study
    sweeps compare lvm_losses lvm_fix --out /tmp/both   two studies
    sweeps compare /data/run1 /data/run2 /data/run3     folders of records

    Exit status: 0 compared, whatever was found; 2 refused.
    """
    from analysis.comparison_page import comparison_text, write_comparison
    from sweeps.status import find_sweep

    folders = [find_sweep(results, name) for name in sweeps]
    refuse_twice(folders, sweeps)
    found = comparison_of(folders)
    page = write_comparison(found, target or folders[-1] / "comparison")
    if as_json:
        click.echo((page.parent / "comparison.json").read_text())
    else:
        console().print(comparison_text(found, page))


def refuse_twice(folders: list[Path], names: tuple[str, ...]) -> None:
    """Raise `RefusedError` when two of the names mean one folder."""
    seen: dict[Path, str] = {}
    for folder, name in zip(folders, names, strict=True):
        if folder.resolve() in seen:
            raise RefusedError(
                f"{name!r} and {seen[folder.resolve()]!r} are both the sweep in {folder}. Name another; see "
                "`sweeps status`."
            )
        seen[folder.resolve()] = name


def comparison_of(folders: list[Path]) -> Comparison:
    """Return the sweeps in these folders side by side, named by their ids where those differ, else by folder."""
    from analysis.comparison import compare as side_by_side
    from analysis.load import load_table
    from sweeps.records import read_records

    tables = [load_table(read_records(folder)) for folder in folders]
    ids = [table.sweep_id for table in tables]
    distinct = len(set(ids)) == len(ids) and all(ids)
    return side_by_side(tables, ids if distinct else [str(folder) for folder in folders])
