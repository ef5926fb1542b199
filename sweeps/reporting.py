"""From records to what people look at: the report of a sweep, and its copy in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from search_spaces.domains import did_you_mean
from search_spaces.errors import RefusedError
from sweeps.plan import folder_name
from sweeps.records import HISTORY_FILE, SWEEP_FILE, TRIALS_FILE, Records, TrialRow, read_records
from sweeps.status import sweep_folders
from sweeps.tracking import RUN_STATUS, MlflowStore, Pending
from trainables.families import FamilyError, load_family

REPORT_FOLDER = "report"
TRIAL_FIGURES = ("losses.png", "recon.png")


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
        f"No sweep {name!r} under {out}.{did_you_mean(name, known)} See `sweeps status --out {out}`."
    )


def write_sweep_report(folder: Path, console: Console, *, redraw: bool, out: Path | None = None) -> Path:
    """Print the verdicts of a sweep and write its report; return the path of ``report.html``.

    Args:
        folder: Folder of records.
        console: Where the verdicts are printed.
        redraw: Whether to draw again when a report is there already.
        out: Folder of the report, beside the records when None.
    """
    from analysis.answer import answer
    from analysis.load import load_table
    from analysis.report import Report, write_report
    from analysis.verdict_text import report_text

    records = read_records(folder)
    target = out or folder / REPORT_FOLDER
    if redraw or not (target / "report.html").exists():
        report = write_report(records, target)
        draw_trials(records, folder)
    else:
        report = Report(answer(load_table(records)), target, tuple(files_under(target)))
    console.print(report_text(report))
    return report.html


def draw_trials(records: Records, folder: Path) -> None:
    """Draw ``losses.png`` and ``recon.png`` of every finished trial that has no pictures yet."""
    from analysis.curves import draw_trial_losses

    for row in records.trials.values():
        figures = trial_folder(folder, row) / "figures"
        if not figures.parent.is_dir() or all((figures / name).exists() for name in TRIAL_FIGURES):
            continue
        figures.mkdir(exist_ok=True)
        draw_trial_losses(
            records.epochs_of(row.trial_id), figures / "losses.png", f"{row.cell} seed {row.seed}"
        )
        draw_examples(records, figures)


def draw_examples(records: Records, figures: Path) -> None:
    """Let the family draw what a trial kept for its picture, where both can be had."""
    kept = figures.parent / "examples.npz"
    if not kept.exists():
        return
    try:
        family = load_family(str(records.sweep.get("family", records.sweep["study"]["family"])))
    except FamilyError:
        return  # records from elsewhere are reported without the family's code
    with np.load(kept, allow_pickle=False) as arrays:
        family.draw_examples(dict(arrays), figures / "recon.png")


def trial_folder(folder: Path, row: TrialRow) -> Path:
    """Return the folder of a trial's files."""
    return folder / folder_name(row.cell) / f"seed_{row.seed}"


def publish(folder: Path, uri: str, *, changed: bool) -> str | None:
    """Send a sweep to MLflow: trials it has not got, tables and report; return what went wrong, None if nothing.

    Args:
        folder: Folder of the sweep.
        uri: Tracking URI.
        changed: Whether tables, report and pictures are new since the last time.
    """
    records = read_records(folder)
    try:
        store = MlflowStore(uri, records.sweep, folder.parent.parent)
        for row in records.trials.values():
            if row.state in RUN_STATUS and store.is_behind(row):
                store.push(Pending(row, records.epochs_of(row.trial_id), trial_folder(folder, row)))
                changed = True
        if changed:
            upload_all(store, folder, records)
        failed = any(row.state == "failed" for row in records.trials.values())
        store.end_parent("FAILED" if failed else "FINISHED")
    except Exception as error:  # noqa: BLE001 - whatever a remote store raises, the records have it all
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    return None


def upload_all(store: MlflowStore, folder: Path, records: Records) -> None:
    """Upload tables and report to the parent run, and each trial's pictures to its own."""
    report = folder / REPORT_FOLDER
    tables = [(folder / name, "records") for name in (SWEEP_FILE, TRIALS_FILE, HISTORY_FILE)]
    pages = [
        (path, str(Path(REPORT_FOLDER) / path.parent.relative_to(report))) for path in files_under(report)
    ]
    store.upload([*tables, *pages])
    for row in records.trials.values():
        if row.trial_id in store.children:
            pictures = [(path, "figures") for path in files_under(trial_folder(folder, row) / "figures")]
            store.upload(pictures, store.children[row.trial_id][0])


def files_under(folder: Path) -> list[Path]:
    """Return the files in and below a folder, in the order of their names; none when it does not exist."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def closing_lines(facts: dict[str, Any], out: Path) -> str:
    """Return where everything is, and what to do about what is missing."""
    lines = [
        f"report    {facts['report']}",
        f"records   {facts['records']}",
        f"MLflow    {facts['tracking_uri']}; look at it with `sweeps ui --out {out}`",
    ]
    if facts["problem"]:
        lines.append(
            f"MLflow has not got everything ({facts['problem']}). "
            f"It is recorded; send it with `sweeps sync --out {out}`."
        )
    unfinished = {state: n for state, n in facts["states"].items() if state != "complete"}
    if unfinished:
        counted = ", ".join(f"{n} {state}" for state, n in unfinished.items())
        lines.append(
            f"Not complete: {counted}. See `sweeps status {facts['sweep_id']} --out {out}`; "
            "run it again to take up the rest."
        )
    return "\n".join(lines)
