"""From records, or from MLflow, to the table of cells x seeds.

Whoever wrote the records, what they lack is named in `SweepTable.problems` and nothing is made up for
it. The only module of `analysis` that talks to MLflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.table import Axis, Meaning, Mode, SweepTable
from search_spaces.domains import Value, value_text
from sweeps.records import (
    HISTORY_SCHEMA,
    RESERVED_COLUMNS,
    STATES,
    Records,
    RecordsError,
    TrialRow,
    read_records,
)
from sweeps.study import Objective

SECTIONS = ("sweep_id", "study", "axes", "metrics", "baselines", "provenance")
LARGEST = 1e300  # MLflow stores an infinite value as 1.8e308


def load_table(records: Records) -> SweepTable:
    """Return the table of one sweep.

    Args:
        records: From `sweeps.records.read_records`, or from `load_mlflow`.

    Raises:
        RecordsError: If there are no trials, or no swept parameter can be made out.
    """
    sweep = records.sweep
    problems = [f"sweep.json has no {name!r} section." for name in SECTIONS if not sweep.get(name)]
    if not records.trials:
        raise RecordsError("The records hold no trial. Run the study first: `sweeps run STUDY`.")
    study = dict(sweep.get("study") or {})
    trials = trials_frame(records.trials.values(), study)
    axes = read_axes(sweep, study, trials)
    axes = with_recorded_values(axes, trials, problems)
    problems += absent_values(axes, trials)
    history = history_frame(records.history)
    objective = read_objective(study, problems)
    selected = selected_epochs(history, objective)
    trials = trials.join(selected.rename("epoch"), on="trial_id")
    trials = trials.join(values_at(history, selected), on="trial_id")
    problems += state_problems(trials, objective)
    return SweepTable(
        sweep_id=str(sweep.get("sweep_id") or ""),
        study=study,
        axes=axes,
        objective=objective,
        trials=trials,
        history=history,
        meanings=read_meanings(sweep.get("metrics") or {}),
        baselines={str(k): float(v) for k, v in (sweep.get("baselines") or {}).items() if v is not None},
        params=sweep.get("params") or {},
        provenance=sweep.get("provenance") or {},
        problems=problems,
        objectives=read_objectives(study, objective),
        tracking=read_tracking(sweep.get("tracking") or {}),
        span_s=span_s(records.history),
    )


def trials_frame(rows: Iterable[TrialRow], study: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per trial; swept parameters are read from the cell's name where they have no column."""
    grid = study.get("grid") or {}
    kept = [name for name in vars(TrialRow("", "", {}, 0)) if name != "swept"]
    return pd.DataFrame(
        [{**(row.swept or parse_cell(row.cell, grid)), **{k: getattr(row, k) for k in kept}} for row in rows]
    )


def parse_cell(cell: str, grid: Mapping[str, Any]) -> dict[str, Value]:
    """Return the parameters in a cell's name ``a=1,b=x``, in the types of ``grid`` where it has them."""
    found: dict[str, Value] = {}
    for part in cell.split(","):
        name, _, text = part.partition("=")
        known = {value_text(value): value for value in grid.get(name, ())}
        if text:
            found[name] = known.get(text, number_or_text(text))
    return found


def number_or_text(text: str) -> Value:
    """Return the number written in ``text``, or the text."""
    try:
        return float(text)
    except ValueError:
        return text


def value_order(value: Value) -> tuple[bool, Value]:
    """Return a key that sorts numbers by size and before words."""
    return isinstance(value, str), value


def read_axes(sweep: Mapping[str, Any], study: Mapping[str, Any], trials: pd.DataFrame) -> tuple[Axis, ...]:
    """Return the swept parameters from ``axes``, else from the study's grid, else from the trials."""
    fixed = set(RESERVED_COLUMNS)
    described = sweep.get("axes") or {name: {"values": list(v)} for name, v in study.get("grid", {}).items()}
    if not described:
        described = {name: {"values": []} for name in trials.columns if name not in fixed}
    absent = [name for name in described if name not in trials.columns]
    if absent or not described:
        missing = absent[0] if absent else "swept parameters"
        raise RecordsError(
            f"The trials have no {missing!r}. Give trials.parquet one column per swept parameter, "
            "and name them under 'axes' in sweep.json."
        )
    ranges = study.get("search") or {}
    return tuple(read_axis(name, described[name], ranges.get(name)) for name in described)


def read_axis(name: str, described: Mapping[str, Any], searched: Any = None) -> Axis:
    """Return one axis of ``sweep.json``; its scale follows from the values when it is not said.

    Args:
        name: The parameter.
        described: Its entry under ``axes``.
        searched: Its entry under ``search`` of the study, None when a grid lists its values.
    """
    if described.get("searched") or searched:
        return searched_axis(name, described, searched if isinstance(searched, Mapping) else {})
    values = tuple(described.get("values") or ())
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return Axis(
        name=name,
        values=values,
        scale=described.get("scale") or ("linear" if numeric and values else "category"),
        simplicity=tuple(described.get("simplicity") or ()),
        meaning=described.get("meaning") or "",
        weight=bool(described.get("weight")),
    )


