"""From records to what people look at: the report of a sweep, and its copy in MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from search_spaces.errors import RefusedError, first_line
from sweeps.plan import FINISHED_STATES, trial_folder
from sweeps.promotion import log_winner
from sweeps.records import (
    DIGEST_FILE,
    HISTORY_FILE,
    REPORT_FOLDER,
    TRIALS_FILE,
    Records,
    RecordWriter,
    TrialRow,
    read_records,
    read_trial_rows,
)
from sweeps.storage import bring, store
from sweeps.sweep import Outcome, note_run_ids, only_writer
from sweeps.tracking import MlflowStore, Pending, in_haste, reason_of, refuses
from trainables.families import FamilyError, load_family
from trainables.picture import Examples, Picture
from trainables.trial_spec import SWEEP_FILE

if TYPE_CHECKING:  # the analysis is imported when there is something to report
    from analysis.answer import Answer
    from analysis.exhibit import Drawing

LOSSES_FIGURE = "losses.png"
MOST_DRAWN = (
    200  # trials with pictures of their own: a third of a second each; `sweeps report --pictures` draws more
)
MOST_PICTURED = 12  # cells side by side in one picture of the report


def conclude(outcome: Outcome, uri: str, console: Console) -> tuple[Path | None, list[str]]:
    """Report a sweep and send it to MLflow; return the report's path, and what went wrong with either."""
    problems: list[str] = []
    report = None
    folder = outcome.folder
    try:
        bring(folder)
        report = write_sweep_report(folder, console)
    except (RefusedError, OSError) as error:
        problems.append(f"No report: {error}")
    unstored = store_alone(folder)
    if unstored:
        problems.append(
            f"Not everything is in object storage: {unstored}. It lies in {folder}; send it with `sweeps sync`."
        )
        return report, problems  # MLflow hears of nothing that the next driver might not find
    problems += mirror_problems(outcome, uri)
    store_alone(folder)  # the records have got the ids of the last runs
    return report, problems


def mirror_problems(outcome: Outcome, uri: str) -> list[str]:
    """Send to MLflow what only the end of a sweep has; return what it lacks, and what brings it there.

    A store that has not taken what the driver sent is not tried again: `sweeps sync` has more patience.
    """
    folder, sync = outcome.folder, f"`sweeps sync {outcome.folder.name}`"
    with in_haste():
        unsent = outcome.unsent or publish_alone(folder, uri)
        unlogged = None if unsent else log_winner(folder, uri)  # to the run of its trial, which must be there
    problems = []
    if unsent:
        problems.append(f"MLflow has not got everything: {unsent}. It is recorded; send it with {sync}.")
    elif outcome.may_double:
        problems.append(
            "MLflow left a request without an answer, and may still carry it out. "
            f"{sync} in a few minutes takes away the run that this would double."
        )
    if unlogged:
        problems.append(
            f"The best model is not in MLflow: {unlogged} Log it with `sweeps promote {folder.name}`."
        )
    return problems


def write_sweep_report(
    folder: Path,
    console: Console,
    *,
    always: bool = False,
    out: Path | None = None,
    most_drawn: int = MOST_DRAWN,
) -> Path:
    """Print the verdicts of a sweep and write its report, unless it is there; return the path of ``report.html``.

    Args:
        folder: Folder of records.
        console: Where the verdicts are printed.
        always: Whether to write it again when it speaks of these very records already.
        out: Folder of the report; beside the records, with the pictures of the trials, when None.
        most_drawn: Trials whose pictures are drawn.
    """
    from analysis.answer import answer
    from analysis.load import load_table
    from analysis.report import Report, write_report
    from analysis.verdict_text import report_text

    records = read_records(folder)
    target = out or folder / REPORT_FOLDER
    note = target / DIGEST_FILE
    if not always and note.exists() and note.read_text() == records.digest:
        files = (
            target / "report.html",
            *(path for path in files_under(target) if path.name != "report.html"),
        )
        report = Report(answer(load_table(records)), target, files)
    else:
        report = write_report(records, target, pictures_side_by_side(records, folder))
        if out is None:
            draw_trials(records, folder, best_first(records, report.answer)[:most_drawn])
            note.write_text(records.digest)
    console.print(report_text(report))
    return report.html


def write_mlflow_report(uri: str, sweep_id: str, target: Path, console: Console) -> Path:
    """Print and write the report of a sweep that is read from MLflow; return the path of ``report.html``.

    Args:
        uri: Tracking URI.
        sweep_id: The sweep; its parent run is found by this tag.
        target: Folder of the report.
        console: Where the verdicts are printed.
    """
    from analysis.load import load_mlflow
    from analysis.report import write_report
    from analysis.verdict_text import report_text

    report = write_report(load_mlflow(uri, sweep_id), target)
    console.print(report_text(report))
    return report.html


