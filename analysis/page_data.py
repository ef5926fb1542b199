"""What the interactive parts of the page know: cells, trials, curves, gradient shares and the front, as compact JSON.

Numbers have `DIGITS` digits, more than the page shows; report.json has all. Nothing is computed here that
report.json does not say, but for the curves over epochs. What would make the page heavy is capped, and the
page says so: curves of the best `MOST_CURVES` cells, `MOST_METRICS` metrics, `MOST_EPOCHS` epochs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pandas as pd

from analysis.answer import Answer
from analysis.curves import share_terms
from analysis.figures import grid_axes
from analysis.recommendation import ranked_cells
from analysis.table import CellKey, SweepTable
from search_spaces.domains import value_text

DIGITS = 6
MOST_METRICS = 20  # in heatmaps and tooltips
MOST_CURVES, MOST_CURVE_METRICS, MOST_EPOCHS = 32, 8, 100
SHOWN_STATES = ("complete", "diverged", "collapsed")  # of trials whose curves are drawn
COUNTS = ("n", "n_diverged", "n_collapsed", "n_pruned", "n_other")
INTERACTIVE = {  # a static figure by the part of the page that shows the same, and more
    "heatmap_": "heatmap",
    "loss_curves": "curves",
    "finalist_curves": "curves",
    "gradient_shares": "shares",
    "finalist_gradient_shares": "shares",
    "trade_off": "front",
}


def page_data(found: Answer, curve_metrics: Sequence[str]) -> dict[str, Any]:
    """Return the data of the page's interactive parts.

    Args:
        found: The answer.
        curve_metrics: Metrics whose curves matter most, the first one drawn first.

    Returns:
        JSON-ready data: ``metrics``, ``axes``, ``layout``, ``cells``, ``trials``, ``curves``, ``shares``, ``front``,
        ``runs``; a part that the sweep has nothing for is None.
    """
    table, metrics = found.table, shown_metrics(found)
    places = {cell.key: place for place, cell in enumerate(found.cells)}
    best = [places[key] for key in ranked_cells(table) if key in places][:MOST_CURVES]
    return {
        "objective": None if table.objective is None else vars(table.objective),
        "metrics": [metric_json(table, metric) for metric in metrics],
        "axes": axes_json(table),
        "layout": None if table.is_search or not table.axes else layout(table),
        "cells": cells_json(found, metrics),
        "trials": trials_json(table, places),
        "curves": curves_json(found, places, best, curve_metrics),
        "shares": shares_json(table, places, best),
        "front": front_json(found, places),
        "parallel": table.is_search or len(table.axes) > 2,
        "recommended": next(
            (
                place
                for place, cell in enumerate(found.cells)
                if found.recommendation is not None and found.recommendation.label == cell.label
            ),
            None,
        ),
        "runs": run_address(table.tracking),
    }


def as_script(data: Mapping[str, Any]) -> str:
    """Return data as JSON that can stand in a ``script`` element: without ``<``, ``>`` and ``&``, and compact."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def rounded(value: Any) -> float | int | None:
    """Return a number with `DIGITS` digits, None where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def shown_metrics(found: Answer) -> list[str]:
    """Return the metrics of heatmaps and tooltips: the objective, those with figures, then all of evaluations."""
    table = found.table
    objective = [table.objective.metric] if table.objective else []
    evaluated = [m for m in table.metrics if m.startswith(("valid/", "test/"))]
    known = {metric for cell in found.cells for metric in cell.metrics}
    wanted = dict.fromkeys([*objective, *found.figure_metrics, *evaluated, *table.metrics])
    return [metric for metric in wanted if metric in known][:MOST_METRICS]


def metric_json(table: SweepTable, metric: str) -> dict[str, Any]:
    """Return what the page says of one metric."""
    known = table.meaning(metric)
    return {
        "name": metric,
        "mode": known.mode,
        "positive": known.positive,
        "text": known.text,
        "unit": known.unit,
    }


def axes_json(table: SweepTable) -> list[dict[str, Any]]:
    """Return the axes with the names of their values, from simple to complex; numbers as such where they have any."""
    return [
        {
            "name": axis.name,
            "scale": axis.scale,
            "text": axis.meaning,
            "names": [value_text(value) for value in axis.simplest_first],
            "numbers": None
            if axis.scale == "category"
            else [rounded(float(value)) for value in axis.simplest_first],
        }
        for axis in table.axes
    ]


def layout(table: SweepTable) -> dict[str, Any]:
    """Return which axis lies along which side of a heatmap, by number."""
    row, column, rest = grid_axes(table)
    number = {axis.name: place for place, axis in enumerate(table.axes)}
    return {
        "row": None if row is None else number[row.name],
        "column": number[column.name],
        "rest": [number[axis.name] for axis in rest],
    }


def cells_json(found: Answer, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return every cell: places on the axes, name, counts of trials, and mean, interval and count by metric."""
    axes = found.table.axes
    return [
        {
            "at": [axis.place(value) for axis, value in zip(axes, cell.key, strict=True)],
            "label": cell.label,
            "counts": [cell.counts[name] for name in COUNTS],
            "values": [
                None
                if (s := cell.metrics.get(metric)) is None
                else [rounded(s.mean), rounded(s.ci_low), rounded(s.ci_high), s.n]
                for metric in metrics
            ],
        }
        for cell in found.cells
    ]


