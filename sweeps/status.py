"""What the records under a folder say: sweeps, and the trials of one sweep."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from search_spaces.domains import did_you_mean
from search_spaces.errors import RefusedError
from sweeps.records import read_sweep, read_trial_rows
from sweeps.storage import shown
from trainables.trial_spec import SWEEP_FILE


def sweep_folders(out: Path) -> list[Path]:
    """Return the folders of all sweeps under ``out``, the one written to last at the end."""
    found = out.glob(f"*/*/{SWEEP_FILE}")
    return [path.parent for path in sorted(found, key=lambda path: (path.stat().st_mtime, str(path)))]


def find_sweep(out: Path, name: str) -> Path:
    """Return the folder of a sweep: by path, by id or its beginning, or the latest of a study.

    Raises:
        RefusedError: If nothing under ``out`` is called so, or several are.
    """
    if (Path(name) / SWEEP_FILE).exists():
        return Path(name)
    folders = sweep_folders(out)
    of_study = [folder for folder in folders if folder.parent.name == name]
    by_id = [folder for folder in folders if folder.name.startswith(name)]
    if of_study or len(by_id) == 1:
        return (of_study or by_id)[-1]
    if len(by_id) > 1:
        raise RefusedError(f"{name!r} begins {len(by_id)} sweeps. Write more of the id; see `sweeps status`.")
    known = [*{folder.parent.name for folder in folders}, *(folder.name for folder in folders)]
    raise RefusedError(
        f"No sweep {name!r} under {shown(out)}.{did_you_mean(name, known)} See `sweeps status --out {shown(out)}`."
    )


def sweep_rows(out: Path) -> list[dict[str, Any]]:
    """Return one row per sweep: name, states, epochs, when it began."""
    return [sweep_row(folder) for folder in sweep_folders(out)]


def sweep_row(folder: Path) -> dict[str, Any]:
    """Return the row of one sweep; one that cannot be read says so and hides no other."""
    row: dict[str, Any] = {"study": folder.parent.name, "sweep": folder.name}
    try:
        trials = read_trial_rows(folder).values()
        started = read_sweep(folder).get("provenance", {}).get("started_at", "")
    except RefusedError as error:
        return row | {"trials": 0, "states": f"unreadable: {error}", "epochs": 0, "started": ""}
    states = Counter(trial.state for trial in trials)
    listed = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    n_epochs = sum(trial.n_epochs for trial in trials)
    return row | {"trials": len(trials), "states": listed, "epochs": n_epochs, "started": started}


def trial_rows(folder: Path) -> list[dict[str, Any]]:
    """Return one row per trial of a sweep, with the first line of its error."""
    trials = read_trial_rows(folder).values()
    return [
        {
            "cell": trial.cell,
            "seed": trial.seed,
            "state": trial.state,
            "epochs": trial.n_epochs,
            "wall_s": round(trial.wall_s, 1),
            "error": (trial.error or "").split("\n")[0],
            "trial_id": trial.trial_id,
        }
        for trial in trials
    ]


LONGEST = 160  # characters of an entry in a table; --json has all


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return rows with equal keys as a table; what is long is cut."""
    table = Table(box=None, header_style="dim")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(textwrap.shorten(str(value), LONGEST, placeholder=" …") for value in row.values()))
    return table