def best_first(records: Records, found: Answer) -> list[TrialRow]:
    """Return the trials that are worth a picture, those of the cells that the report lists first, in that order."""
    names = [axis.name for axis in found.table.axes]
    order = {cell.key: place for place, cell in enumerate(found.shown_cells)}
    return sorted(
        pictured(records),
        key=lambda row: order.get(tuple(row.swept[name] for name in names if name in row.swept), len(order)),
    )


def draw_trials(records: Records, folder: Path, rows: Sequence[TrialRow]) -> None:
    """Draw the loss curves and the family's pictures of those trials that are finished and have none yet."""
    from analysis.curves import draw_trial_losses

    pictures = {name: picture for name, picture in pictures_of(records).items() if picture.per_trial}
    for row in rows:
        trial = folder / trial_folder(row.cell, row.seed)
        if row.state == "running" or not trial.is_dir():
            continue
        (trial / "figures").mkdir(exist_ok=True)
        title, losses = f"{row.cell} seed {row.seed}", trial / "figures" / LOSSES_FIGURE
        if not losses.exists():
            draw_trial_losses(records.epochs_of(row.trial_id), losses, title)
        draw_examples(trial, title, pictures)


def pictured(records: Records) -> list[TrialRow]:
    """Return the trials that are worth a picture: all of a grid; of a search the finalists, all when there are none."""
    rows = list(records.trials.values())
    n_seeds = Counter(row.cell for row in rows)
    if not records.sweep["study"].get("search") or max(n_seeds.values(), default=0) < 2:
        return rows
    return [row for row in rows if n_seeds[row.cell] > 1]


def pictures_of(records: Records) -> Mapping[str, Picture]:
    """Return the pictures of the sweep's family; none when its code is not here, as for records from elsewhere."""
    try:
        return load_family(str(records.sweep.get("family", records.sweep["study"]["family"]))).pictures
    except FamilyError:
        return {}


def pictures_side_by_side(records: Records, folder: Path) -> list[Drawing]:
    """Return the family's pictures with the cells of the sweep side by side, each by its first complete seed.

    Of a search only the finalists are shown, which have more than one seed, and never more than `MOST_PICTURED`.
    """
    from analysis.exhibit import Drawing

    pictures = pictures_of(records)
    kept = examples_by_cell(records, folder) if pictures else {}
    shown = ", ".join(f"{cell} (seed {seed})" for cell, (seed, _) in kept.items())
    examples = {cell: arrays for cell, (_, arrays) in kept.items()}
    drawn = {name: picture.draw(examples) if examples else None for name, picture in pictures.items()}
    return [
        Drawing(
            f"picture_{name}",
            pictures[name].title,
            pictures[name].how_to_read,
            f"{told_in_words(pictures[name], examples)} Shown: {shown}.",
            figure,
        )
        for name, figure in drawn.items()
        if figure is not None
    ]


def told_in_words(picture: Picture, examples: Mapping[str, Examples]) -> str:
    """Return what a picture shows, for readers who cannot see it; how to read it where the family says no more."""
    return picture.how_to_read if picture.in_words is None else picture.in_words(examples)


def examples_by_cell(records: Records, folder: Path) -> dict[str, tuple[int, Examples]]:
    """Return seed and examples of the first complete trial of every cell, in the order of the study's axes."""
    found: dict[str, tuple[int, Examples]] = {}
    places = {name: axis.get("values") or [] for name, axis in (records.sweep.get("axes") or {}).items()}

    def place(row: TrialRow) -> list[int]:
        return [values.index(v) for name, values in places.items() if (v := row.swept.get(name)) in values]

    for row in sorted(pictured(records), key=lambda row: (row.seed, place(row))):
        kept = folder / trial_folder(row.cell, row.seed) / "examples.npz"
        if row.state == "complete" and row.cell not in found and len(found) < MOST_PICTURED and kept.exists():
            with np.load(kept, allow_pickle=False) as arrays:
                found[row.cell] = (row.seed, dict(arrays))
    return found


def draw_examples(trial: Path, title: str, pictures: Mapping[str, Picture]) -> None:
    """Draw into a trial's folder those of its pictures that are not there yet, from what it kept for them."""
    missing = {
        path: picture
        for name, picture in pictures.items()
        if not (path := trial / "figures" / f"{name}.png").exists()
    }
    if not missing or not (trial / "examples.npz").exists():
        return
    with np.load(trial / "examples.npz", allow_pickle=False) as arrays:
        examples = dict(arrays)
    for path, picture in missing.items():
        figure = picture.draw({title: examples})
        if figure is not None:
            figure.savefig(path, dpi=110, metadata={"Software": None})


