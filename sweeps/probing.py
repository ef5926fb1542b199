"""``sweeps probe`` and ``sweeps data check``: experiments on a saved trial and on data, with verdicts in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from search_spaces.domains import Params, did_you_mean
from search_spaces.errors import RefusedError
from sweeps.plan import trial_folder
from sweeps.records import TrialRow, read_records, read_trial_rows
from sweeps.status import sweep_folders
from sweeps.storage import bring, shown
from trainables.families import family_names, load_family
from trainables.probe import ProbeResult
from trainables.trial_spec import SWEEP_FILE

PROBE_FILE = "facts/probe.json"
CONFIG_FILE = "config.yaml"


def find_trial(out: Path, name: str) -> tuple[Path, TrialRow]:
    """Return sweep folder and row of a trial: by its folder, or by the beginning of its id.

    A trial that another sweep took over stands in both; the sweep written to last is taken.

    Raises:
        RefusedError: If nothing under ``out`` is called so, or several are.
    """
    if (Path(name) / CONFIG_FILE).exists():
        return trial_in(Path(name).resolve())
    found: dict[str, tuple[Path, TrialRow]] = {}
    known: list[str] = []
    for folder in sweep_folders(out):
        try:
            rows = read_trial_rows(folder)
        except RefusedError:
            continue  # another sweep's damage does not hide this one
        known += rows
        found |= {trial_id: (folder, row) for trial_id, row in rows.items() if trial_id.startswith(name)}
    if len(found) > 1:
        raise RefusedError(
            f"{name!r} begins {len(found)} trials. Write more of the id; see `sweeps status SWEEP`."
        )
    if not found:
        raise RefusedError(
            f"No trial {name!r} under {shown(out)}.{did_you_mean(name, known)} Give a trial's folder or its id; "
            "`sweeps status SWEEP` lists them."
        )
    return next(iter(found.values()))


def trial_in(folder: Path) -> tuple[Path, TrialRow]:
    """Return sweep folder and row of the trial whose files lie in ``folder``.

    Raises:
        RefusedError: If no sweep above the folder has recorded it.
    """
    for sweep in folder.parents:
        if (sweep / SWEEP_FILE).exists():
            for row in read_trial_rows(sweep).values():
                if (sweep / trial_folder(row.cell, row.seed)).resolve() == folder:
                    return sweep, row
    raise RefusedError(
        f"No sweep above {folder} has recorded a trial there. Name a trial by its id, with --out."
    )


def probe(
    out: Path, name: str, data_root: Path | None, uri: str | None
) -> tuple[Path, tuple[ProbeResult, ...], str | None]:
    """Run the family's experiments on a saved trial and check its data; write ``facts/probe.json`` and tell MLflow.

    Returns:
        The trial's folder, the results, and why MLflow has not got them, None when it has.

    Raises:
        RefusedError: If there is no such trial, it left no weights, or its data is not at hand.
    """
    from sweeps.access import tracking_uri
    from sweeps.tracking import log_probe
    from trainables.saved_trial import probe_trial, read_config

    sweep, row = find_trial(out, name)
    records = read_records(sweep)
    folder = bring(sweep / trial_folder(row.cell, row.seed))
    config = read_config(folder)
    found = probe_trial(folder, data_root, records.sweep["provenance"])
    results = (*found, *check_data(config["family"], config["params"], data_root))
    path = folder / PROBE_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n")
    if row.mlflow_run_id is None:
        return folder, results, "the trial has no MLflow run; run `sweeps sync`, then this again"
    ended_ms = records.epochs_of(row.trial_id)[-1].time_ms
    store = tracking_uri(uri, sweep.parent.parent)
    return folder, results, log_probe(store, row.mlflow_run_id, results, path, ended_ms)


def family_of_data(name: str) -> str | None:
    """Return the family whose data ``FAMILY-data`` names, None for the name of a trial."""
    family = name.removesuffix("-data")
    return family if family != name and family in family_names() else None


def check_data(family_name: str, given: Params, data_root: Path | None) -> tuple[ProbeResult, ...]:
    """Return what is right and wrong with a family's data: what the family checks, or that it could be read."""
    family = load_family(family_name)
    params = family.space.resolve(given)
    dataset = family.load_data(params, data_root)
    sizes = {name: len(next(iter(dataset.split(name).values()))) for name in ("train", "valid", "test")}
    listed = ", ".join(f"{size} {name}" for name, size in sizes.items())
    read = ProbeResult(
        "data_can_be_read",
        "supported",
        f"{listed} samples, fingerprint {dataset.fingerprint}.",
        {f"n_{name}": float(size) for name, size in sizes.items()},
    )
    return (read, *family.check_data(dataset, params))


def as_text(results: Sequence[ProbeResult]) -> str:
    """Return the results as the command line prints them: verdict, claim, statement, advice."""
    lines = []
    for result in results:
        mark = "!" if result.alarm else " "
        lines.append(f"{mark} {result.verdict:14} {result.id}: {result.statement}")
        lines += [f"{'':17}{result.advice}"] if result.advice else []
    return "\n".join(lines)