def searched_axis(name: str, described: Mapping[str, Any], ranges: Mapping[str, Any]) -> Axis:
    """Return an axis that a sampler explored, without values: those are in the trials."""
    bounds = [described.get(end, ranges.get(end)) for end in ("low", "high")]
    low, high = (None if bound is None else float(bound) for bound in bounds)
    ranged = "log" if ranges.get("log") else "linear" if low is not None else "category"
    return Axis(
        name=name,
        values=tuple(ranges.get("options") or ()),
        scale=described.get("scale") or ranged,
        meaning=described.get("meaning") or "",
        weight=bool(described.get("weight")),
        searched=True,
        low=low,
        high=high,
    )


def with_recorded_values(
    axes: tuple[Axis, ...], trials: pd.DataFrame, problems: list[str]
) -> tuple[Axis, ...]:
    """Return the axes with values that only the trials have; such values are named in ``problems``."""
    complete = []
    for axis in axes:
        extra = sorted(set(trials[axis.name].dropna()) - set(axis.values), key=value_order)
        if extra and axis.values and not axis.searched:
            listed = ", ".join(value_text(value) for value in extra)
            problems.append(f"Trials have {axis.name}={listed}, which sweep.json does not list.")
        ranks = (
            axis.simplicity + tuple(max(axis.simplicity) + 1 + i for i in range(len(extra)))
            if axis.simplicity
            else ()
        )
        complete.append(replace(axis, values=axis.values + tuple(extra), simplicity=ranks))
    return tuple(complete)


def absent_values(axes: tuple[Axis, ...], trials: pd.DataFrame) -> list[str]:
    """Return which axes some trials have no value on: such trials are in no cell."""
    counts = {axis.name: int(trials[axis.name].isna().sum()) for axis in axes}
    return [f"{count} trial(s) have no {name}; they are left out." for name, count in counts.items() if count]


def read_objective(study: Mapping[str, Any], problems: list[str]) -> Objective | None:
    """Return the study's objective, or None and a problem."""
    described = study.get("objective") or {}
    if not described.get("metric"):
        problems.append(
            "The study names no objective: values are those of the last epoch, and nothing is recommended."
        )
        return None
    if described.get("mode") not in {"min", "max"}:
        problems.append("The objective has no mode; a smaller value is taken as better.")
    mode: Mode = "max" if described.get("mode") == "max" else "min"
    return Objective(described["metric"], mode, described.get("epoch_metric"))


def read_objectives(study: Mapping[str, Any], objective: Objective | None) -> tuple[Objective, ...]:
    """Return all objectives of a search, the one that selects epochs first; nothing when there is only that one."""
    listed = [item for item in study.get("objectives") or () if item.get("metric")]
    named = {
        item["metric"]: Objective(item["metric"], "max" if item.get("mode") == "max" else "min")
        for item in listed
    }
    if objective is None or len(named) < 2:
        return ()
    return (objective, *(other for metric, other in named.items() if metric != objective.metric))


def read_meanings(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Meaning]:
    """Return the metrics' meanings by name."""
    return {
        name: Meaning(
            mode=known.get("mode") if known.get("mode") in {"min", "max"} else None,
            positive=bool(known.get("positive")),
            text=known.get("meaning") or "",
            unit=known.get("unit") or "",
        )
        for name, known in described.items()
    }