def publish_alone(folder: Path, uri: str) -> str | None:
    """Publish a sweep unless a driver is running it, which sends it itself; return what went wrong."""
    try:
        with only_writer(folder):
            return publish(folder, uri)
    except RefusedError as error:
        return str(error)


def store_alone(folder: Path) -> str | None:
    """Send a sweep to object storage unless a driver is running it; return what went wrong."""
    try:
        with only_writer(folder):
            rows = read_trial_rows(folder).values()
            return store(folder, {trial_folder(r.cell, r.seed) for r in rows if r.state in FINISHED_STATES})
    except RefusedError as error:
        return str(error)


def publish(folder: Path, uri: str) -> str | None:
    """Send to MLflow what it has not got of a sweep: trials, tables, report; call it with the sweep's lock held.

    Args:
        folder: Folder of the sweep.
        uri: Tracking URI.

    Returns:
        What went wrong, None if nothing.
    """
    records = read_records(folder)
    try:
        store = MlflowStore(uri, records.sweep, folder.parent.parent)
        refused = send_trials(store, folder, records)
        if store.published != records.digest:
            upload_all(store, folder, records)
            describe(store, folder, records)
            store.note_published(records.digest)
        store.end(parent_status(records))
    except Exception as error:  # noqa: BLE001 - whatever a remote store raises, the records have it all
        return reason_of(error)
    return f"{len(refused)} trials were refused: {refused[0]}" if refused else None


def send_trials(store: MlflowStore, folder: Path, records: Records) -> list[str]:
    """Send the trials that MLflow is behind with, and note their runs in the records; return why some were refused."""
    refused: list[str] = []
    for row in records.trials.values():
        if store.is_behind(row) or row.state == "running":
            trial = folder / trial_folder(row.cell, row.seed)
            refused += push_or_refuse(store, Pending(row, records.epochs_of(row.trial_id), trial))
    store.interrupt()  # no driver is at work: this one holds the lock
    runs = {trial_id: run.run_id for trial_id, run in store.children.items()}
    if any(row.mlflow_run_id != runs.get(row.trial_id) for row in records.trials.values()):
        writer = RecordWriter(folder, records.sweep)
        note_run_ids(writer, runs)
        writer.compact()
    return refused


def push_or_refuse(store: MlflowStore, pending: Pending) -> list[str]:
    """Send one trial; return why the store refuses it, nothing when it does not."""
    try:
        store.push(pending)
    except Exception as error:
        if not refuses(error):
            raise
        return [first_line(error)]
    return []


def parent_status(records: Records) -> str:
    """Return MLflow's status of a sweep: failed, ended before its time, or finished."""
    planned = records.sweep["study"].get("n_trials", 0)
    states = [row.state for row in records.trials.values()]
    if "failed" in states:
        return "FAILED"
    return "KILLED" if "running" in states or len(states) < planned else "FINISHED"


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
            drawn = files_under(folder / trial_folder(row.cell, row.seed) / "figures")
            pictures = [(path, "figures") for path in drawn]
            store.upload(pictures, store.children[row.trial_id].run_id)


def describe(store: MlflowStore, folder: Path, records: Records) -> None:
    """Describe the sweep in MLflow by its verdicts; one without a report keeps the description it has."""
    from analysis.note import NOTE_FILE, experiment_text

    note = folder / REPORT_FOLDER / NOTE_FILE
    if note.exists():
        store.describe(note.read_text(encoding="utf-8"), experiment_text(records.sweep))


def files_under(folder: Path) -> list[Path]:
    """Return the files in and below a folder, in the order of their names; none when it does not exist."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def closing_lines(facts: dict[str, Any], out: str) -> str:
    """Return where everything is, and what to do about what is missing."""
    lines = [
        f"records   {facts['records']}",
        f"MLflow    {facts['tracking_uri']}; look at it with {viewer(facts['tracking_uri'], out)}",
        *facts["problems"],
    ]
    unfinished = {state: n for state, n in facts["states"].items() if state not in FINISHED_STATES}
    if unfinished:
        counted = ", ".join(f"{n} {state}" for state, n in unfinished.items())
        lines.append(
            f"Not finished: {counted}. See `sweeps status {facts['sweep_id']} --out {out}`; "
            "run it again to take up the rest."
        )
    return "\n".join(lines)


def viewer(uri: str, out: str) -> str:
    """Return with what a tracking store is looked at: a server has pages of its own."""
    return "a browser" if uri.startswith("http") else f"`sweeps ui --out {out}`"
