"""What the records under a folder say: sweeps, and the trials of one sweep."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from sweeps.records import SWEEP_FILE, read_records


def sweep_folders(out: Path) -> list[Path]:
    """Return the folders of all sweeps under ``out``, the one written to last at the end."""
    found = out.glob(f"*/*/{SWEEP_FILE}")
    return [path.parent for path in sorted(found, key=lambda path: (path.stat().st_mtime, str(path)))]


def sweep_rows(out: Path) -> list[dict[str, Any]]:
    """Return one row per sweep: name, states, epochs, when it began."""
    rows = []
    for folder in sweep_folders(out):
        records = read_records(folder)
        states = Counter(trial.state for trial in records.trials.values())
        rows.append(
            {
                "study": records.sweep["study"]["name"],
                "sweep": folder.name,
                "trials": len(records.trials),
                "states": ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
                "epochs": sum(trial.n_epochs for trial in records.trials.values()),
                "started": records.sweep.get("provenance", {}).get("started_at", ""),
            }
        )
    return rows


def trial_rows(folder: Path) -> list[dict[str, Any]]:
    """Return one row per trial of a sweep, with the first line of its error."""
    trials = read_records(folder).trials.values()
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


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return rows with equal keys as a table."""
    table = Table(box=None, header_style="dim")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    return table
