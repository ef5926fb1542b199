"""The cell table: mean, spread and interval of every metric in every cell.

These intervals describe one cell each (95 %, not simultaneous); comparisons belong to `analysis.effects`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.effects import Kind, fit_metric
from analysis.spread import Fit
from analysis.table import CellKey, SweepTable
from analysis.tails import quantile

CELL_LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """One metric in one cell.

    Args:
        mean: Arithmetic mean over completed seeds.
        sd: Standard deviation over them, None for one seed.
        ci_low: Lower end of the cell's own 95 % interval, None where seeds give none.
        ci_high: Upper end.
        n: Seeds with a value.
    """

    mean: float
    sd: float | None
    ci_low: float | None
    ci_high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, None without one."""
        return None if self.ci_low is None or self.ci_high is None else (self.ci_high - self.ci_low) / 2

    def as_json(self) -> dict[str, Any]:
        """Return the summary as it stands in ``report.json``."""
        return {"mean": self.mean, "sd": self.sd, "ci_low": self.ci_low, "ci_high": self.ci_high, "n": self.n}


@dataclass(frozen=True)
class Cell:
    """One cell of the sweep.

    Args:
        key: Values of the axes.
        label: Name for people.
        n: Completed trials.
        n_diverged: Diverged trials.
        n_other: Trials in any other state.
        n_collapsed: Trials that a guard ended.
        n_pruned: Trials that the scheduler ended.
        metrics: Summaries by metric; metrics without a value in this cell are absent.
    """

    key: CellKey
    label: str
    n: int
    n_diverged: int
    n_other: int
    metrics: dict[str, Summary]
    n_collapsed: int = 0
    n_pruned: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Trials by what became of them."""
        return {
            "n": self.n,
            "n_diverged": self.n_diverged,
            "n_collapsed": self.n_collapsed,
            "n_pruned": self.n_pruned,
            "n_other": self.n_other,
        }


OPTIONAL_COUNTS = ("n_collapsed", "n_pruned")  # shown only where a sweep has such trials


def shown_counts(cells: Sequence[Cell]) -> list[str]:
    """Return the counts that a table of these cells shows, complete and diverged always."""
    return [
        "n",
        "n_diverged",
        *(name for name in OPTIONAL_COUNTS if any(cell.counts[name] for cell in cells)),
    ]


def summarise(table: SweepTable, metrics: Sequence[str] | None = None) -> list[Cell]:
    """Return all cells, simplest first, with every metric (or those named)."""
    by_metric = {metric: summaries(table, metric) for metric in (metrics or table.metrics)}
    return [
        one_cell(table, cell, {m: found[cell] for m, found in by_metric.items() if cell in found})
        for cell in table.cells
    ]


def one_cell(table: SweepTable, key: CellKey, metrics: dict[str, Summary]) -> Cell:
    """Return one cell with its counts of states."""
    states = table.states_of(key)
    n, n_diverged, n_collapsed, n_pruned = (
        states.count(state) for state in ("complete", "diverged", "collapsed", "pruned")
    )
    n_other = len(states) - n - n_diverged - n_collapsed - n_pruned
    return Cell(key, table.label(key), n, n_diverged, n_other, metrics, n_collapsed, n_pruned)


def summaries(table: SweepTable, metric: str) -> dict[CellKey, Summary]:
    """Return the summary of one metric by cell; the spread is pooled as in `analysis.spread`."""
    values = table.values(metric)
    positive = table.meaning(metric).positive
    kind: Kind = "ratio" if positive else "difference"
    fit = fit_metric(table, metric, kind)
    if fit is None and positive:
        kind, fit = "difference", fit_metric(table, metric, "difference")
    return (
        {}
        if fit is None
        else {cell: summary(list(v.values()), cell, fit, kind) for cell, v in values.items()}
    )


def summary(values: list[float], cell: CellKey, fit: Fit, kind: Kind) -> Summary:
    """Return one summary; for ratios the interval is symmetric on the log scale.

    A cell that the fit leaves out, a point of a search with too few seeds, has a mean and no interval.
    """
    if cell not in fit.means:
        return Summary(float(np.mean(values)), None, None, None, len(values))
    found = fit.contrast({cell: 1.0})
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    if found.se is None:
        return Summary(float(np.mean(values)), sd, None, None, len(values))
    t = quantile((1 - CELL_LEVEL) / 2, found.df) if math.isfinite(found.df) else 0.0
    low, high = found.value - t * found.se, found.value + t * found.se
    if kind == "ratio":
        low, high = math.exp(low), math.exp(min(high, 700.0))
    return Summary(float(np.mean(values)), sd, float(low), float(high), len(values))


def cells_frame(table: SweepTable, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return the cells as a flat table: parameters, counts, and four columns per metric; baselines below."""
    rows: list[dict[str, Any]] = []
    shown = shown_counts(cells)
    for cell in cells:
        row: dict[str, Any] = {"row": "cell", **table.params_of(cell.key)}
        row |= {name: cell.counts[name] for name in shown}
        for metric, found in cell.metrics.items():
            row |= {metric: found.mean, f"{metric}:sd": found.sd, f"{metric}:ci_low": found.ci_low}
            row[f"{metric}:ci_high"] = found.ci_high
        rows.append(row)
    by_predictor: dict[str, dict[str, Any]] = {}
    for name, value in table.baselines.items():
        predictor, _, metric = name.partition("/")
        by_predictor.setdefault(predictor, {"row": f"baseline {predictor}"})[metric] = value
    return pd.DataFrame([*rows, *by_predictor.values()])