def trials_json(table: SweepTable, places: Mapping[CellKey, int]) -> list[list[Any]]:
    """Return every trial: cell, seed, state, objective, seconds, MB, epochs, MLflow run."""
    trials = table.trials
    metric = table.objective.metric if table.objective else None
    blank = pd.Series([None] * len(trials), index=trials.index, dtype=object)
    columns = [trials.get(name, blank) for name in ("wall_s", "memory_mb", "n_epochs")]
    objective = trials.get(metric, blank)
    runs = trials.get("mlflow_run_id", blank)
    keys = zip(*(trials[axis.name] for axis in table.axes), strict=True)
    rows = zip(keys, trials["seed"], trials["state"], objective, *columns, runs, strict=True)
    return [
        [places.get(key), int(seed), str(state), *map(number, numbers), run if isinstance(run, str) else None]
        for key, seed, state, *numbers, run in rows
    ]


def number(value: Any) -> float | int | None:
    """Return an entry of a table as `rounded` has it, None where it is missing."""
    return None if value is None else rounded(float(value))


def curves_json(
    found: Answer, places: Mapping[CellKey, int], best: Sequence[int], first: Sequence[str]
) -> dict[str, Any] | None:
    """Return mean, least and largest value over the seeds by metric, cell and epoch; None without a history."""
    recorded = set(found.table.metrics)
    trained = [m for m in found.table.metrics if m.startswith("train/")]
    wanted = dict.fromkeys([*first, *found.figure_metrics, *trained])
    metrics = [m for m in wanted if m in recorded][:MOST_CURVE_METRICS]
    cells = list(best) or list(range(min(len(places), MOST_CURVES)))
    rows = history_by_cell(found.table, places, cells, metrics)
    if rows.empty:
        return None
    grouped = rows.groupby(["metric", "cell", "epoch"])["value"].agg(["mean", "min", "max"])
    epochs = few_epochs(rows["epoch"])
    lines: dict[str, dict[str, Any]] = {metric: {} for metric in metrics}
    for (metric, cell), frame in grouped.groupby(level=["metric", "cell"]):
        lines[str(metric)][str(cell)] = by_epoch(frame.droplevel(["metric", "cell"]), epochs)
    described = [metric_json(found.table, metric) for metric in metrics]
    return {"metrics": described, "epochs": epochs, "cells": cells, "lines": lines}


def history_by_cell(
    table: SweepTable, places: Mapping[CellKey, int], cells: Sequence[int], metrics: Sequence[str]
) -> pd.DataFrame:
    """Return what the trials of some cells recorded of some metrics, with the number of the cell."""
    shown = table.trials[table.trials["state"].isin(SHOWN_STATES)]
    keys = zip(*(shown[axis.name] for axis in table.axes), strict=True)
    numbers = {trial: places.get(key) for trial, key in zip(shown["trial_id"], keys, strict=True)}
    rows = table.history[table.history["metric"].isin(list(metrics))]
    rows = rows.assign(cell=rows["trial_id"].map(numbers))
    return rows[rows["cell"].isin(list(cells))].astype({"cell": int})


def few_epochs(epochs: pd.Series[int]) -> list[int]:
    """Return the recorded epochs, at most `MOST_EPOCHS` of them, evenly apart with the first and the last."""
    known = np.unique(epochs.to_numpy())
    kept = np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_EPOCHS)).round().astype(int))
    return [int(epoch) for epoch in known[kept]]


def by_epoch(frame: pd.DataFrame, epochs: Sequence[int]) -> list[list[Any]]:
    """Return the columns of a table by epoch as lists, None where an epoch has no value."""
    whole = frame.reindex(list(epochs))
    return [[rounded(value) for value in whole[name]] for name in whole.columns]


def shares_json(
    table: SweepTable, places: Mapping[CellKey, int], best: Sequence[int]
) -> dict[str, Any] | None:
    """Return the mean share of every loss term in the gradient by cell and epoch; None where none is recorded."""
    terms = share_terms(table)
    cells = list(best) or list(range(min(len(places), MOST_CURVES)))
    rows = history_by_cell(table, places, cells, list(terms.values()))
    if rows.empty:
        return None
    epochs = few_epochs(rows["epoch"])
    shares = rows.pivot_table(index=["cell", "epoch"], columns="metric", values="value", aggfunc="mean")
    shares = shares.reindex(columns=list(terms.values())).fillna(0.0)
    known = set(shares.index.get_level_values("cell"))
    by_cell = {
        str(cell): by_epoch(shares.loc[[cell]].droplevel("cell"), epochs) for cell in cells if cell in known
    }
    return {
        "terms": list(terms),
        "epochs": epochs,
        "cells": [c for c in cells if c in known],
        "shares": by_cell,
    }


def front_json(found: Answer, places: Mapping[CellKey, int]) -> dict[str, Any] | None:
    """Return the first two metrics of the front with their points; None without a front."""
    front = found.front
    if front is None or len(front.metrics) < 2:
        return None
    return {
        "metrics": [
            metric_json(found.table, m) | {"mode": mode}
            for m, mode in zip(front.metrics[:2], front.modes, strict=False)
        ],
        "points": [[places[cell], *map(rounded, at[:2])] for cell, at in front.points.items()],
        "front": [places[cell] for cell in front.cells] if front.conflict else [],
        "knee": places[front.knee] if front.knee is not None and front.conflict else None,
    }


def run_address(tracking: Mapping[str, Any]) -> str | None:
    """Return what stands before the id of a run in its address on the tracking server.

    Returns:
        ``http://host:5000/#/experiments/1/runs/``; None for a store that is no server, where ``sweeps ui`` shows the
        runs at an address that the one who looks decides.
    """
    uri, experiment = str(tracking.get("uri") or ""), tracking.get("experiment_id")
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname or experiment is None:
        return None
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/#/experiments/{quote(str(experiment))}/runs/"


def is_interactive(name: str, data: Mapping[str, Any]) -> bool:
    """Return whether the page shows what the static figure ``name`` shows in an interactive part, too."""
    part = next((p for begin, p in INTERACTIVE.items() if name.startswith(begin)), None)
    return part is not None and data["layout" if part == "heatmap" else part] is not None