def read_tracking(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return where MLflow has the runs; a login in the address is left out, whoever wrote it there."""
    parts = urlsplit(str(described.get("uri") or ""))
    if not parts.netloc:  # a path, or sqlite:////path, which urlunsplit would change
        return dict(described)
    return {**described, "uri": parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()}


def span_s(history: pa.Table) -> float | None:
    """Return the seconds from the first to the last recorded epoch, None where times are missing."""
    if "time_ms" not in history.column_names or not len(history):
        return None
    ends = pc.min_max(history["time_ms"]).as_py()
    return None if ends["min"] is None else (ends["max"] - ends["min"]) / 1000


def history_frame(history: pa.Table) -> pd.DataFrame:
    """Return the finite part of the history: trial_id, epoch, metric, value."""
    frame: pd.DataFrame = history.select(["trial_id", "epoch", "metric", "value"]).to_pandas()
    frame = frame.astype({"trial_id": "object", "metric": "object", "epoch": "int64", "value": "float64"})
    finite = (frame["value"].abs() < LARGEST).to_numpy(dtype=bool)
    return frame.loc[finite].reset_index(drop=True)


def selected_epochs(history: pd.DataFrame, objective: Objective | None) -> pd.Series[int]:
    """Return the epoch by trial that the objective selects; the last epoch without an objective."""
    if objective is None:
        return history.groupby("trial_id")["epoch"].max()
    known = objective.selects if (history["metric"] == objective.selects).any() else objective.metric
    rows = history[history["metric"] == known].sort_values(["trial_id", "epoch"])
    grouped = rows.groupby("trial_id")["value"]
    best = grouped.idxmin() if objective.mode == "min" else grouped.idxmax()
    return rows.loc[best.to_numpy()].set_index("trial_id")["epoch"]


def values_at(history: pd.DataFrame, selected: pd.Series[int]) -> pd.DataFrame:
    """Return every metric at the selected epoch, a row per trial; ``test/`` metrics at their only epoch."""
    tested = history["metric"].str.startswith("test/")
    last = history[tested].sort_values("epoch").drop_duplicates(["trial_id", "metric"], keep="last")
    at_epoch = history["trial_id"].map(selected) == history["epoch"]
    rows = pd.concat([history[at_epoch & ~tested], last])
    return rows.pivot_table(index="trial_id", columns="metric", values="value", aggfunc="first")


def state_problems(trials: pd.DataFrame, objective: Objective | None) -> list[str]:
    """Return what keeps trials out of the means: unknown or unfinished states, a missing objective."""
    problems = []
    for state, count in trials["state"].value_counts().sort_index().items():
        if state not in STATES:
            problems.append(f"{count} trial(s) have the unknown state {state!r}; they are left out.")
        elif state != "complete":
            problems.append(f"{count} trial(s) are {state}; they are counted and left out of means.")
    complete = trials[trials["state"] == "complete"]
    if objective is not None:
        known = complete[objective.metric].notna() if objective.metric in complete.columns else False
        lacking = complete[~pd.Series(known, index=complete.index)]
        if len(lacking):
            named = ", ".join(sorted(lacking["trial_id"].astype(str))[:5])
            problems.append(
                f"{len(lacking)} completed trial(s) have no {objective.metric}, among them {named}."
            )
    return problems


def load_mlflow(tracking_uri: str, sweep_id: str) -> Records:
    """Return the records of a sweep that is tracked in MLflow.

    The tables under ``records/`` of the parent run are preferred; without them the records are rebuilt
    from the child runs, which lacks what MLflow does not hold and takes a call per metric.

    Raises:
        RecordsError: If the store has no parent run with that ``sweep_id``.
    """
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    tagged = client.search_runs(experiments, f"tags.sweep_id = '{sweep_id}'")
    parents = [run for run in tagged if "mlflow.parentRunId" not in run.data.tags]
    if not parents:
        raise RecordsError(f"No sweep {sweep_id!r} in {tracking_uri}. `sweeps status` lists the sweeps.")
    parent = parents[0]
    if any(
        item.path == "records/sweep.json" for item in client.list_artifacts(parent.info.run_id, "records")
    ):
        with tempfile.TemporaryDirectory() as folder:
            return read_records(Path(client.download_artifacts(parent.info.run_id, "records", folder)))
    return rebuild_records(client, parent, sweep_id)


def rebuild_records(client: Any, parent: Any, sweep_id: str) -> Records:
    """Return records made from the child runs of ``parent``: parameters, states and metric histories."""
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", max_results=10_000
    )
    params = [{k: number_or_text(v) for k, v in run.data.params.items() if k != "seed"} for run in children]
    names = [n for n in (params[0] if params else {}) if len({str(p.get(n)) for p in params}) > 1]
    rows, history = {}, []
    for run, swept in zip(children, params, strict=True):
        trial = child_row(run, {name: swept[name] for name in sorted(names) if name in swept})
        rows[trial.trial_id] = trial
        for metric in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, metric)
            history += [(trial.trial_id, p.step, metric, p.value, p.timestamp) for p in points]
    columns = zip(*history, strict=True) if history else [[] for _ in HISTORY_SCHEMA]
    table = pa.table({name: list(v) for name, v in zip(HISTORY_SCHEMA.names, columns, strict=True)})
    return Records(rebuilt_sweep(parent, sweep_id, rows.values()), rows, table.cast(HISTORY_SCHEMA))


def child_row(run: Any, swept: dict[str, Value]) -> TrialRow:
    """Return the row of one child run; its state is the tag ``state``, else what MLflow says of the run."""
    finished = {"FINISHED": "complete", "FAILED": "failed", "KILLED": "failed", "RUNNING": "running"}
    cell = ",".join(f"{name}={value_text(value)}" for name, value in swept.items())
    return TrialRow(
        trial_id=run.data.tags.get("trial_id", run.info.run_id),
        cell=run.data.tags.get("cell", cell),
        swept=swept,
        seed=int(float(run.data.params.get("seed", 0))),
        state=run.data.tags.get("state", finished.get(run.info.status, run.info.status)),
        mlflow_run_id=run.info.run_id,
    )


def rebuilt_sweep(parent: Any, sweep_id: str, rows: Iterable[TrialRow]) -> dict[str, Any]:
    """Return what the parent run's tags tell of ``sweep.json``."""
    tags = parent.data.tags
    swept = [row.swept for row in rows]
    study: dict[str, Any] = {
        key: tags[tag]
        for key, tag in (("name", "study"), ("question", "question"), ("family", "family"))
        if tag in tags
    }
    if "objective" in tags:
        study["objective"] = {"metric": tags["objective"], "mode": tags.get("objective_mode")}
    names = list(swept[0]) if swept else []
    axes = {name: {"values": sorted({params[name] for params in swept}, key=value_order)} for name in names}
    return {"sweep_id": sweep_id, "study": study, "axes": axes}
